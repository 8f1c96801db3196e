package manifests

import (
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// The chart and config/ pass only flags that the processes have.
func TestFlagsExist(t *testing.T) {
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

// What is passed has the form that the processes want: they read all of it before they come to --help.
func TestFlagsAreTaken(t *testing.T) {
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

// The chart's defaults are those of the processes, which the documentation names.
func TestDefaultsAreTheProcesses(t *testing.T) {
	forEachFlag(t, mustTemplate(t), func(component, name, value string) {
		want := flags(t, component)[name]
		if want == "" {
			return
		}
		if duration, err := time.ParseDuration(value); err == nil {
			value = duration.String()
		}
		if value != want {
			t.Errorf("%s: the chart's default for --%s is %s, the process's own %s", component, name, value, want)
		}
	})
}
