package podlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// apiServer answers requests for logs as an API server does.
func apiServer(t *testing.T, answer http.HandlerFunc) Source {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return NewSource(client)
}

func TestSourceAsksForTheLog(t *testing.T) {
	source := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL)
	})
	lines := int64(7)
	body, err := source.Open(t.Context(), target("a"), &corev1.PodLogOptions{Container: "spider", Follow: true, TailLines: &lines})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	want := "GET /api/v1/namespaces/shop/pods/a/log?container=spider&follow=true&tailLines=7"
	if err != nil || string(got) != want {
		t.Errorf("asked for %s (%v), want %s", got, err, want)
	}
}

func TestSourceTellsAPodThatIsGoneFromAKubeletThatDoesNotKnowIt(t *testing.T) {
	status := func(w http.ResponseWriter, code int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
	for name, test := range map[string]struct {
		code int
		body string
		gone bool
	}{
		"gone": {404, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
			`"message":"pods \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"pods"},"code":404}`, true},
		"not known to the kubelet": {404, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
			`"message":"the server could not find the requested resource ( pods/log a)","reason":"NotFound",` +
			`"details":{"name":"a","kind":"pods/log"},"code":404}`, false},
		"not known, as its node": {404, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
			`"message":"nodes \"n\" not found","reason":"NotFound","details":{"name":"n","kind":"nodes"},"code":404}`, false},
		"an answer of something between": {404, `404 page not found`, false},
		"an error":                       {500, `oops`, false},
	} {
		t.Run(name, func(t *testing.T) {
			source := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { status(w, test.code, test.body) })
			_, err := source.Open(t.Context(), target("a"), &corev1.PodLogOptions{})
			if err == nil || isGone(err) != test.gone || isGone(fmt.Errorf("reading: %w", err)) != test.gone {
				t.Errorf("%v (%T), taken for gone: %v", err, err, isGone(err))
			}
		})
	}
}

func TestSourceStopsReadingWithItsContext(t *testing.T) {
	source := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a line\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	body, err := source.Open(ctx, target("a"), &corev1.PodLogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(body); !errors.Is(err, context.Canceled) {
		t.Errorf("reading on gave %v", err)
	}
}
