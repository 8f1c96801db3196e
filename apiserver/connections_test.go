package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/guard"
)

func dial(t *testing.T, f *testAPI) net.Conn {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// isClosed reports whether the server has closed a connection on which it has nothing to say.
func isClosed(connection net.Conn) bool {
	_ = connection.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := connection.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestConnectionsWithoutAKeyMakeRoom(t *testing.T) {
	const most, lasting = 20, 15
	f := newTestAPI(t, func(c *Config) { c.MaxConnections = most })
	key := f.key("team", "")
	id := f.apply("team", "endless")
	served(t, f, Options{Config: draining(0, 30*time.Second)})
	count := func() (open, onPurpose int) {
		open, onPurpose, _ = f.server.guard.Connections().Count()
		return open, onPurpose
	}

	// Some send nothing, some no end of headers, and some no body: none of them shows a key.
	beginnings := []string{
		"",
		"GET /api/v1/jobs HTTP/1.1\r\nHost: a\r\nX-A: ",
		"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
	}
	var keyless []net.Conn
	for i := range most {
		connection := dial(t, f)
		fmt.Fprint(connection, beginnings[i%len(beginnings)])
		keyless = append(keyless, connection)
	}
	f.get(key, "/api/v1/jobs").want(http.StatusOK)
	eventually(t, "the oldest connection is closed", func() bool { return isClosed(keyless[0]) })
	if isClosed(keyless[most-2]) {
		t.Error("a young connection was closed too")
	}

	// Whoever waits for an answer stays, and those without a key go.
	var waiting []net.Conn
	for range lasting {
		connection := dial(t, f)
		fmt.Fprintf(connection, "GET /api/v1/jobs/%s?wait=5m HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", id, key)
		waiting = append(waiting, connection)
		eventually(t, "the waiter is served", func() bool { _, onPurpose := count(); return onPurpose == len(waiting) })
	}
	for range most {
		dial(t, f)
	}
	for _, connection := range keyless {
		eventually(t, "every connection from before is closed", func() bool { return hasEnded(connection) })
	}
	f.get(key, "/api/v1/jobs/"+id+"?wait=5m").wantProblem(http.StatusTooManyRequests, "too_many_streams", "server", "namespace")
	f.get(key, "/api/v1/jobs").want(http.StatusOK) // A call that does not wait has room.
	eventually(t, "there are never more than may be", func() bool { open, _ := count(); return open <= most })
	f.server.Stop()
	for _, connection := range waiting {
		if status := statusOn(t, f, connection); status != http.StatusOK {
			t.Fatalf("a waiter is answered %d", status)
		}
	}
}

// statusOn reads an answer from a connection; 0 is none.
func statusOn(t *testing.T, f *testAPI, connection net.Conn) int {
	t.Helper()
	_ = connection.SetReadDeadline(time.Now().Add(30 * time.Second))
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// An answer that does not depend on the body does not wait for it, nor does the connection: not for as long as bodies have.
func TestBodyThatNeverComesHoldsNoConnection(t *testing.T) {
	f := newTestAPI(t)
	served(t, f, Options{Config: draining(0, 30*time.Second)})
	key := f.key("team", "")
	id := f.apply("team", "endless")
	const never = "Content-Length: 9\r\n\r\n"
	begun := time.Now()
	for what, test := range map[string]struct {
		request string
		want    int
	}{
		"a probe":                  {"GET /livez HTTP/1.1\r\nHost: a\r\n" + never, http.StatusOK},
		"a probe, in chunks":       {"GET /readyz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", http.StatusOK},
		"a page":                   {"GET /docs HTTP/1.1\r\nHost: a\r\n" + never, http.StatusOK},
		"no address":               {"POST /nowhere HTTP/1.1\r\nHost: a\r\n" + never, http.StatusNotFound},
		"no key":                   {"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\n" + never, http.StatusUnauthorized},
		"another type":             {"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nAuthorization: Bearer " + key + "\r\n" + never, http.StatusUnsupportedMediaType},
		"a read with a key":        {"GET /api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key + "\r\n" + never, http.StatusBadRequest},
		"a wait with a key":        {"GET /api/v1/jobs/" + id + "?wait=5m HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key + "\r\n" + never, http.StatusBadRequest},
		"events with a key":        {"GET /api/v1/jobs/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key + "\r\n" + never, http.StatusBadRequest},
		"a body that is announced": {"GET /livez HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + never, http.StatusOK},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			connection := dial(t, f)
			fmt.Fprint(connection, test.request)
			if status := statusOn(t, f, connection); status != test.want {
				t.Errorf("answer %d, want %d", status, test.want)
			}
			eventually(t, "its connection ends", func() bool { return hasEnded(connection) })
			if took := time.Since(begun); took > guard.DefaultTimeouts.Read/2 {
				t.Errorf("that took %s", took)
			}
		})
	}
}

// A body that comes keeps its connection, though the answer did not need it.
func TestBodyThatComesKeepsItsConnection(t *testing.T) {
	f := newTestAPI(t)
	served(t, f, Options{Config: draining(0, 30*time.Second)})
	connection := dial(t, f)
	_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	answers := bufio.NewReader(connection)
	for range 3 {
		fmt.Fprint(connection, "POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
		time.Sleep(10 * time.Millisecond) // On a network the body comes after its headers.
		fmt.Fprint(connection, `{"a": "b"`)
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(
			io.Discard,
			response.Body,
		); err != nil || response.StatusCode != http.StatusUnauthorized ||
			response.Close {
			t.Errorf("answer %d, %v; the connection is closed: %t", response.StatusCode, err, response.Close)
		}
		_ = response.Body.Close()
	}
}

// A caller that sends headers of a body, and the body, is noticed to be gone as any other is.
func TestWhoeverIsGoneWaitsNoLongerWhateverItHasSent(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.StreamsPerCaller = 1 })
	served(t, f, Options{Config: draining(0, 30*time.Second)})
	key := f.key("team", "")
	id := f.apply("team", "endless")
	onPurpose := func() int {
		_, number, _ := f.server.guard.Connections().Count()
		return number
	}
	for _, path := range []string{"/api/v1/jobs/" + id + "?wait=5m", eventsPath} {
		connection := dial(t, f)
		fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", path, key)
		eventually(t, "it is served", func() bool { return onPurpose() == 1 })
		if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is given up", func() bool { return onPurpose() == 0 })
	}
}

// Where all room for waits is taken, a namespace that has less than another is given what it needs, one by one.
func TestNamespacesShareTheRoomForWaits(t *testing.T) {
	const room = 6
	f := newTestAPI(t, func(c *Config) { c.MaxConnections = room / 3 * 4 })
	served(t, f, Options{Config: draining(0, 30*time.Second)})
	greedy, modest := f.key("greedy", ""), f.key("modest", "")
	greedys, modests := f.apply("greedy", "endless"), f.apply("modest", "endless")
	onPurpose := func() int {
		_, number, _ := f.server.guard.Connections().Count()
		return number
	}
	var waiting []<-chan answer
	wait := func(key, id string) {
		answered := make(chan answer, 1)
		go func() { answered <- f.get(key, "/api/v1/jobs/"+id+"?wait=5m") }()
		waiting = append(waiting, answered)
	}
	for i := range room {
		wait(greedy, greedys)
		eventually(t, "it waits", func() bool { return onPurpose() == i+1 })
	}
	for i := range room / 2 {
		wait(modest, modests)
		a := (<-waiting[i]).want(http.StatusOK) // The oldest of the greedy: answered, with the job as it is.
		if !strings.Contains(a.body, `"pending"`) || !a.closed {
			t.Errorf("a wait that makes room is answered %s; its connection ends: %t", a.body, a.closed)
		}
		eventually(t, "the other one waits", func() bool { return onPurpose() == room })
	}
	for key, id := range map[string]string{greedy: greedys, modest: modests} {
		a := f.get(key, "/api/v1/jobs/"+id+"?wait=5m")
		a.wantProblem(http.StatusTooManyRequests, "too_many_streams", "namespace")
		if a.header.Get("Retry-After") == "" {
			t.Error("it is not said when to try again")
		}
	}
	f.server.Stop()
	for _, answered := range waiting[room/2:] {
		(<-answered).want(http.StatusOK)
	}
}

// hasEnded reports whether the server has closed a connection, having said what it had to say.
func hasEnded(connection net.Conn) bool {
	_ = connection.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := io.Copy(io.Discard, connection)
	timeout, ok := err.(net.Error) //nolint:errorlint // as net returns it
	return !ok || !timeout.Timeout()
}
