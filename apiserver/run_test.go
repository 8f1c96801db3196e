package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/internal/private"
)

// served runs a REST API's server as the command does. stop begins its end, and ended tells when and how that was over.
func served(t *testing.T, f *testAPI, options Options) (stop func(), ended <-chan error) {
	t.Helper()
	options.Listen = freeAddress(t)
	f.url = "http://" + options.Listen
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		result <- serve(ctx, f.server, prometheus.NewRegistry(), options, slog.New(slog.DiscardHandler))
	}()
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

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for patience := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(patience) {
			t.Fatalf("not in half a minute: %s", what)
		}
	}
}

func TestServerEndsInOrder(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "endless")
	stop, ended := served(t, f, Options{Config: draining(3*time.Second, 20*time.Second)})
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

// The kubelet asks on a port of its own, which is there for longest: it is told at once when the server leaves, and that it lives
// until the last caller is answered.
func TestTheKubeletIsAnsweredApartAndToTheEnd(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t, func(c *Config) { c.MaxConnections = 1 })
	metricsAddress := freeAddress(t)
	stop, ended := served(t, f, Options{MetricsListen: metricsAddress, Config: draining(time.Second, 2*time.Second)})
	probe := func(path string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+metricsAddress+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, ""
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	want := func(path string, status int, part string) {
		t.Helper()
		if got, text := probe(path); got != status || !strings.Contains(text, part) {
			t.Errorf("%s is answered %d %s, want %d with %s", path, got, text, status, part)
		}
	}
	eventually(t, "the metricsAddress port is served", func() bool { status, _ := probe("/livez"); return status == http.StatusOK })
	want("/readyz", http.StatusOK, `"ok"`)
	f.health.unsynced.Store(true)
	want("/readyz", http.StatusServiceUnavailable, `"starting"`)
	f.health.unsynced.Store(false)
	for range privateConnections + 10 { // Others that reach the port do not keep the kubelet from it.
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", metricsAddress)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
	}
	want("/readyz", http.StatusOK, `"ok"`)

	// It is busy until it is cut off, and no caller gets through meanwhile.
	slow := dial(t, f)
	fmt.Fprintf(
		slow, "POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 9\r\n\r\n", f.key("team", ""),
	)
	eventually(t, "it is busy", func() bool { open, _, _ := f.server.guard.Connections().Count(); return open == 1 })
	stop()
	eventually(t, "it leaves", func() bool {
		status, text := probe("/readyz")
		return status != http.StatusOK && strings.Contains(text, "stopping")
	})
	for !hasEnded(slow) {
		if status, _ := probe("/livez"); status != http.StatusOK && !hasEnded(slow) {
			t.Fatalf("the kubelet is answered %d while a caller is not answered yet", status)
		}
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "waiting for requests to end") {
		t.Errorf("the server ended with %v, want an error of the request that was cut off", err)
	}
}

// deaf is a listener whose connections cannot be accepted.
type deaf struct{ net.Listener }

func (deaf) Accept() (net.Conn, error) { return nil, errors.New("too many open files") }

func TestAServerThatCannotBeReachedIsNotReady(t *testing.T) {
	f := newTestAPI(t)
	clock := newClock()
	accepting := guard.NewAcceptor(deaf{}, clock.now)
	probes := f.server.guard.Probes(accepting.Check)
	ready := func() (int, string) {
		recorder := httptest.NewRecorder()
		probes.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		return recorder.Code, recorder.Body.String()
	}
	_, _ = accepting.Accept()
	if status, text := ready(); status != http.StatusOK {
		t.Errorf("after one failure it is answered %d %s", status, text)
	}
	clock.advance(time.Minute)
	_, _ = accepting.Accept()
	if status, text := ready(); status != http.StatusServiceUnavailable || !strings.Contains(text, "too many open files") {
		t.Errorf("after a minute of failures it is answered %d %s", status, text)
	}
	f.get("", "/readyz").want(http.StatusOK) // Whoever reaches it knows better.
}

