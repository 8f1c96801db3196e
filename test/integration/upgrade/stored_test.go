package upgrade

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

const (
	firstSchema  = "../../../api/v1alpha1/testdata/first-schema"
	todaysSchema = "../../../config/crd/bases"

	// namespace is fixed, since ids and the hash of a key depend on it.
	namespace = "shop"
)

// install installs the definitions in a folder over the existing ones, and waits until kube-apiserver uses them.
func install(t *testing.T, folder string, inForce wait.ConditionWithContextFunc) {
	t.Helper()
	options := envtest.CRDInstallOptions{Paths: []string{folder}, ErrorIfPathMissing: true, Scheme: cluster.Client.Scheme()}
	if _, err := envtest.InstallCRDs(cluster.Config, options); err != nil {
		t.Fatalf("install the definitions in %s: %v", folder, err)
	}
	controlplane.Eventually(t, "the definitions in "+folder+" are in force", inForce)
}

// accepts reports whether kube-apiserver would create such an object, and how it would store it.
func accepts(ctx context.Context, kind string,
	spec map[string]any) (accepted bool, stored *unstructured.Unstructured, err error) {
	probe := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	probe.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	probe.SetNamespace(metav1.NamespaceDefault)
	probe.SetName("probe")
	err = cluster.Client.Create(ctx, probe, client.DryRunAll)
	if apierrors.IsInvalid(err) {
		return false, nil, nil
	}
	return err == nil, probe, err
}

// acceptsNUL reports whether the current definitions are those of the first schema, or of a later one.
func acceptsNUL(want bool) wait.ConditionWithContextFunc {
	return func(ctx context.Context) (bool, error) {
		for kind, spec := range map[string]map[string]any{
			"SpiderJob": {"spiderRef": map[string]any{"name": "books"}, "settings": map[string]any{"A": "\x00"}},
			"Spider":    {"settings": map[string]any{"A": "\x00"}},
		} {
			if accepted, _, err := accepts(ctx, kind, spec); err != nil || accepted != want {
				return false, err
			}
		}
		return true, nil
	}
}

// store creates what testdata/ has of the first schema, as users, the controller and the REST API had written it.
func store(t *testing.T) {
	t.Helper()
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := cluster.Client.Create(t.Context(), shop); err != nil {
		t.Fatal(err)
	}
	install(t, firstSchema, acceptsNUL(true))
	text := read(t, "objects.yaml")
	for _, object := range documents(t, text) {
		status, hasStatus := object.Object["status"]
		object.SetNamespace(namespace)
		if err := cluster.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("store %s %s: %v", object.GetKind(), object.GetName(), err)
		}
		if !hasStatus {
			continue
		}
		if fields := status.(map[string]any); fields["jobUID"] == "${jobUID}" {
			fields["jobUID"] = string(storeJob(t, object).UID)
		}
		object.Object["status"] = status
		if err := cluster.Client.Status().Update(t.Context(), object); err != nil {
			t.Fatalf("store the status of %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// storeJob makes the Job that runs a SpiderJob.
func storeJob(t *testing.T, owner *unstructured.Unstructured) *batchv1.Job {
	t.Helper()
	job := &batchv1.Job{}
	if err := yaml.UnmarshalStrict(read(t, "job.yaml"), job); err != nil {
		t.Fatal(err)
	}
	job.Namespace = namespace
	job.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, v1alpha1.GroupVersion.WithKind("SpiderJob"))}
	job.Labels[v1alpha1.LabelSpiderJobUID] = string(owner.GetUID())
	job.Spec.Template.Labels[v1alpha1.LabelSpiderJobUID] = string(owner.GetUID())
	if err := cluster.Client.Create(t.Context(), job); err != nil {
		t.Fatalf("store the Job of SpiderJob %s: %v", owner.GetName(), err)
	}
	return job
}

// upgrade installs today's definitions, with what is stored in place.
func upgrade(t *testing.T) {
	t.Helper()
	install(t, todaysSchema, acceptsNUL(false))
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func documents(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
}

// spiderJob reads the current state of a SpiderJob.
func spiderJob(t *testing.T, namespace, name string) *v1alpha1.SpiderJob {
	t.Helper()
	sj := &v1alpha1.SpiderJob{}
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, sj); err != nil {
		t.Fatalf("get SpiderJob %s: %v", name, err)
	}
	return sj
}

// awaitSpiderJob waits until a SpiderJob meets the condition, and returns it.
func awaitSpiderJob(t *testing.T, name, what string, condition func(*v1alpha1.SpiderJob) bool) *v1alpha1.SpiderJob {
	t.Helper()
	var sj *v1alpha1.SpiderJob
	controlplane.Eventually(t, fmt.Sprintf("SpiderJob %s is %s", name, what), func(context.Context) (bool, error) {
		sj = spiderJob(t, namespace, name)
		return condition(sj), nil
	})
	return sj
}

// ended reports whether a SpiderJob has ended.
func ended(sj *v1alpha1.SpiderJob) bool { return sj.Status.Phase.Terminal() }

// summary describes the end of a SpiderJob in a line.
func summary(st *v1alpha1.SpiderJobStatus) string {
	text := string(st.Phase) + "/" + st.Reason
	if st.Stats != nil && st.Stats.Source != v1alpha1.OriginNone {
		text += fmt.Sprintf(", %d items", st.Stats.ItemsScraped)
	}
	return text
}

func mentions(sj *v1alpha1.SpiderJob, words string) bool {
	return strings.Contains(sj.Status.Message, words)
}
