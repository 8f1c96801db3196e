package apiserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestAFollowerIsGoneWhateverItSent has callers that leave a log which says nothing. Nothing is written to them by which that
// could be found out.
func TestAFollowerIsGoneWhateverItSent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rest    string // of the request, behind what all have
		then    string // sent once the answer has begun
		half    bool   // only the sending side is closed
		refused bool   // a body that does not come
	}{
		"nothing more":                 {rest: "\r\n"},
		"that its connection ends":     {rest: "Connection: close\r\n\r\n"},
		"that it wants to keep it":     {rest: "Connection: keep-alive\r\n\r\n"},
		"another protocol":             {rest: "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		"a body":                       {rest: "Content-Length: 3\r\n\r\nabc"},
		"a body of chunks":             {rest: "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		"a body that never comes":      {rest: "Content-Length: 10\r\n\r\n", refused: true},
		"a part of a body":             {rest: "Content-Length: 10\r\n\r\nabc", refused: true},
		"a body of chunks without end": {rest: "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", refused: true},
		"another request behind it":    {rest: "\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"},
		"another request later":        {rest: "\r\n", then: "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"},
		"much later":                   {rest: "\r\n", then: strings.Repeat("x", 100_000)},
		"the end of what it sends":     {rest: "\r\n", half: true},
		"more, and the end of it":      {rest: "\r\n", then: "GET /livez HTTP/1.1\r\n", half: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTestAPI(t)
			key := f.key("team", "")
			id, _ := f.running(t, "team", "a-job")
			served(t, f, Options{})
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = connection.Close() }()
			fmt.Fprintf(
				connection, "GET /api/v1/jobs/%s/logs?follow=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s", id, key, test.rest,
			)
			answer := bufio.NewReader(connection)
			status, err := answer.ReadString('\n')
			if err != nil || strings.Contains(status, " 400 ") != test.refused {
				t.Fatalf("answer %q, %v", status, err)
			}
			if test.refused {
				return
			}
			eventually(t, "the log is followed", func() bool { return f.node.count() == 1 })
			fmt.Fprint(connection, test.then)
			if test.half {
				err = connection.(*net.TCPConn).CloseWrite()
			} else {
				err = connection.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			left := time.Now()
			eventually(t, "the log is followed no more", func() bool { return f.node.count() == 0 })
			if took := time.Since(left); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestAFollowerOfManyIsGone has one of several requests on a connection of HTTP/2 end, and then the connection.
func TestAFollowerOfManyIsGone(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id, _ := f.running(t, "team", "a-job")
	listening := httptest.NewUnstartedServer(f.server)
	listening.EnableHTTP2 = true
	listening.StartTLS()
	t.Cleanup(listening.Close)
	follow := func(ctx context.Context, body io.Reader) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, listening.URL+"/api/v1/jobs/"+id+"/logs?follow=true", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		response, err := listening.Client().Do(request)
		if err != nil || response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
			t.Fatalf("answer %+v, %v", response, err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	ctx, leave := context.WithCancel(t.Context())
	follow(ctx, http.NoBody)
	follow(t.Context(), strings.NewReader("abc"))
	eventually(t, "both follow", func() bool { return f.node.count() == 2 })
	leave()
	eventually(t, "one is gone", func() bool { return f.node.count() == 1 })
	listening.CloseClientConnections()
	eventually(t, "both are gone", func() bool { return f.node.count() == 0 })
}

// TestAFollowerByTLSIsGone has a caller that has sent more, and closes its connection without a word of TLS.
func TestAFollowerByTLSIsGone(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id, _ := f.running(t, "team", "a-job")
	listening := httptest.NewUnstartedServer(f.server)
	f.server.guard.Connections().Install(listening.Config)
	listening.StartTLS()
	t.Cleanup(listening.Close)
	transport, ok := listening.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatalf("transport %T", listening.Client().Transport)
	}
	plain, err := new(net.Dialer).DialContext(t.Context(), "tcp", listening.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := transport.TLSClientConfig.Clone()
	config.ServerName = "example.com"
	connection := tls.Client(plain, config)
	fmt.Fprintf(connection, "GET /api/v1/jobs/%s/logs?follow=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", id, key)
	if status, err := bufio.NewReader(connection).ReadString('\n'); err != nil || !strings.Contains(status, " 200 ") {
		t.Fatalf("answer %q, %v", status, err)
	}
	eventually(t, "the log is followed", func() bool { return f.node.count() == 1 })
	fmt.Fprint(connection, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is followed no more", func() bool { return f.node.count() == 0 })
}
