package manifests

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
)

// flagInHelp finds a flag in what --help prints, and its default where it names one.
var flagInHelp = regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-z][a-z0-9-]*)(?:.*\(default "?([^")]*)"?\))?`)

// flags returns the flags of a process, and their defaults: "" where it names none.
func flags(t *testing.T, component string) map[string]string {
	t.Helper()
	helps.Do(func() {
		for _, component := range []string{"controller", "apiserver", "check"} {
			cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/spider-operator", component, "--help")
			cmd.Dir = root
			help, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("spider-operator %s --help: %v: %s", component, err, help)
			}
			known[component] = map[string]string{}
			for _, match := range flagInHelp.FindAllStringSubmatch(string(help), -1) {
				known[component][match[1]] = match[2]
			}
		}
	})
	if len(known[component]) < 2 {
		t.Fatalf("no flags of spider-operator %s are known", component)
	}
	return known[component]
}

var (
	helps sync.Once
	known = map[string]map[string]string{}
)

// forEachFlag calls check with every flag that objects pass to one of the processes.
func forEachFlag(t *testing.T, objects []*unstructured.Unstructured, check func(component, name, value string)) {
	t.Helper()
	for _, pod := range podTemplates(t, objects) {
		for _, container := range pod.Spec.Containers {
			for _, arg := range container.Args[1:] {
				name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				check(container.Args[0], name, value)
			}
		}
	}
}

// TestManifestsPassOnlyKnownFlags checks that the chart and config/ pass only flags that the processes have.
func TestManifestsPassOnlyKnownFlags(t *testing.T) {
	for name, objects := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			forEachFlag(t, objects, func(component, name, value string) {
				if _, exists := flags(t, component)[name]; !exists {
					t.Errorf("--%s=%s is passed, and `spider-operator %s` has no such flag", name, value, component)
				}
			})
		})
	}
}

// TestProcessesAcceptTheFlagsOfManifests checks that the flags have the form that the processes want: they parse all of them
// before they come to --help.
func TestProcessesAcceptTheFlagsOfManifests(t *testing.T) {
	for name, objects := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			for _, pod := range podTemplates(t, objects) {
				for _, container := range pod.Spec.Containers {
					args := append(append([]string{"run", "./cmd/spider-operator"}, container.Args...), "--help")
					cmd := exec.CommandContext(t.Context(), "go", args...)
					cmd.Dir = root
					if help, err := cmd.CombinedOutput(); err != nil {
						first, _, _ := strings.Cut(string(help), "\n")
						t.Errorf("spider-operator %s: %v: %s", strings.Join(container.Args, " "), err, first)
					}
				}
			}
		})
	}
}

// TestProcessesAcceptTheConfigurationsOfTheChart checks that the chart gives each process a configuration that it accepts, at
// the path that it passes, and restarts it when that changes.
func TestProcessesAcceptTheConfigurationsOfTheChart(t *testing.T) {
	for name, objects := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			files := configurations(t, objects)
			for component, file := range files {
				if err := read(component, file); err != nil {
					t.Errorf("%s: %v\n%s", component, err, file)
				}
			}
			for _, deployment := range typed[appsv1.Deployment](t, ofKind(objects, "Deployment")) {
				pod := deployment.Spec.Template
				component := pod.Labels["app.kubernetes.io/component"]
				if files[component] == "" || pod.Annotations["checksum/config"] == "" ||
					!slices.Contains(pod.Spec.Containers[0].Args, "--config=/etc/spider-operator/config/config.yaml") ||
					!slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
						return v.ConfigMap != nil && v.ConfigMap.Name == deployment.Name+"-config"
					}) {
					t.Errorf("Deployment %s does not use its ConfigMap", deployment.Name)
				}
			}
		})
	}
}

