package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEveryPanelOfTheDashboardShowsSomething has a real Prometheus scrape the operator while jobs run, and asks it what every
// panel of the dashboard asks.
func TestEveryPanelOfTheDashboardShowsSomething(t *testing.T) {
	n := cluster.Namespace(t)
	n.Counter("counter")
	n.Scrapy("category") // of Scrapy spiders the log is read
	n.Python("broken", "raise SystemExit(3)")
	prometheus := startPrometheus(t)
	api := n.API("alice")
	empty := map[string]string{}
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); {
		for _, id := range []string{
			api.Start("counter", map[string]any{"n": 3}), api.Start("category", map[string]any{"category": "Travel"}), api.Start("broken", nil),
		} {
			api.Wait(id, time.Minute)
		}
		beRefused(t)
		if empty = emptyPanels(t, prometheus); len(empty) == 0 {
			return
		}
	}
	for panel, query := range empty {
		t.Errorf("panel %q has nothing to show: %s", panel, query)
	}
}

// beRefused fails to authenticate, from an address of its own, more often than is allowed.
func beRefused(t *testing.T) {
	t.Helper()
	for range 40 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cluster.APIURL+"/api/v1/jobs", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Forwarded-For", "192.0.2.77")
		request.Header.Set("Authorization", "Bearer nobody's")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
}

// startPrometheus starts a Prometheus that scrapes the operator's Pods with the labels that a ServiceMonitor gives, until the
// test ends, and returns its address.
func startPrometheus(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("../../bin/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("Prometheus is needed: run `make %s`: %v", program, err)
	}
	pods, err := cluster.Clientset.CoreV1().Pods(cluster.System).List(t.Context(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=spider-operator", FieldSelector: "status.phase=Running",
	})
	if err != nil || len(pods.Items) < 2 {
		t.Fatalf("%d Pods of the operator, %v", len(pods.Items), err)
	}
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: spider-operator\n  static_configs:\n")
	for _, pod := range pods.Items {
		fmt.Fprintf(&config, "  - targets: [%q]\n    labels: {namespace: %s, pod: %s}\n",
			net.JoinHostPort(pod.Status.PodIP, "8081"), pod.Namespace, pod.Name)
	}
	directory := t.TempDir()
	file := filepath.Join(directory, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	command := exec.CommandContext(
		t.Context(), program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(directory, "tsdb"),
		"--web.listen-address="+address,
	)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log strings.Builder
	command.Stdout, command.Stderr = &log, &log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Wait() // the context of the test is over, which ends it
		if t.Failed() {
			t.Logf("Prometheus:\n%s", log.String())
		}
	})
	return "http://" + address
}

// emptyPanels are the queries of the dashboard that Prometheus answers with nothing now, by the titles of their panels.
func emptyPanels(t *testing.T, prometheus string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../charts/spider-operator/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1m", "$namespace", ".*")
	empty := map[string]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			query := variables.Replace(target.Expr)
			response, err := http.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(query)) //nolint:noctx // of the loopback
			if err != nil {
				empty[panel.Title] = err.Error() // it has only just been started
				continue
			}
			var answer struct {
				Error string
				Data  struct{ Result []any }
			}
			err = json.NewDecoder(response.Body).Decode(&answer)
			_ = response.Body.Close()
			if err != nil || answer.Error != "" {
				t.Fatalf("panel %q asks %s: %s, %v", panel.Title, query, answer.Error, err)
			}
			if len(answer.Data.Result) == 0 {
				empty[panel.Title] = query
			}
		}
	}
	return empty
}
