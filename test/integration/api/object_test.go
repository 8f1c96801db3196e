package api

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// fields are values by their dotted paths, as in "spec.spiderRef.name". The value nil means that the field is absent.
type fields map[string]any

// The minimal valid object of each kind, as users write it. Objects are untyped here, since a Go client could not even express
// most of what must be refused.
var minimal = map[string]fields{
	"Spider":         {"metadata.name": "books"},
	"SpiderJob":      {"metadata.name": "monday", "spec.spiderRef.name": "books"},
	"SpiderSchedule": {"metadata.name": "nightly", "spec.spiderRef.name": "books", "spec.cron": "30 2 * * *"},
	"SpiderQuota":    {"metadata.name": "default", "spec.maxRunning": int64(50)},
	"APIKey": {
		"metadata.name": "ci",
		"spec.keyID":    "0123456789abcdef",
		"spec.hash":     strings.Repeat("0123456789abcdef", 4),
	},
}

// newObject makes the minimal object of a kind and then sets the fields.
func newObject(t *testing.T, kind, namespace string, set fields) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetNamespace(namespace)
	setFields(t, object, minimal[kind])
	setFields(t, object, set)
	return object
}

func setFields(t *testing.T, object *unstructured.Unstructured, set fields) {
	t.Helper()
	for path, value := range set {
		keys := strings.Split(path, ".")
		if value == nil {
			unstructured.RemoveNestedField(object.Object, keys...)
			continue
		}
		if err := unstructured.SetNestedField(object.Object, runtime.DeepCopyJSONValue(value), keys...); err != nil {
			t.Fatalf("set %s: %v", path, err)
		}
	}
}

// create creates the object, not as a dry run.
func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := cluster.Client.Create(t.Context(), object, strict); err != nil {
		t.Fatalf("create: %v", err)
	}
}

// strict makes kube-apiserver refuse fields that the schema does not know, as kubectl does.
var strict = client.FieldValidation("Strict")

// entries makes an object of n entries, whose names are valid for settings as well as for arguments.
func entries(n int) map[string]any {
	object := make(map[string]any, n)
	for i := range n {
		object["E"+strings.Repeat("X", i)] = "v"
	}
	return object
}

// items makes a list of n different values.
func items(n int, value func(i int) any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = value(i)
	}
	return list
}
