package manifests

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What kustomize installs from config/default is what the chart installs by default, but for the Namespace, which Helm
// makes itself, for what Helm notes on its objects, and for what it makes on `helm test` alone.
func TestChartAndKustomizeInstallTheSame(t *testing.T) {
	compare(t, mustTemplate(t), kustomize(t, "default"))
}

// Likewise with Kubernetes tokens switched on, in the chart by a value and in config/ by a component.
func TestChartAndKustomizeAcceptTokensAlike(t *testing.T) {
	overlay := filepath.Join("..", "test", "manifests", "testdata", "tokens")
	compare(t, mustTemplate(t, "--set", "apiserver.kubernetesTokens.enabled=true"), kustomize(t, overlay))
}

// Likewise with metrics, alerts and the dashboard for those who have a Prometheus operator and a Grafana.
func TestChartAndKustomizeMonitorAlike(t *testing.T) {
	overlay := filepath.Join("..", "test", "manifests", "testdata", "monitoring")
	rendered := mustTemplate(t, "--set",
		"metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true")
	compare(t, rendered, kustomize(t, overlay))
}

func compare(t *testing.T, rendered, kustomized []*unstructured.Unstructured) {
	t.Helper()
	chart := byName(t, filter(rendered, func(object *unstructured.Unstructured) bool {
		return object.GetAnnotations()["helm.sh/hook"] == ""
	}))
	folders := byName(t, filter(kustomized, func(object *unstructured.Unstructured) bool {
		return object.GetKind() != "Namespace"
	}))
	for name, object := range chart {
		other, found := folders[name]
		if !found {
			t.Errorf("%s: only in the chart", name)
			continue
		}
		if diff := cmp.Diff(strings.Split(object, "\n"), strings.Split(other, "\n")); diff != "" {
			t.Errorf("%s (-chart +config/default):\n%s", name, diff)
		}
	}
	for name := range folders {
		if _, found := chart[name]; !found {
			t.Errorf("%s: only in config/default", name)
		}
	}
}

// byName returns the objects as YAML, by what they are, without what Helm notes on them.
func byName(t *testing.T, objects []*unstructured.Unstructured) map[string]string {
	t.Helper()
	named := map[string]string{}
	for _, object := range objects {
		labels := object.GetLabels()
		for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"} {
			delete(labels, label)
		}
		object.SetLabels(labels)
		annotations := object.GetAnnotations()
		delete(annotations, "helm.sh/resource-policy")
		object.SetAnnotations(annotations)
		named[describe(object)] = string(toYAML(t, object))
	}
	return named
}

// The chart's copies of what is under config/ are copies.
func TestChartFilesAreUpToDate(t *testing.T) {
	sources := map[string]string{
		"files/rbac/controller.yaml": "rbac/controller/role.yaml",
		"files/rbac/apiserver.yaml":  "rbac/apiserver/role.yaml",

		"files/rbac/apiserver-tokens.yaml": "kubernetes-tokens/role.yaml",
		"files/dashboard.json":             "monitoring/dashboard.json",
	}
	crds, err := filepath.Glob(root + "/config/crd/bases/*.yaml")
	if err != nil || len(crds) == 0 {
		t.Fatalf("finding the CustomResourceDefinitions: %v, %d found", err, len(crds))
	}
	for _, crd := range crds {
		sources["files/crds/"+filepath.Base(crd)] = "crd/bases/" + filepath.Base(crd)
	}
	for copied, source := range sources {
		want, err := os.ReadFile(filepath.Join(root, "config", source))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(chartDir, copied))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from config/%s: run hack/sync-chart.sh", copied, source)
		}
	}
	copies, err := filepath.Glob(chartDir + "/files/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	copies = append(copies, chartDir+"/files/dashboard.json")
	if len(copies) != len(sources) {
		t.Errorf("the chart's files/ holds %d files, its sources are %d: run hack/sync-chart.sh", len(copies), len(sources))
	}
}

// Uninstalling keeps the CustomResourceDefinitions, and with them everyone's jobs, unless told otherwise.
func TestCRDsAreKept(t *testing.T) {
	tests := map[string]struct {
		args   []string
		crds   int
		policy string
	}{
		"by default":       {crds: 3, policy: "keep"},
		"unless told not":  {args: []string{"--set", "crds.keep=false"}, crds: 3},
		"not when not had": {args: []string{"--set", "crds.enabled=false"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			crds := ofKind(mustTemplate(t, test.args...), kindCRD)
			if len(crds) != test.crds {
				t.Errorf("%d CustomResourceDefinitions were rendered, want %d", len(crds), test.crds)
			}
			for _, crd := range crds {
				if got := crd.GetAnnotations()["helm.sh/resource-policy"]; got != test.policy {
					t.Errorf("%s: helm.sh/resource-policy is %q, want %q", describe(crd), got, test.policy)
				}
			}
		})
	}
}
