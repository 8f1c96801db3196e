package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A wrong value is refused by its path.
func TestWrongValuesAreRefused(t *testing.T) {
	tests := []struct{ set, names string }{
		{"controler.workers=3", "controler"},
		{"controller.worker=3", "worker"},
		{"controller.workers=0", "/controller/workers"},
		{"controller.workers=many", "/controller/workers"},
		{"controller.ttl=7d", "/controller/ttl"},
		{"controller.logBudget=0", "/controller/logBudget"},
		{"controller.replicas=2,controller.leaderElection.enabled=false", "/controller/leaderElection/enabled"},
		{"image.digest=sha256:123", "/image/digest"},
		{"image.repository=", "/image/repository"},
		{"watchNamespaces={a,b,a}", "/watchNamespaces"},
		{"watchNamespaces={Not_A_Namespace}", "/watchNamespaces/0"},
		{"apiserver.service.type=ExternalName", "/apiserver/service/type"},
		{"apiserver.service.port=70000", "/apiserver/service/port"},
		{"apiserver.podDisruptionBudget.minAvailable=half", "/apiserver/podDisruptionBudget/minAvailable"},
	}
	for _, test := range tests {
		t.Run(test.set, func(t *testing.T) {
			_, err := template(t, "--set", test.set)
			if err == nil {
				t.Fatal("was accepted")
			}
			if !strings.Contains(err.Error(), test.names) {
				t.Errorf("the refusal does not name %s: %v", test.names, err)
			}
		})
	}
}

// schemaNode is as much of a JSON schema as is needed to walk it.
type schemaNode struct {
	Ref         string                `json:"$ref"`
	Properties  map[string]schemaNode `json:"properties"`
	Definitions map[string]schemaNode `json:"definitions"`
}

// The schema knows every value in values.yaml, and values.yaml shows every value that the schema knows.
func TestSchemaAndValuesAgree(t *testing.T) {
	var schema schemaNode
	var values map[string]any
	readInto(t, "values.schema.json", json.Unmarshal, &schema)
	readInto(t, "values.yaml", func(text []byte, into any) error { return yaml.UnmarshalStrict(text, into) }, &values)

	var walk func(path string, node schemaNode, value any)
	walk = func(path string, node schemaNode, value any) {
		if name, found := strings.CutPrefix(node.Ref, "#/definitions/"); found {
			node = schema.Definitions[name]
		}
		object, isObject := value.(map[string]any)
		if len(node.Properties) == 0 || !isObject {
			return
		}
		for name, child := range object {
			if _, known := node.Properties[name]; !known {
				t.Errorf("values.schema.json does not know %s.%s", path, name)
				continue
			}
			walk(path+"."+name, node.Properties[name], child)
		}
		for name := range node.Properties {
			if _, shown := object[name]; !shown && !optional[path+"."+name] {
				t.Errorf("values.yaml does not show %s.%s", path, name)
			}
		}
	}
	walk("", schema, values)
}

// optional are the values that are known, and by default absent.
var optional = map[string]bool{
	".global": true,
	".controller.livenessProbe.initialDelaySeconds":            true,
	".controller.livenessProbe.successThreshold":               true,
	".controller.livenessProbe.terminationGracePeriodSeconds":  true,
	".controller.readinessProbe.initialDelaySeconds":           true,
	".controller.readinessProbe.successThreshold":              true,
	".controller.readinessProbe.terminationGracePeriodSeconds": true,
	".apiserver.livenessProbe.initialDelaySeconds":             true,
	".apiserver.livenessProbe.successThreshold":                true,
	".apiserver.livenessProbe.terminationGracePeriodSeconds":   true,
	".apiserver.readinessProbe.initialDelaySeconds":            true,
	".apiserver.readinessProbe.successThreshold":               true,
	".apiserver.readinessProbe.terminationGracePeriodSeconds":  true,
}

// The README's table has a described line for every value.
func TestReadmeDescribesEveryValue(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(chartDir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(readme), "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 4 && strings.TrimSpace(cells[len(cells)-2]) == "" {
			t.Errorf("README.md: no description: %s", line)
		}
	}
	if !strings.Contains(string(readme), "| controller.logBudget |") {
		t.Error("README.md has no table of values")
	}
}

func readInto(t *testing.T, name string, unmarshal func([]byte, any) error, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := unmarshal(text, into); err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
}
