//go:build load

package apiserver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// victim is a REST API in a process of its own, so that its memory can be told from that of its callers. Key and Job are of the
// namespace team; the Keys of others are by namespace.
type victim struct {
	URL, Private, Key, Job string
	Keys                   map[string][]string
	Jobs                   map[string]string
	ask                    func() victimState
}

// victimState is what the REST API tells of itself: the connections that are open, how many of them have a request, and the most
// memory that the process has had, in bytes.
type victimState struct{ Open, Active, Peak int }

// asVictim is the variable whose value says which victim the process is to be: one behind a proxy, which is trusted, or one that
// callers reach themselves, with the documented limits.
const (
	asVictim = "SPIDER_OPERATOR_TEST_VICTIM"
	proxied  = "proxied"
	direct   = "direct"
)

// TestVictim is the other process's part. Nothing is tested here.
func TestVictim(t *testing.T) {
	if os.Getenv(asVictim) == "" {
		return
	}
	f := newTestAPI(t, func(c *Config) {
		c.Log = slog.New(slog.DiscardHandler)
		if os.Getenv(asVictim) == direct {
			c.Limits = documentedLimits()
			c.Limits.NamespaceRequestsPerSecond = generous.NamespaceRequestsPerSecond // Callers who wait come all at once.
			return
		}
		c.Limits, c.TrustedProxies = generous, []string{"127.0.0.0/8"}
		c.Limits.FailuresPerMinute = documentedLimits().FailuresPerMinute
		c.Timeouts = guard.Timeouts{Header: 5 * time.Second, Read: 5 * time.Second, Write: 30 * time.Second, Idle: 2 * time.Minute}
	})
	v := victim{Key: f.key("team", ""), Keys: map[string][]string{}, Jobs: map[string]string{}}
	f.spider("team", "books")
	v.Job = f.apply("team", "endless")
	for _, namespace := range []string{"one", "two"} {
		v.Jobs[namespace] = f.apply(namespace, "endless")
		for range guard.DefaultMaxConnections / documentedLimits().StreamsPerCaller {
			v.Keys[namespace] = append(v.Keys[namespace], f.key(namespace, ""))
		}
	}
	private := freeAddress(t)
	stop, ended := served(t, f, Options{MetricsListen: private, Config: draining(0, 30*time.Second)})
	v.URL, v.Private = f.url, "http://"+private
	answers := json.NewEncoder(os.Stdout)
	if err := answers.Encode(v); err != nil {
		t.Fatal(err)
	}
	for questions := bufio.NewScanner(os.Stdin); questions.Scan(); {
		state := victimState{Peak: peakMemory(t)}
		state.Open, state.Active, _ = f.server.guard.Connections().Count()
		if err := answers.Encode(state); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// peakMemory is the most memory that this process has had, in bytes.
func peakMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("this kernel does not tell how much memory a process has had")
	return 0
}

// newVictim starts the other process. end stops it, and waits until it has answered whoever it owes an answer.
func newVictim(t *testing.T, kind string) (v *victim, end func()) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.count=1")
	command.Env = append(os.Environ(), asVictim+"="+kind)
	command.Stderr = os.Stderr
	questions, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(output)
	v = &victim{}
	if err := answers.Decode(v); err != nil {
		t.Fatalf("the other process does not start: %v", err)
	}
	v.ask = func() victimState {
		t.Helper()
		var state victimState
		if _, err := fmt.Fprintln(questions); err != nil {
			t.Fatal(err)
		}
		if err := answers.Decode(&state); err != nil {
			t.Fatalf("the other process does not answer: %v", err)
		}
		return state
	}
	return v, func() {
		t.Helper()
		_ = questions.Close()
		_, _ = io.Copy(io.Discard, output)
		if err := command.Wait(); err != nil {
			t.Errorf("the other process ended with %v", err)
		}
	}
}

