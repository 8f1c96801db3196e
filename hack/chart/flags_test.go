package chart

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var flagInHelp = regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-z][a-z0-9-]*)`)

// The chart and config/ pass only flags that the processes have.
func TestFlagsExist(t *testing.T) {
	known := map[string]map[string]bool{}
	for _, component := range []string{"controller", "apiserver"} {
		cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/spider-operator", component, "--help")
		cmd.Dir = root
		help, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("spider-operator %s --help: %v: %s", component, err, help)
		}
		known[component] = map[string]bool{}
		for _, match := range flagInHelp.FindAllStringSubmatch(string(help), -1) {
			known[component][match[1]] = true
		}
		if len(known[component]) < 2 {
			t.Fatalf("spider-operator %s --help lists no flags: %s", component, help)
		}
	}
	everyRendering(t, func(t *testing.T, objects []*unstructured.Unstructured) {
		for _, deployment := range deployments(t, objects) {
			for _, container := range deployment.Spec.Template.Spec.Containers {
				flags := known[container.Args[0]]
				for _, arg := range container.Args[1:] {
					name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
					if !flags[name] {
						t.Errorf("Deployment %s passes %s, which `spider-operator %s` does not have", deployment.Name, arg, container.Args[0])
					}
				}
			}
		}
	})
}