// read reads a process's configuration as the process does.
func read(component, file string) error {
	if component == "controller" {
		config := configv1alpha1.DefaultController()
		return errors.Join(configv1alpha1.DecodeController([]byte(file), &config), config.Validate().ToAggregate())
	}
	config := configv1alpha1.DefaultAPIServer()
	return errors.Join(configv1alpha1.DecodeAPIServer([]byte(file), &config), config.Validate().ToAggregate())
}

// configurations are the configuration files of the processes, by component.
func configurations(t *testing.T, objects []*unstructured.Unstructured) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, object := range typed[corev1.ConfigMap](t, ofKind(objects, "ConfigMap")) {
		if file, found := object.Data["config.yaml"]; found {
			files[object.Labels["app.kubernetes.io/component"]] = file
		}
	}
	return files
}

// TestFormerValuesWork checks that every value from before there were configuration files still works: what the chart makes of
// them is what it makes of their successors, and the notes name each of them.
func TestFormerValuesWork(t *testing.T) {
	before, now := "testdata/values-before-config.yaml", chartDir+"/ci/full-values.yaml"
	got, want := configurations(t, mustTemplate(t, "--values", before)), configurations(t, mustTemplate(t, "--values", now))
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 2 {
		t.Errorf("configurations (-of config.* +of the values before):\n%s", diff)
	}
	for _, pod := range podTemplates(t, mustTemplate(t, "--values", before)) {
		args := pod.Spec.Containers[0].Args
		if args[0] == "controller" && !(slices.Contains(args, "--log-level=INFO-3") && slices.Contains(args, "--log-format=text")) {
			t.Errorf("logLevel 3 and logEncoder console became %q", args)
		}
	}
	notes := notesOf(t, "--values", before)
	for path, property := range deprecatedValues(t) {
		if !strings.Contains(readText(t, before), property+":") {
			t.Errorf("%s is deprecated, and %s does not set it", path, before)
		}
		if parent := strings.Split(path, ".")[2]; !strings.Contains(notes, parent) {
			t.Errorf("%s is deprecated, and the notes do not name it:\n%s", path, notes)
		}
	}
	if !strings.Contains(notes, "controller.logLevel 3") {
		t.Errorf("the notes do not name the level 3:\n%s", notes)
	}
	if notes := notesOf(t, "--values", now); strings.Contains(notes, "DEPRECATED") {
		t.Errorf("nothing is deprecated, and the notes say:\n%s", notes)
	}
	both := configurations(
		t,
		mustTemplate(t, "--values", before, "--set", "config.controller.workers=5,config.controller.spiderPods.tmpSize=1Gi"),
	)
	config := configv1alpha1.DefaultController()
	if err := configv1alpha1.DecodeController([]byte(both["controller"]), &config); err != nil {
		t.Fatal(err)
	}
	if config.Workers != 5 || config.SpiderPods.TmpSize.String() != "1Gi" ||
		config.SpiderPods.Security != configv1alpha1.PodSecurityPlatform {
		t.Errorf("with both, the configuration is %+v", config)
	}
}

// notesOf is what Helm prints after an installation.
func notesOf(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"install", release, chartDir, "--dry-run=client", "--kubeconfig=/dev/null"}, args...)
	output, err := exec.CommandContext(t.Context(), helm(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v: %s", strings.Join(args, " "), err, output)
	}
	_, notes, found := strings.Cut(string(output), "NOTES:")
	if !found {
		t.Fatalf("helm %s printed no notes", strings.Join(args, " "))
	}
	return notes
}

// TestAChangedSettingRestartsItsProcess checks that a changed setting restarts the process that it is for, and only that.
func TestAChangedSettingRestartsItsProcess(t *testing.T) {
	checksums := func(args ...string) map[string]string {
		found := map[string]string{}
		for _, deployment := range typed[appsv1.Deployment](t, ofKind(mustTemplate(t, args...), "Deployment")) {
			found[deployment.Labels["app.kubernetes.io/component"]] = deployment.Spec.Template.Annotations["checksum/config"]
		}
		return found
	}
	standard, changed := checksums(), checksums("--set", "config.controller.ttl=24h")
	if standard["controller"] == changed["controller"] || standard["apiserver"] != changed["apiserver"] {
		t.Errorf("checksums %v, and with another setting of the controller %v", standard, changed)
	}
}

