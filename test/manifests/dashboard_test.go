package manifests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sigs.k8s.io/yaml"
)

// dashboard is as much of Grafana's model as is looked at here.
type dashboard struct {
	Title      string
	UID        string
	Panels     []panel
	Templating struct{ List []struct{ Name string } }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               *struct{ Type, UID string }
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ RefID, Expr, LegendFormat string }
}

// readDashboard reads the dashboard as the chart installs it.
func readDashboard(t *testing.T) dashboard {
	t.Helper()
	rendered := mustTemplate(t, "--set", "metrics.dashboard.enabled=true")
	objects := filter(ofKind(rendered, "ConfigMap"), func(object *unstructured.Unstructured) bool {
		return object.GetLabels()["grafana_dashboard"] == "1"
	})
	if len(objects) != 1 {
		t.Fatalf("%d ConfigMaps were rendered, want one that is labelled grafana_dashboard", len(objects))
	}
	data, _ := objects[0].Object["data"].(map[string]any)
	text, _ := data["spider-operator.json"].(string)
	source, err := os.ReadFile(chartDir + "/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if text != string(source) {
		t.Error("the dashboard is installed otherwise than files/dashboard.json has it")
	}
	var d dashboard
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("reading the dashboard: %v", err)
	}
	return d
}

// TestDashboardIsWellFormed checks that every panel says what it shows, has a place of its own, and queries the data source
// that is chosen above.
func TestDashboardIsWellFormed(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.UID == "" || len(d.Panels) == 0 {
		t.Fatalf("the dashboard %q has %d panels", d.Title, len(d.Panels))
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: its id %d is no id, or another's", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: lies at %+v", p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d (%s) lacks a title, a description or a query", p.ID, p.Title)
		}
		if p.Datasource == nil || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: asks %v", p.Title, p.Datasource)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `namespace=~"$namespace"`) {
				t.Errorf("%s: is of every namespace: %s", p.Title, target.Expr)
			}
		}
	}
}

// TestDashboardQueriesAreValid checks that Prometheus understands every query.
func TestDashboardQueriesAreValid(t *testing.T) {
	type recording struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []recording
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "3h", "$namespace", ".*")
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			rules = append(rules, recording{
				Record: fmt.Sprintf("panel:%d:%s", p.ID, strings.ToLower(target.RefID)), Expr: variables.Replace(target.Expr),
			})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	runPromtool(t, "check", "rules", file)
}
