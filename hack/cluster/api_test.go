package main

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestAContainerRuntimeServesWhenItAnswers checks that a container runtime that listens does not count as serving before it
// answers: after a restart containerd refuses every call until it knows what runs.
func TestAContainerRuntimeServesWhenItAnswers(t *testing.T) {
	var answer http.HandlerFunc
	socket := filepath.Join(t.TempDir(), "runtime.sock")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Protocols: &protocols,
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }),
	}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })

	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		wrong  string // part of the error, "" for none
	}{
		{"it has begun and is not ready", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "2")
			w.Header().Set("Grpc-Message", "server is not initialized yet")
		}, "not initialized"},
		{"it answers", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/runtime.v1.RuntimeService/Version" || r.Header.Get("Te") != "trailers" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write([]byte("\x00\x00\x00\x00\x00"))
			w.Header().Set("Grpc-Status", "0")
		}, ""},
		{"it is something else", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer = c.answer
			err := new(client).serves(context.Background(), socket)
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("got %v, want something with %q", err, c.wrong)
			}
		})
	}
	if err := new(client).serves(context.Background(), socket+".none"); err == nil || !strings.Contains(err.Error(), socket) {
		t.Errorf("without a listener: %v", err)
	}
}