// deprecatedValues are the names of the values that the schema calls deprecated, by path.
func deprecatedValues(t *testing.T) map[string]string {
	t.Helper()
	var schema schemaNode
	readInto(t, "values.schema.json", json.Unmarshal, &schema)
	found := map[string]string{}
	var walk func(path string, node schemaNode)
	walk = func(path string, node schemaNode) {
		for name, child := range node.Properties {
			if child.Deprecated {
				found[path+"."+name] = name
			}
			walk(path+"."+name, child)
		}
	}
	walk("", schema)
	if len(found) < 20 {
		t.Fatalf("only %d deprecated values are found", len(found))
	}
	return found
}

// TestSchemaKnowsEverySetting checks that the schema of the chart has every setting that the processes have, and no other,
// with the same lower bounds. Otherwise a release would be installed whose processes do not start.
func TestSchemaKnowsEverySetting(t *testing.T) {
	var schema schemaNode
	readInto(t, "values.schema.json", json.Unmarshal, &schema)
	for component, config := range map[string]any{
		"controller": configv1alpha1.ControllerConfiguration{}, "apiserver": configv1alpha1.APIServerConfiguration{},
	} {
		settings(t, component, nil, schema.Definitions[component+"Configuration"], reflect.TypeOf(config))
	}
}

// refuses reports whether a process refuses a value of a setting.
func refuses(t *testing.T, component string, path []string, value any) bool {
	t.Helper()
	kind := map[string]string{"controller": configv1alpha1.KindController, "apiserver": configv1alpha1.KindAPIServer}[component]
	file := map[string]any{"apiVersion": configv1alpha1.APIVersion, "kind": kind}
	if err := unstructured.SetNestedField(file, value, path...); err != nil {
		t.Fatal(err)
	}
	err := read(component, toJSON(t, file))
	return err != nil && strings.Contains(err.Error(), strings.Join(path, "."))
}

// checkBound fails the test where schema and process disagree about the least value of a setting.
func checkBound(t *testing.T, component string, path []string, node schemaNode) {
	t.Helper()
	var below any
	switch {
	case node.Ref == "#/definitions/positiveDuration":
		below = "0s"
	case node.Ref == "#/definitions/duration":
		below = "-1s"
		if refuses(t, component, path, "0s") {
			t.Errorf("%s: the schema accepts 0s for %q, the process does not", component, path)
		}
	case node.Minimum != nil:
		below = int64(*node.Minimum) - 1
		if refuses(t, component, path, int64(*node.Minimum)) {
			t.Errorf("%s: the schema accepts %v for %q, the process does not", component, *node.Minimum, path)
		}
	case node.Above != nil:
		below = *node.Above
	case node.Type == "integer" || node.Type == "number":
		t.Errorf("%s: the schema has no lower bound for %q", component, path)
		return
	default:
		return
	}
	if !refuses(t, component, path, below) {
		t.Errorf("%s: the schema refuses %v for %q, the process does not", component, below, path)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func settings(t *testing.T, component string, path []string, node schemaNode, config reflect.Type) {
	t.Helper()
	known := map[string]bool{}
	for i := range config.NumField() {
		field := config.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" { // of TypeMeta, which the chart sets
			continue
		}
		known[name] = true
		at := append(slices.Clone(path), name)
		child, found := node.Properties[name]
		if !found {
			t.Errorf("values.schema.json does not know %q of %s", at, component)
		}
		checkBound(t, component, at, child)
		if field.Type.Kind() == reflect.Struct && len(child.Properties) > 0 {
			settings(t, component, at, child, field.Type)
		}
	}
	for name := range node.Properties {
		if !known[name] {
			t.Errorf("values.schema.json knows %q of %q of %s, which is no setting", name, path, component)
		}
	}
}
