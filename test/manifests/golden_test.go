package manifests

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the expected output instead of comparing with it")

// TestRenderedAsExpected compares what the chart renders for each values file in ci/ with testdata/, so that a change of a
// template shows what it changes. CustomResourceDefinitions and the dashboard's text are left out: other tests compare them
// with their sources.
func TestRenderedAsExpected(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, object := range mustTemplate(t, "--values", values) {
				if object.GetKind() == kindCRD {
					continue
				}
				if strings.HasSuffix(object.GetName(), "-dashboard") {
					unstructured.RemoveNestedField(object.Object, "data")
				}
				got.WriteString("---\n")
				got.Write(toYAML(t, object))
			}
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("rendered otherwise than %s (-want +got); if it is meant, run this test with -update:\n%s", golden, diff)
			}
		})
	}
}

func toYAML(t *testing.T, object *unstructured.Unstructured) []byte {
	t.Helper()
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		t.Fatalf("writing %s as YAML: %v", describe(object), err)
	}
	return text
}
