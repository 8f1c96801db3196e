package upgrade

import (
	"bytes"
	"context"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/controllers"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

// previousVersion is the last commit of the version that upgrades come from: its Jobs make further attempts themselves.
const previousVersion = "1ca19fa0fbdecbcaf967dca54dfe92bdaea19d66"

// version is a version of the operator: its definitions and its controller.
type version struct {
	// definitions is the folder of its CustomResourceDefinitions; startDeadlines says that they have startDeadlineSeconds.
	definitions    string
	startDeadlines bool
	// run runs its controller for some namespaces, with further flags, until stop is called or the test ends.
	run func(t *testing.T, flags []string, namespaces ...string) (stop func())
	// control does the same without further flags.
	control func(t *testing.T, namespaces ...string) (stop func())
}

// today is this version.
func today() version {
	return version{definitions: todaysSchema, startDeadlines: true, control: control}
}

// previous is the version before this one, built from this repository's history.
func previous(t *testing.T) version {
	t.Helper()
	tree := t.TempDir()
	if err := exec.CommandContext(t.Context(), "git", "cat-file", "-e", previousVersion+"^{commit}").Run(); err != nil {
		t.Skipf("THIS CLONE HAS NO HISTORY: nothing can be upgraded from %s. git fetch --unshallow brings it.", previousVersion)
	}
	archive := filepath.Join(tree, "previous.tar")
	runIn(t, "../../..", "git", "archive", "--output="+archive, previousVersion)
	runIn(t, tree, "tar", "-xf", archive)
	// Built as tests are, so that everything except the product itself is in the build cache.
	program := filepath.Join(tree, "previous")
	runIn(t, tree, "go", "build", "-o", program, "./cmd/spider-operator")
	v := version{
		definitions: filepath.Join(tree, "config", "crd", "bases"),
		run: func(t *testing.T, flags []string, namespaces ...string) func() {
			t.Helper()
			flags = append([]string{
				"controller", "--kubeconfig=" + cluster.Kubeconfig, "--watch-namespaces=" + strings.Join(namespaces, ","),
				"--metrics-bind-address=0", "--health-probe-bind-address=0",
			}, flags...)
			command := exec.CommandContext(context.WithoutCancel(t.Context()), program, flags...)
			started, err := process.Start(t.TempDir(), "previous", command)
			if err != nil {
				t.Fatal(err)
			}
			return endOnce(t, func() error {
				if err := started.Failure(); err != nil {
					return err // it has ended by itself
				}
				return started.Stop()
			})
		},
	}
	v.control = func(t *testing.T, namespaces ...string) func() {
		t.Helper()
		return v.run(t, nil, namespaces...)
	}
	return v
}

// runIn runs a command in a folder.
func runIn(t *testing.T, folder, name string, arguments ...string) {
	t.Helper()
	var output bytes.Buffer
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Dir, command.Stdout, command.Stderr = folder, &output, &output
	if err := command.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, arguments, err, output.String())
	}
}

// control runs today's controller for some namespaces, until stop is called or the test ends.
func control(t *testing.T, namespaces ...string) (stop func()) {
	t.Helper()
	return run(t, controllers.DefaultOptions(), namespaces...)
}

// run does so with options.
func run(t *testing.T, options controllers.Options, namespaces ...string) (stop func()) {
	t.Helper()
	options.Namespaces = namespaces
	options.MetricsListen = ""
	options.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- controllers.Run(ctx, cluster.Config, options) }()
	return endOnce(t, func() error {
		cancel()
		return <-done
	})
}

// endOnce wraps end, which the test calls, or its cleanup if the test does not.
func endOnce(t *testing.T, end func() error) (stop func()) {
	t.Helper()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		if err := end(); err != nil {
			t.Errorf("the controller ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}
