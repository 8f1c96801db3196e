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
)

func dial(t *testing.T, f *facade) net.Conn {
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

func TestConnectionsWithoutARequestMakeRoom(t *testing.T) {
	const most = 20
	f := newFacade(t, func(c *Config) { c.MaxConnections = most })
	key := f.key("team", "")
	id := f.apply("team", "endless")
	served(t, f, Options{DrainTimeout: 30 * time.Second})
	open := func() int {
		count, _, _ := f.server.guard.Connections().Count()
		return count
	}

	// Some send nothing, some no end of headers: neither kind is a request yet.
	var idle []net.Conn
	for i := range most {
		connection := dial(t, f)
		if i%2 == 1 {
			fmt.Fprint(connection, "GET /api/v1/jobs HTTP/1.1\r\nHost: a\r\nX-A: ")
		}
		idle = append(idle, connection)
	}
	eventually(t, "all connections are open", func() bool { return open() == most })
	f.get(key, "/api/v1/jobs").want(http.StatusOK)
	eventually(t, "the oldest connection is closed", func() bool { return isClosed(idle[0]) })
	if isClosed(idle[most-1]) {
		t.Error("the youngest connection was closed too")
	}

	// Whoever waits for an answer has a request: it stays, and the idle ones go.
	var waiting []net.Conn
	for range most {
		connection := dial(t, f)
		fmt.Fprintf(connection, "GET /api/v1/jobs/%s?wait=5m HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", id, key)
		waiting = append(waiting, connection)
		eventually(t, "the waiter is served", func() bool {
			_, active, _ := f.server.guard.Connections().Count()
			return active >= len(waiting)
		})
	}
	for _, connection := range idle {
		eventually(t, "every idle connection is closed", func() bool { return isClosed(connection) })
	}
	late := dial(t, f)
	eventually(t, "there is no room for another one", func() bool { return isClosed(late) })
	f.server.Stop()
	for _, connection := range waiting {
		_ = connection.SetReadDeadline(time.Now().Add(30 * time.Second))
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(connection), request)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("a waiter is answered %v, error %v", response, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}
