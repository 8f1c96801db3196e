package api

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestDocumentedObjectsAreAccepted checks that kube-apiserver accepts every object in the documentation as it is written
// there.
func TestDocumentedObjectsAreAccepted(t *testing.T) {
	namespace := cluster.Namespace(t)
	pages, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```").FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(block[1], "apiVersion: scrapethis.app/") {
				continue
			}
			shown++
			object := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(block[1]), &object.Object); err != nil {
				t.Errorf("%s: %v in\n%s", filepath.Base(page), err, block[1])
				continue
			}
			object.SetNamespace(namespace)
			if err := cluster.Client.Create(t.Context(), object, strict, client.DryRunAll); err != nil {
				t.Errorf("%s: %v of\n%s", filepath.Base(page), err, block[1])
			}
		}
	}
	if shown == 0 {
		t.Error("no object was found in the documentation")
	}
}
