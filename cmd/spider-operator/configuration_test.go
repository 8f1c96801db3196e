package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers"
)

// controllerFlags are the deprecated flags of a controller, with the options and the process that they set.
func controllerFlags() (*pflag.FlagSet, *controllers.Options, *process) {
	opts, process := controllers.DefaultOptions(), &process{}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	process.addFlags(flags, &opts.Namespaces, &opts.MetricsListen, &opts.Profiling)
	addDeprecatedControllerFlags(flags, &opts, process)
	return flags, &opts, process
}

func configFile(t *testing.T, settings string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "controller.yaml")
	text := "apiVersion: config.scrapethis.app/v1alpha1\nkind: ControllerConfiguration\n" + settings
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A flag that is given overrides the file, whatever its form; one that is not given leaves what the file says.
func TestFlagsOverrideTheFile(t *testing.T) {
	flags, opts, _ := controllerFlags()
	if err := flags.Parse([]string{"--workers=7", "--ttl=2h", "--spider-labels=a=1,b=2"}); err != nil {
		t.Fatal(err)
	}
	file := configFile(
		t,
		"workers: 5\nttl: 1h\nmaxInterruptions: 0\nspiderPods: {labels: {c: '3'}, nodeSelector: {pool: spiders}}\n",
	)
	if err := readController(flags, file, &opts.Config); err != nil {
		t.Fatal(err)
	}
	c := opts.Config
	if c.Workers != 7 || c.TTL.Duration != 2*time.Hour || c.MaxInterruptions != 0 || c.SpiderPods.NodeSelector["pool"] != "spiders" {
		t.Errorf("configuration %+v", c)
	}
	if labels := c.SpiderPods.Labels; len(labels) != 2 || labels["a"] != "1" || labels["b"] != "2" {
		t.Errorf("labels %v, want those of the flag alone", labels)
	}
	if c.PodRetention != configv1alpha1.DefaultController().PodRetention {
		t.Errorf("retention %s, want the default", c.PodRetention.Duration)
	}
}

func TestAWrongConfigurationIsRefusedByName(t *testing.T) {
	for settings, says := range map[string][]string{
		"wrokers: 5\n":               {"controller.yaml", `unknown field "wrokers"`},
		"workers: 0\nlogBudget: 0\n": {"controller.yaml", "workers", "logBudget"},
	} {
		flags, opts, _ := controllerFlags()
		err := readController(flags, configFile(t, settings), &opts.Config)
		for _, text := range says {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: error %v, want one with %q", settings, err, text)
			}
		}
	}
	flags, opts, _ := controllerFlags()
	if err := readController(
		flags, "/nowhere/controller.yaml", &opts.Config,
	); err == nil ||
		!strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("error %v, want one with the path", err)
	}
	if err := flags.Parse([]string{"--workers=0"}); err != nil {
		t.Fatal(err)
	}
	if err := readController(flags, "", &opts.Config); err == nil || !strings.Contains(err.Error(), "workers") {
		t.Errorf("error %v, want one with the setting", err)
	}
}

// Every flag of the version before is still read, is hidden, and names what to use in its place.
func TestFlagsOfTheVersionBefore(t *testing.T) {
	flags, opts, process := controllerFlags()
	err := flags.Parse([]string{
		"--watch-namespaces=a,b", "--metrics-bind-address=:9090", "--health-probe-bind-address=0", "--workers=3",
		"--leader-elect-lease-duration=30s", "--leader-elect-renew-deadline=20s", "--leader-elect-retry-period=5s",
		"--spider-image=spiders:1", "--default-grace-period=10s", "--pod-retention=2h", "--ttl=1h", "--max-interruptions=0",
		"--image-patience=1m", "--log-interval=1s", "--log-budget=2.5", "--zap-log-level=3", "--zap-encoder=console",
		"--zap-stacktrace-level=error", "--zap-time-encoding=rfc3339",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := readController(flags, "", &opts.Config); err != nil {
		t.Fatal(err)
	}
	c := opts.Config
	if len(opts.Namespaces) != 2 || opts.MetricsListen != ":9090" || opts.ProbesListen != "" || c.Workers != 3 ||
		c.LeaderElection.LeaseDuration.Duration != 30*time.Second || c.SpiderImage != "spiders:1" || c.LogBudget != 2.5 ||
		process.logLevel != "INFO-3" || process.logFormat != "text" {
		t.Errorf("options %+v, process %+v", opts, process)
	}
	if _, err := process.newLogger(); err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	warnOfDeprecated(flags, slog.New(slog.NewTextHandler(&out, nil)))
	flags.Visit(func(f *pflag.Flag) {
		if !f.Hidden || !strings.Contains(out.String(), "--"+f.Name+" ") {
			t.Errorf("--%s is shown by --help, or nothing is said of it at the start", f.Name)
		}
	})
	if help := flags.FlagUsages(); strings.Contains(help, "zap") || !strings.Contains(help, "--config") {
		t.Errorf("help shows\n%s", help)
	}
}

func TestZapsOwnFlags(t *testing.T) {
	for arg, want := range map[string]process{
		"--zap-log-level=debug": {logLevel: "debug", logFormat: "json"},
		"--zap-log-level=panic": {logLevel: "error", logFormat: "json"},
		"--zap-devel":           {logLevel: "debug", logFormat: "text"},
		"--zap-devel=false":     {logLevel: "info", logFormat: "json"},
		"--zap-encoder=json":    {logLevel: "info", logFormat: "json"},
	} {
		flags, _, process := controllerFlags()
		if err := flags.Parse([]string{arg}); err != nil || *process != want {
			t.Errorf("%s: %+v and %v, want %+v", arg, *process, err, want)
		}
	}
	for _, arg := range []string{"--zap-log-level=loud", "--zap-log-level=0", "--zap-encoder=xml", "--zap-devel=perhaps"} {
		flags, _, _ := controllerFlags()
		if err := flags.Parse([]string{arg}); err == nil || !strings.Contains(err.Error(), "zap") {
			t.Errorf("%s: error %v", arg, err)
		}
	}
}
