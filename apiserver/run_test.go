package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// served runs a facade's server as the command does. stop begins its end, and ended tells when and how that was over.
func served(t *testing.T, f *facade, options Options) (stop func(), ended <-chan error) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options.Listen = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	f.url = "http://" + options.Listen
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- serve(ctx, f.server, http.NotFoundHandler(), options, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(cancel)
	eventually(t, "the server listens", func() bool {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", options.Listen)
		if err != nil {
			return false
		}
		return connection.Close() == nil
	})
	return cancel, result
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for patience := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(patience) {
			t.Fatalf("not in half a minute: %s", what)
		}
	}
}

func TestServerEndsInOrder(t *testing.T) {
	f := newFacade(t)
	key := f.key("team", "")
	id := f.apply("team", "endless")
	stop, ended := served(t, f, Options{ShutdownDelay: 3 * time.Second, DrainTimeout: 20 * time.Second})
	var waiting sync.WaitGroup
	waiting.Go(func() { f.get(key, "/api/v1/jobs/"+id+"?wait=5m").want(http.StatusOK) })

	stop()
	eventually(t, "the server is not ready", func() bool { return f.get("", "/readyz").status == http.StatusServiceUnavailable })
	f.get(key, "/api/v1/jobs").want(http.StatusOK) // Load balancers have not noticed yet.
	waiting.Wait()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not end")
	}
}

func TestPortThatIsTaken(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	f := newFacade(t)
	err = serve(t.Context(), f.server, nil, Options{Listen: taken.Addr().String()}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error %v, want one that names the address", err)
	}
}

// TestHonestCallersAreServedDuringAbuse opens connections that send nothing, that send their headers or bodies a byte at a
// time, and bodies without end, and has thousands of callers wait.
func TestHonestCallersAreServedDuringAbuse(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	f := newFacade(t)
	key := f.key("team", "")
	f.spider("team", "books")
	id := f.apply("team", "endless")
	stop, ended := served(t, f, Options{DrainTimeout: 30 * time.Second})
	address := strings.TrimPrefix(f.url, "http://")

	const hostile, patient = 500, 2000
	var connections []net.Conn
	for i := range hostile {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		connections = append(connections, connection)
		switch i % 3 {
		case 1:
			_, err = fmt.Fprint(connection, "GET /api/v1/jobs HTTP/1.1\r\nHost: a\r\nX-A: ")
		case 2:
			_, err = fmt.Fprintf(connection, "POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{", key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, connection := range connections {
			_ = connection.Close()
		}
	}()
	endless, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/api/v1/jobs", bufio.NewReader(zeros{}))
	if err != nil {
		t.Fatal(err)
	}
	endless.Header.Set("Authorization", "Bearer "+key)
	if response, err := http.DefaultClient.Do(endless); err == nil {
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body without end is answered %d", response.StatusCode)
		}
		_ = response.Body.Close()
	}

	// Waiters share this process with the server, so they are called without connections.
	var waiting sync.WaitGroup
	for range patient {
		waiting.Go(func() {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/jobs/"+id+"?wait=5m", nil)
			request.Header.Set("Authorization", "Bearer "+key)
			recorder := httptest.NewRecorder()
			f.server.ServeHTTP(recorder, request)
			if recorder.Code != http.StatusOK {
				t.Errorf("a waiter is answered %d %s", recorder.Code, recorder.Body)
			}
		})
	}
	for range 50 {
		f.started(key, `{"spider_name": "books"}`)
		f.get(key, "/api/v1/jobs").want(http.StatusOK)
	}
	f.server.Stop()
	waiting.Wait()
	for _, connection := range connections {
		_ = connection.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestMetricsAndProfilesAreServedApart(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFacade(t, func(c *Config) { c.Registry = registry })
	key := f.key("team", "")
	f.apply("team", "a")
	f.get(key, "/api/v1/jobs/"+f.apply("team", "b")).want(http.StatusOK)
	f.get("", "/api/v1/jobs").want(http.StatusUnauthorized)
	f.get("", "/made-up").want(http.StatusNotFound)
	for profiling, want := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
		recorder := httptest.NewRecorder()
		metricsHandler(registry, profiling).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/", nil))
		if recorder.Code != want {
			t.Errorf("profiling %t: /debug/pprof/ is answered %d, want %d", profiling, recorder.Code, want)
		}
	}
	recorder := httptest.NewRecorder()
	metricsHandler(registry, false).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`spider_operator_api_request_duration_seconds_count{method="GET",route="/api/v1/jobs/:id",status="200"} 1`,
		`spider_operator_api_request_duration_seconds_count{method="other",route="none",status="404"} 1`,
		`spider_operator_api_refusals_total{by="authentication"} 1`,
		`spider_operator_api_view_jobs 2`,
		`spider_operator_api_view_age_seconds 0`,
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("the metrics do not say %s", line)
		}
	}
}
