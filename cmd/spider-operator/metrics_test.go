package main

import (
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/controllers/schedule"
	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// alive is a REST API's health that is always good.
type alive struct{ guard.Health }

func (alive) Age() time.Duration { return 0 }

// registered are the metrics of both processes, by name, and of which process they are.
func registered(t *testing.T) (controller, api map[string]bool) {
	t.Helper()
	registry := prometheus.NewRegistry()
	spiders := view.NewSpiders()
	_, err := apiserver.New(apiserver.Config{
		Jobs:          view.NewJobs(spiders),
		Spiders:       spiders,
		Health:        alive{},
		Authenticator: auth.NewKeys(time.Now),
		Limits: guard.Limits{
			RequestsPerSecond:          1,
			Burst:                      1,
			NamespaceRequestsPerSecond: 1,
			FailuresPerMinute:          1,
			StreamsPerCaller:           1,
		},
		Registry: registry,
		Log:      slog.New(slog.DiscardHandler),
		Now:      time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	controllers := prometheus.NewRegistry()
	if _, err := spiderjob.RegisterMetrics(controllers); err != nil {
		t.Fatal(err)
	}
	if err := schedule.RegisterMetrics(t.Context(), controllers, nil, clock.RealClock{}); err != nil {
		t.Fatal(err)
	}
	controller = names(t, controllers)
	maps.Copy(controller, names(t, metrics.Registry))
	return controller, names(t, registry)
}

var fqName = regexp.MustCompile(`fqName: "([a-z0-9_]+)"`)

// names are those of all metrics that a registry describes, whether or not they have samples yet.
func names(t *testing.T, registry prometheus.Gatherer) map[string]bool {
	t.Helper()
	collector, ok := registry.(prometheus.Collector)
	if !ok {
		t.Fatalf("%T cannot be asked what it has", registry)
	}
	described := make(chan *prometheus.Desc)
	go func() {
		collector.Describe(described)
		close(described)
	}()
	found := map[string]bool{}
	for desc := range described {
		match := fqName.FindStringSubmatch(desc.String())
		if match == nil {
			t.Fatalf("no name is found in %s", desc)
		}
		found[match[1]] = true
	}
	return found
}

// Every metric of the operator's own is in the documentation's table, with the process that has it, and every metric in the
// table exists there.
func TestMetricsAreDocumented(t *testing.T) {
	documentation, err := os.ReadFile("../../docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	controller, api := registered(t)
	rows := regexp.MustCompile("(?m)^\\| (`[a-z_]+[*`].*?) \\| (controller|REST API|both) \\|").
		FindAllStringSubmatch(string(documentation), -1)
	shown := map[string]map[string]bool{"controller": {}, "REST API": {}}
	for _, row := range rows {
		for _, quoted := range strings.Split(row[1], ", ") {
			name := strings.Trim(quoted, "`")
			for process, exist := range map[string]map[string]bool{"controller": controller, "REST API": api} {
				if row[2] != process && row[2] != "both" {
					continue
				}
				shown[process][name] = true
				prefix, isPrefix := strings.CutSuffix(name, "*")
				if !exist[name] && !(isPrefix && slices.ContainsFunc(slices.Collect(maps.Keys(exist)), func(name string) bool {
					return strings.HasPrefix(name, prefix)
				})) {
					t.Errorf("the documentation has %s of the process %s, which has no such metric", name, process)
				}
			}
		}
	}
	for process, exist := range map[string]map[string]bool{"controller": controller, "REST API": api} {
		for name := range exist {
			if strings.HasPrefix(name, "spider_operator_") && !shown[process][name] {
				t.Errorf("the documentation does not have %s of the process %s", name, process)
			}
		}
	}
}

// Alerts and dashboard ask for metrics that one of the processes has, and for nothing else.
func TestAlertsAndDashboardAskForMetricsThatExist(t *testing.T) {
	controller, api := registered(t)
	for file, expressions := range map[string][]string{"alerts.yaml": alertExpressions(t), "dashboard.json": dashboardExpressions(t)} {
		if len(expressions) == 0 {
			t.Errorf("no expression was found in %s", file)
		}
		for _, expression := range expressions {
			asked := metricsIn(expression)
			if len(asked) == 0 {
				t.Errorf("%s: no metric is found in %s", file, expression)
			}
			for _, name := range asked {
				base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
				if !controller[name] && !api[name] && !controller[base] && !api[base] {
					t.Errorf("%s asks for %s, which is no metric of either process: %s", file, name, expression)
				}
			}
		}
	}
}

var (
	// notMetrics is what stands in an expression besides names, functions and operators.
	notMetrics = regexp.MustCompile(
		`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\$\{\w+\}`,
	)
	identifier = regexp.MustCompile(`[A-Za-z_:][A-Za-z0-9_:]*\s*\(?`)
	operators  = []string{"and", "or", "unless", "bool", "offset"}
)

// metricsIn returns the names of the metrics in an expression: whatever is a name, and no function or operator.
func metricsIn(expression string) []string {
	expression = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expression, `""`) // braces in a text are none
	var found []string
	for _, name := range identifier.FindAllString(notMetrics.ReplaceAllString(expression, " "), -1) {
		name = strings.TrimSpace(name)
		if !strings.HasSuffix(name, "(") && !slices.Contains(operators, name) {
			found = append(found, name)
		}
	}
	return found
}

func TestMetricsAreFoundInExpressions(t *testing.T) {
	got := metricsIn(
		`histogram_quantile(0.95, sum by (le, by) (rate(a_bucket{x=~"b}.*"}[5m]))) > ${limit} and on (pod) c or vector(0)`,
	)
	if want := []string{"a_bucket", "c"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func alertExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct{ Expr string }
		}
	}
	readChartFile(t, "alerts.yaml", func(text []byte, into any) error { return yaml.Unmarshal(text, into) }, &file)
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			expressions = append(expressions, rule.Expr)
		}
	}
	return expressions
}

func dashboardExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	var file struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Definition string } }
	}
	readChartFile(t, "dashboard.json", json.Unmarshal, &file)
	for _, panel := range file.Panels {
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	for _, variable := range file.Templating.List {
		if asked := regexp.MustCompile(`^label_values\(([^,]*),`).FindStringSubmatch(variable.Definition); asked != nil {
			expressions = append(expressions, asked[1])
		}
	}
	return expressions
}

func readChartFile(t *testing.T, name string, unmarshal func([]byte, any) error, into any) {
	t.Helper()
	text, err := os.ReadFile("../../charts/spider-operator/files/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unmarshal(text, into); err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
}
