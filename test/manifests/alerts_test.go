package manifests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// promtool returns the path of Prometheus' own test program: what PROMTOOL names, else what the Makefile gets, else what the
// PATH has.
func promtool(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PROMTOOL"); path != "" {
		return path
	}
	if path := filepath.Join(root, "bin", "promtool"); exists(path) {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is needed to test the alerts: run `make promtool`, install Prometheus, or set PROMTOOL to its path")
	}
	return path
}

// alerts renders the chart's alerts, and writes them as the rule file of Prometheus that they are.
func alerts(t *testing.T, args ...string) (rules *unstructured.Unstructured, file string) {
	t.Helper()
	objects := ofKind(mustTemplate(t, append(args, "--set", "metrics.prometheusRule.enabled=true")...), "PrometheusRule")
	if len(objects) != 1 {
		t.Fatalf("%d PrometheusRules were rendered", len(objects))
	}
	text, err := yaml.Marshal(objects[0].Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return objects[0], file
}

// TestEachAlertFiresWhenItShould checks that each alert fires when it should, and only then.
func TestEachAlertFiresWhenItShould(t *testing.T) {
	_, rules := alerts(t)
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(rules), "alerts_test.yaml")
	if err := os.WriteFile(file, tests, 0o600); err != nil {
		t.Fatal(err)
	}
	runPromtool(t, "test", "rules", file)
}

// TestAlertsAreValid checks that Prometheus accepts what the chart makes of the alerts, whatever the values.
func TestAlertsAreValid(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			_, rules := alerts(t, "--values", values)
			runPromtool(t, "check", "rules", rules)
		})
	}
}

func runPromtool(t *testing.T, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), promtool(t), args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output.String())
	}
}

// rule is as much of a rule as is looked at here.
type rule struct {
	Alert       string
	Annotations map[string]string
}

// rulesOf are the rules in a PrometheusRule.
func rulesOf(t *testing.T, object *unstructured.Unstructured) []rule {
	t.Helper()
	var typed struct {
		Spec struct{ Groups []struct{ Rules []rule } }
	}
	if err := yaml.Unmarshal(toYAML(t, object), &typed); err != nil {
		t.Fatal(err)
	}
	var rules []rule
	for _, group := range typed.Spec.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// TestAlertsAreTestedAndDocumented checks that every alert has a test of its own, says what is wrong and what to do, and is in
// the documentation.
func TestAlertsAreTestedAndDocumented(t *testing.T) {
	object, _ := alerts(t)
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documentation, err := os.ReadFile(root + "/docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `(Spider[A-Za-z]+)` \\|").FindAllStringSubmatch(string(documentation), -1) {
		documented[match[1]] = true
	}
	for _, r := range rulesOf(t, object) {
		fires := regexp.MustCompile(`alertname: ` + r.Alert + `\n\s+eval_time: \w+\n\s+exp_alerts:\n\s+- exp_labels`)
		if !fires.Match(tests) {
			t.Errorf("no test sees %s fire", r.Alert)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what is wrong and what to do: %v", r.Alert, r.Annotations)
		}
		if !documented[r.Alert] {
			t.Errorf("docs/observing.md does not list %s", r.Alert)
		}
		delete(documented, r.Alert)
	}
	for name := range documented {
		t.Errorf("docs/observing.md lists %s, which is no alert", name)
	}
}

// TestAlertsFitTheInstallation checks that no alert is about a process that is not installed, and that every threshold has its
// place.
func TestAlertsFitTheInstallation(t *testing.T) {
	all, file := alerts(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "${") {
		t.Errorf("a threshold was not put in:\n%s", text)
	}
	for value, without := range map[string][]string{
		"controller.leaderElection.enabled=false": {"SpiderOperatorNotLeading"},
		"apiserver.enabled=false": {"SpiderOperatorViewStale", "SpiderOperatorNamespaceRefused",
			"SpiderOperatorAPICrowded", "SpiderOperatorAPIErrors"},
	} {
		t.Run(value, func(t *testing.T) {
			fewer, _ := alerts(t, "--set", value)
			want := slices.DeleteFunc(rulesOf(t, all), func(r rule) bool { return slices.Contains(without, r.Alert) })
			if diff := cmp.Diff(want, rulesOf(t, fewer)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, threshold := range []string{
		"pendingSeconds", "stoppingSeconds", "errorRatio", "errorMinimumJobs", "logIntervalSeconds", "notLeadingFor", "viewAgeSeconds",
		"apiErrorRatio",
	} {
		value, inJSON := "0.125", "0.125"
		if threshold == "notLeadingFor" {
			value, inJSON = "17m", `"17m"`
		}
		_, file := alerts(t, "--set-json", "metrics.prometheusRule.thresholds."+threshold+"="+inJSON)
		changed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(changed, text) || !strings.Contains(string(changed), value) {
			t.Errorf("the threshold %s changes nothing", threshold)
		}
	}
}
