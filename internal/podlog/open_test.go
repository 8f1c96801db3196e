package podlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// kubeAPIServer answers requests for logs as kube-apiserver does, of the Pod shop/a.
func kubeAPIServer(t *testing.T, answer http.HandlerFunc) Opener {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return Of(client.CoreV1(), "shop", "a")
}

func TestAskingForALog(t *testing.T) {
	open := kubeAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL)
	})
	log, err := Open(t.Context(), open, &corev1.PodLogOptions{Container: "spider", Follow: true, TailLines: new(int64(7))}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(log)
	want := "GET /api/v1/namespaces/shop/pods/a/log?container=spider&follow=true&tailLines=7"
	if err := errors.Join(err, log.Close()); err != nil || string(got) != want {
		t.Errorf("asked for %s (%v), want %s", got, err, want)
	}
}

func TestAPodThatIsGoneIsToldFromAKubeletThatDoesNotKnowIt(t *testing.T) {
	status := func(w http.ResponseWriter, code int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
	for name, test := range map[string]struct {
		code          int
		body          string
		gone, waiting bool
	}{
		"gone": {404, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
			`"message":"pods \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"pods"},"code":404}`, true, false},
		"not known to the kubelet": {404, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
			`"message":"the server could not find the requested resource ( pods/log a)","reason":"NotFound",` +
			`"details":{"name":"a","kind":"pods/log"},"code":404}`, false, false},
		"not known, as its node": {404, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
			`"message":"nodes \"n\" not found","reason":"NotFound","details":{"name":"n","kind":"nodes"},"code":404}`, false, false},
		"an answer of something between": {404, `404 page not found`, false, false},
		"not started": {400, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
			`"message":"container \"spider\" in pod \"a\" is waiting to start: ContainerCreating","reason":"BadRequest","code":400}`, false, true},
		"an error": {500, `oops`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			open := kubeAPIServer(t, func(w http.ResponseWriter, _ *http.Request) { status(w, test.code, test.body) })
			_, err := Open(t.Context(), open, &corev1.PodLogOptions{}, 0)
			if err == nil || IsGone(err) != test.gone || IsGone(fmt.Errorf("reading: %w", err)) != test.gone ||
				IsWaiting(err) != test.waiting {
				t.Errorf("%v (%T), taken for gone: %v, for waiting: %v", err, err, IsGone(err), IsWaiting(err))
			}
		})
	}
}

func TestReadingALogEndsWithItsContext(t *testing.T) {
	open := kubeAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a line\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	why := errors.New("nobody wants it")
	ctx, cancel := context.WithCancelCause(t.Context())
	log, err := Open(ctx, open, &corev1.PodLogOptions{Follow: true}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(log, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	cancel(why)
	if _, err := io.ReadAll(log); !errors.Is(err, why) {
		t.Errorf("reading on gave %v", err)
	}
}

func TestOpeningALogHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func(ctx context.Context, _ *corev1.PodLogOptions) (io.ReadCloser, error) {
			<-ctx.Done()
			return nil, errors.New("connection closed")
		}
		start := time.Now()
		if _, err := Open(t.Context(), never, &corev1.PodLogOptions{}, time.Minute); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		// One that answers at the last moment is closed, and one that was answered has no end.
		late := &closing{Reader: strings.NewReader("")}
		answered := func(ctx context.Context, _ *corev1.PodLogOptions) (io.ReadCloser, error) {
			<-ctx.Done()
			return late, nil
		}
		if _, err := Open(
			t.Context(), answered, &corev1.PodLogOptions{}, time.Minute,
		); !errors.Is(err, context.DeadlineExceeded) ||
			!late.closed {
			t.Errorf("closed: %v, %v", late.closed, err)
		}
		log, err := Open(t.Context(), opener("a"), &corev1.PodLogOptions{}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if text, err := io.ReadAll(log); string(text) != "a" || err != nil {
			t.Errorf("an hour later: %q, %v", text, err)
		}
	})
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// opener opens a log that has the text.
func opener(text string) Opener {
	return func(context.Context, *corev1.PodLogOptions) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

func TestARefusalIsNoLog(t *testing.T) {
	said := refusal + "containerd://0123456789abcdef"
	for name, test := range map[string]struct {
		text    string
		refused bool
	}{
		"a refusal":                   {said, true},
		"a refusal with a line's end": {said + "\n", true},
		"a log":                       {"one\ntwo\n", false},
		"nothing":                     {"", false},
		"the beginning of a refusal":  {refusal[:10], false},
		"a log that speaks of one":    {"unable to say: " + said, false},
		"a log that begins like one":  {refusal + strings.Repeat("x", maxRefusal), false},
		"a long log":                  {strings.Repeat("a line\n", 1000), false},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with its end": iotest.DataErrReader,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				open := func(context.Context, *corev1.PodLogOptions) (io.ReadCloser, error) {
					return io.NopCloser(wrap(strings.NewReader(test.text))), nil
				}
				log, err := Open(t.Context(), open, &corev1.PodLogOptions{}, 0)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(log)
				if test.refused {
					if len(text) > 0 || !IsRefused(err) || !strings.Contains(err.Error(), "0123456789abcdef") {
						t.Errorf("%q, %v", text, err)
					}
					return
				}
				if string(text) != test.text || err != nil {
					t.Errorf("%q, %v, want %q", text, err, test.text)
				}
			})
		}
	}
	t.Run("what is none is handed out at once", func(t *testing.T) {
		reader, writer := io.Pipe()
		open := func(context.Context, *corev1.PodLogOptions) (io.ReadCloser, error) { return reader, nil }
		log, err := Open(t.Context(), open, &corev1.PodLogOptions{Follow: true}, 0)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(writer, "unable\n") }()
		piece := make([]byte, 100)
		if n, err := log.Read(piece); string(piece[:n]) != "unable\n" || err != nil {
			t.Errorf("%q, %v", piece[:n], err)
		}
	})
}