// connect opens connections, and sends the same beginning of a request on each.
func (v *victim) connect(t *testing.T, number int, text string) []net.Conn {
	t.Helper()
	return v.connectFrom(t, number, func(int) (from, sends string) { return "127.0.0.1", text })
}

// connectFrom opens connections, each from an address and with the beginning of a request on it.
func (v *victim) connectFrom(t *testing.T, number int, each func(i int) (from, sends string)) []net.Conn {
	t.Helper()
	connections := make([]net.Conn, number)
	for i := range connections {
		from, text := each(i)
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		connection, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(v.URL, "http://"))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		fmt.Fprint(connection, text)
		connections[i] = connection
	}
	return connections
}

// call makes a request and returns the answer's status; 0 where the server closed the connection instead.
func (v *victim) call(t *testing.T, client *http.Client, method, path, key, body, from string) int {
	request, err := http.NewRequestWithContext(t.Context(), method, v.URL+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("X-Forwarded-For", from)
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// honest starts and lists jobs until it is stopped, and holds that each call is answered. stop returns how many there were, and
// how long the slowest took.
func (v *victim) honest(t *testing.T) (stop func() (int, time.Duration)) {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	done, ended := make(chan struct{}), make(chan struct{})
	calls, slowest := 0, time.Duration(0)
	go func() {
		defer close(ended)
		for ; ; calls += 2 {
			start := time.Now()
			if status := v.call(
				t, client, http.MethodPost, "/api/v1/jobs", v.Key, `{"spider_name": "books"}`, "192.0.2.1",
			); status != http.StatusOK {
				t.Errorf("an honest start is answered %d", status)
			}
			if status := v.call(t, client, http.MethodGet, "/api/v1/jobs", v.Key, "", "192.0.2.1"); status != http.StatusOK {
				t.Errorf("an honest list is answered %d", status)
			}
			slowest = max(slowest, time.Since(start))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond): // It is not in a hurry: the others are who floods.
			}
		}
	}()
	return func() (int, time.Duration) {
		close(done)
		<-ended
		client.CloseIdleConnections()
		return calls, slowest
	}
}