// A Service sends no new connections to a server that leaves, but those that are open stay with it: it lets them go one by one,
// each with an answer, before it would cut them off.
func TestServerThatLeavesLetsItsConnectionsGo(t *testing.T) {
	for name, encrypted := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			f := newTestAPI(t)
			key := f.key("team", "")
			listening := httptest.NewUnstartedServer(f.server)
			listening.EnableHTTP2 = encrypted
			begin := listening.Start
			if encrypted {
				begin = listening.StartTLS
			}
			begin()
			t.Cleanup(listening.Close)
			reused := func() bool {
				var was bool
				trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { was = got.Reused }}
				request, err := http.NewRequestWithContext(
					httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, listening.URL+"/api/v1/me", http.NoBody,
				)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", "Bearer "+key)
				response, err := listening.Client().Do(request)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(
					io.Discard,
					response.Body,
				); err != nil || response.Proto[:6] != name[:6] ||
					response.StatusCode != http.StatusOK {
					t.Fatalf("answer %s by %s, %v", response.Status, response.Proto, err)
				}
				if err := response.Body.Close(); err != nil {
					t.Fatal(err)
				}
				return was
			}
			reused()
			if !reused() {
				t.Fatal("a server that stays does not keep its connections")
			}
			f.server.Unready()
			reused()
			eventually(t, "a server that leaves lets go of a connection with an answer", func() bool { return !reused() })
		})
	}
}

// Whoever is answered because the server stops asks again at once, and not on a connection that is being cut off.
func TestAnswersThatEndWithTheServerEndTheirConnections(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.StreamsPerCaller = 1 })
	id, pod := f.running(t, "team", "a-job")
	pod.write("hello")
	streams := []*opened{f.open(f.key("team", ""), eventsPath), f.open(f.key("team", ""), "/api/v1/jobs/"+id+"/logs?follow=true")}
	for _, stream := range streams {
		stream.line()
	}
	waiting := f.waiting(t, f.key("team", ""), "/api/v1/jobs/"+id+"?wait=30s")
	f.server.Stop()
	if a := (<-waiting).want(http.StatusOK); !a.closed {
		t.Error("the connection of a wait goes on")
	}
	for _, stream := range streams {
		if !stream.closed {
			t.Error("the connection of a stream goes on")
		}
	}
}

func TestImpossibleOptionsAreNamed(t *testing.T) {
	for says, change := range map[string]func(*Options){
		"time-out":   func(o *Options) { o.Config.Timeouts.Idle.Duration = 0 },
		"connection": func(o *Options) { o.Config.MaxConnections = -1 },
		"limit":      func(o *Options) { o.Config.Burst = 0 },
		"callers":    func(o *Options) { o.Config.Rate = math.NaN() },
		"positive":   func(o *Options) { o.Config.NamespaceRate = 0 },
		"address":    func(o *Options) { o.Config.MaxConnectionsPerAddress = -1 },
		"limit on":   func(o *Options) { o.Config.MaxStreams = -1 },
		"must be":    func(o *Options) { o.Config.FailedAuthentications = 0 },
		"audience":   func(o *Options) { o.KubernetesTokens.Enabled = true },
		"proxies":    func(o *Options) { o.Config.TrustedProxies = []string{"nowhere"} },
	} {
		options := Options{Config: configv1alpha1.DefaultAPIServer()}
		change(&options)
		err := Run(t.Context(), &rest.Config{Host: "127.0.0.1:1"}, options, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that speaks of %s", err, says)
		}
	}
}

func TestPortThatIsTaken(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	f := newTestAPI(t)
	err = serve(t.Context(), f.server, nil, Options{Listen: taken.Addr().String()}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error %v, want one that names the address", err)
	}
}

func TestMetricsAndProfilesAreServedApart(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newTestAPI(t, func(c *Config) { c.Registry = registry })
	key := f.key("team", "")
	f.apply("team", "a")
	f.get(key, "/api/v1/jobs/"+f.apply("team", "b")).want(http.StatusOK)
	f.get("", "/api/v1/jobs").want(http.StatusUnauthorized)
	f.get("", "/made-up").want(http.StatusNotFound)
	for profiling, want := range map[bool]int{true: http.StatusOK, false: http.StatusNotFound} {
		recorder := httptest.NewRecorder()
		handler := private.Handler(f.server.guard.Probes(func() error { return nil }), registry, profiling)
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/", nil))
		if recorder.Code != want {
			t.Errorf("profiling %t: /debug/pprof/ is answered %d, want %d", profiling, recorder.Code, want)
		}
	}
	recorder := httptest.NewRecorder()
	handler := private.Handler(f.server.guard.Probes(func() error { return nil }), registry, false)
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
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
