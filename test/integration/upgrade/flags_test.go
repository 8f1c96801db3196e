package upgrade

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/process"
	"github.com/scrapethis/spider-operator/test/integration/running"
)

// formerControllerFlags are the flags of the controller that work for one more release, and what each is replaced by. The
// addresses and the namespace are added by the test.
var formerControllerFlags = []string{
	"--workers=2", "--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms",
	"--spider-image=spiders:1", "--default-grace-period=45s", "--pod-retention=2h", "--ttl=24h", "--max-interruptions=4",
	"--image-patience=90s", "--log-interval=5s", "--log-budget=2.5",
	"--spider-pod-security=platform", "--spider-pull-secrets=registry,mirror", "--spider-node-selector=pool=spiders",
	`--spider-tolerations=[{"key":"dedicated","operator":"Exists"}]`, "--spider-labels=team=data", "--spider-tmp-size=500Mi",
	"--zap-devel=false", "--zap-encoder=json", "--zap-log-level=2", "--zap-stacktrace-level=panic", "--zap-time-encoding=iso8601",
}

// formerAPIServerFlags are those of the REST API.
var formerAPIServerFlags = []string{
	"--rate=20",
	"--burst=40",
	"--namespace-rate=100",
	"--failed-authentications=10",
	"--max-streams=20",
	"--max-unfinished-jobs=0",
	"--max-argument-bytes=1048576",
	"--max-connections=2000",
	"--max-connections-per-address=200",
	"--header-timeout=5s",
	"--read-timeout=10s",
	"--write-timeout=20s",
	"--idle-timeout=1m",
	"--trusted-proxies=10.0.0.0/8,192.0.2.1",
	"--shutdown-delay=0s",
	"--drain-timeout=5s",
}

// configuration is a file of the controller's which would give other Pods.
const configuration = `
apiVersion: config.scrapethis.app/v1alpha1
kind: ControllerConfiguration
defaultGracePeriod: 10s
spiderPods: {security: restricted, nodeSelector: {pool: other}, labels: {team: other}, tmpSize: 1Gi}
`

// todaysProgram builds the program of this version.
func todaysProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "today")
	runIn(t, "../../..", "go", "build", "-o", program, "./cmd/spider-operator")
	return program
}

// launch runs a program with arguments until stop is called or the test ends. Its log is at the path.
func launch(t *testing.T, program string, arguments ...string) (log string, stop func()) {
	t.Helper()
	folder := t.TempDir()
	started, err := process.Start(folder, "today", exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "today.log"), endOnce(t, func() error {
		if err := started.Failure(); err != nil {
			return err
		}
		return started.Stop()
	})
}

// TestFormerFlagsOfTheControllerWork checks that jobs that run while the operator is upgraded go on under the new controller
// with every flag of the old one, and that each flag has its effect. Probes and metrics stay at their old addresses.
func TestFormerFlagsOfTheControllerWork(t *testing.T) {
	program := todaysProgram(t)
	m := &move{T: t, busy: cluster.Namespace(t), released: map[string]chan struct{}{}, namespaces: map[string]string{}}
	m.released["running"], m.released["new"] = make(chan struct{}), make(chan struct{})
	testNode.Serve(m.busy, m.act)
	stop := control(t, m.busy)
	m.start(m.busy, "running", v1alpha1.SpiderSpec{})
	m.running("running")
	stop()

	metrics, probes := running.FreeAddress(t), running.FreeAddress(t)
	flags := append([]string{
		"--watch-namespaces=" + m.busy, "--metrics-bind-address=" + metrics, "--health-probe-bind-address=" + probes,
	}, formerControllerFlags...)
	// Flags override the file.
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	log, stop := launch(t, program, append([]string{
		"controller", "--config=" + file, "--kubeconfig=" + cluster.Kubeconfig, "--leader-elect", "--leader-elect-namespace=" + m.busy,
	}, flags...)...)
	m.start(m.busy, "new", v1alpha1.SpiderSpec{})
	m.running("new")
	for address, paths := range map[string][]string{probes: {"/healthz", "/readyz"}, metrics: {"/metrics", "/livez", "/readyz"}} {
		for _, path := range paths {
			if text := get(t, "http://"+address+path); path == "/metrics" && !strings.Contains(text, "spider_operator_") {
				t.Errorf("%s has no metrics of the operator's", address)
			}
		}
	}
	pod := m.pod("new")
	var tmp *corev1.EmptyDirVolumeSource
	for _, volume := range pod.Spec.Volumes {
		if volume.EmptyDir != nil && volume.EmptyDir.SizeLimit != nil {
			tmp = volume.EmptyDir
		}
	}
	if pod.Labels["team"] != "data" || pod.Spec.NodeSelector["pool"] != "spiders" || len(pod.Spec.ImagePullSecrets) != 2 ||
		*pod.Spec.TerminationGracePeriodSeconds != 45 || tmp == nil || tmp.SizeLimit.String() != "500Mi" ||
		!strings.Contains(fmt.Sprint(pod.Spec.Tolerations), "dedicated") || pod.Spec.SecurityContext.RunAsUser != nil {
		t.Errorf("the Pod is not as the flags want it: %+v", pod.Spec)
	}
	m.release("running")
	m.release("new")
	m.ends("running", completed)
	m.ends("new", completed)
	stop()
	namedOnce(t, log, flags)
}

// TestFormerProbesMayShareTheAddressOfMetrics has probes where metrics are by default now.
func TestFormerProbesMayShareTheAddressOfMetrics(t *testing.T) {
	address := running.FreeAddress(t)
	_, stop := launch(t, todaysProgram(t), "controller", "--kubeconfig="+cluster.Kubeconfig, "--namespaces="+cluster.Namespace(t),
		"--health-probe-bind-address="+address, "--metrics-listen="+address)
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/metrics"} {
		get(t, "http://"+address+path)
	}
	stop()
}

// TestFormerFlagsOfTheRESTAPIWork checks that a REST API with every flag of the old one serves.
func TestFormerFlagsOfTheRESTAPIWork(t *testing.T) {
	listen, metrics := running.FreeAddress(t), running.FreeAddress(t)
	log, stop := launch(t, todaysProgram(t), append([]string{
		"apiserver", "--kubeconfig=" + cluster.Kubeconfig, "--listen=" + listen, "--metrics-listen=" + metrics, "--rest-spiders=off",
	}, formerAPIServerFlags...)...)
	for _, url := range []string{"http://" + metrics + "/readyz", "http://" + metrics + "/livez", "http://" + listen + "/openapi.yaml"} {
		get(t, url)
	}
	stop()
	namedOnce(t, log, formerAPIServerFlags)
}

// get waits until a URL answers 200, and returns the body.
func get(t *testing.T, url string) (body string) {
	t.Helper()
	controlplane.Eventually(t, url+" answers", func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // Nothing listens yet.
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		body = string(text)
		return response.StatusCode == http.StatusOK, err
	})
	return body
}

// namedOnce fails the test where a log does not name each of the flags once.
func namedOnce(t *testing.T, log string, flags []string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range flags {
		name, _, _ := strings.Cut(flag, "=")
		if n := len(regexp.MustCompile(`"`+name+`"`).FindAll(text, -1)); n != 1 {
			t.Errorf("the log names %s %d times, want once:\n%s", name, n, text)
		}
	}
}