// TestHonestCallersAreServedUnderLoad opens connections that send nothing, or their headers or bodies too slowly, sends bodies
// without end and JSON without bottom, floods with bad keys from many addresses, and has thousands of callers wait.
func TestHonestCallersAreServedUnderLoad(t *testing.T) {
	v, end := newVictim(t, proxied)
	before := v.ask().Peak
	stop := v.honest(t)

	const idle, slow, waiters = 2000, 300, 5000
	v.connect(t, idle, "")
	slowHeaders := v.connect(t, slow, "GET /api/v1/jobs HTTP/1.1\r\nHost: a\r\nX-A: ")
	slowBodies := v.connect(
		t, slow, "POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+v.Key+"\r\nContent-Length: 1000\r\n\r\n{",
	)
	waiting := v.connect(
		t, waiters, "GET /api/v1/jobs/"+v.Job+"?wait=5m HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+v.Key+"\r\n\r\n",
	)
	eventually(t, "all of them wait", func() bool { return v.ask().Active >= waiters })

	v.sendBodies(t)
	v.flood(t, 18_000) // More addresses than the table of them holds.
	for _, connection := range append(slowHeaders, slowBodies...) {
		eventually(t, "whoever is too slow is given up", func() bool { return hasEnded(connection) })
	}

	state := v.ask()
	calls, slowest := stop()
	t.Logf("%d connections and %d waiters: %d MiB of memory at the most, %d before; the slowest of %d pairs of honest calls took %s",
		state.Open, state.Active, state.Peak>>20, before>>20, calls/2, slowest)
	if state.Active < waiters {
		t.Errorf("%d callers still wait, want %d", state.Active, waiters)
	}
	// What lives is 32 KiB for each that waits; the collector lets about as much again pile up. The chart's limit is 512 MiB.
	if bound := 448 << 20; state.Peak > bound && !raceDetector {
		t.Errorf("the REST API took %d MiB, want at most %d", state.Peak>>20, bound>>20)
	}

	answered := make(chan int)
	go func() {
		number := 0
		for _, connection := range waiting {
			_ = connection.SetReadDeadline(time.Now().Add(time.Minute))
			if line, err := bufio.NewReader(connection).ReadString('\n'); err == nil && strings.HasPrefix(line, "HTTP/1.1 200 ") {
				number++
			}
		}
		answered <- number
	}()
	end()
	if number := <-answered; number != waiters {
		t.Errorf("%d of %d waiters were answered when the server stopped", number, waiters)
	}
}

// sendBodies sends what no honest caller does.
func (v *victim) sendBodies(t *testing.T) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for what, test := range map[string]struct {
		body string
		want int
	}{
		"too long":       {`{"a": "` + strings.Repeat("a", maxBody) + `"}`, http.StatusRequestEntityTooLarge},
		"deep":           {strings.Repeat(`[`, maxBody), http.StatusBadRequest},
		"deep arguments": {`{"spider_name": "books", "arguments": {"a": ` + strings.Repeat(`[`, 60_000) + strings.Repeat(`]`, 60_000) + `}}`, http.StatusBadRequest},
		"deep objects":   {strings.Repeat(`{"a":`, maxBody/5), http.StatusBadRequest},
	} {
		for range 20 {
			if status := v.call(t, client, http.MethodPost, "/api/v1/jobs", v.Key, test.body, "192.0.2.2"); status != test.want {
				t.Errorf("a body that is %s is answered %d, want %d", what, status, test.want)
			}
		}
	}
	// Whoever goes on sending may find the connection closed before the answer is read.
	for _, length := range []int64{-1, 100 << 30} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.URL+"/api/v1/jobs", io.NopCloser(zeros{}))
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		request.Header.Set("Authorization", "Bearer "+v.Key)
		response, err := client.Do(request)
		if err != nil {
			continue
		}
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body without end is answered %d", response.StatusCode)
		}
		_ = response.Body.Close()
	}
	if status := v.call(
		t, client, http.MethodGet, "/api/v1/jobs?cursor="+strings.Repeat("a", guard.MaxURI), v.Key, "", "192.0.2.2",
	); status != http.StatusRequestURITooLong {
		t.Errorf("a long address is answered %d", status)
	}
	if status := v.call(
		t, client, http.MethodGet, "/api/v1/jobs", v.Key+strings.Repeat("a", 2*guard.MaxHeader), "", "192.0.2.2",
	); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long headers are answered %d", status)
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// flood sends a bad key from each of many addresses, and as many from one.
func (v *victim) flood(t *testing.T, addresses int) {
	t.Helper()
	const senders = 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	bad := auth.NewKey().Reveal()
	var all sync.WaitGroup
	var refused, limited atomic.Int64
	for sender := range senders {
		all.Go(func() {
			for i := sender; i < addresses; i += senders {
				for _, from := range []string{fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "192.0.2.3"} {
					switch v.call(t, client, http.MethodGet, "/api/v1/jobs", bad, "", from) {
					case http.StatusUnauthorized:
						refused.Add(1)
					case http.StatusTooManyRequests:
						limited.Add(1)
					}
				}
			}
		})
	}
	all.Wait()
	// The address that sends so many is allowed its 30 a minute; each of the others is a stranger.
	if refused.Load()+limited.Load() != int64(2*addresses) || refused.Load() < int64(addresses) ||
		limited.Load() < int64(addresses)*9/10 {
		t.Errorf("of %d bad keys %d were refused and %d limited", 2*addresses, refused.Load(), limited.Load())
	}
}

// documentedLimits are those of a REST API that is given none.
func documentedLimits() guard.Limits {
	config := configv1alpha1.DefaultAPIServer()
	return limits(&config)
}
