package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/rest"

	"github.com/scrapethis/spider-operator/controllers"
)

// replica is a running controller.
type replica struct {
	wire *wire
	log  *logLines
	// done is closed when it has stopped; then err says how.
	done   chan struct{}
	err    error
	cancel context.CancelFunc
}

// options are a replica's settings, which a test may change.
func options(namespace string) controllers.Options {
	opts := controllers.DefaultOptions()
	opts.Namespaces = []string{namespace}
	opts.Config.Workers = 4
	opts.MetricsListen = ""
	opts.Config.SpiderImage = "spiders:1"
	opts.Config.DefaultGracePeriod.Duration = 10 * time.Second
	return opts
}

// startReplica starts a controller, which dies as d says, and at the latest with the test.
func startReplica(t *testing.T, opts controllers.Options, d death) *replica {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{wire: &wire{death: d, died: make(chan struct{}), stop: cancel}, log: &logLines{},
		done: make(chan struct{}), cancel: cancel}
	config := rest.CopyConfig(cluster.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			return r.wire.pass(next, request)
		})
	})
	opts.Log = slog.New(logr.ToSlogHandler(r.log.logger()))
	go func() {
		defer close(r.done)
		r.err = controllers.Run(ctx, config, opts)
	}()
	t.Cleanup(func() {
		r.stop()
		if !r.wire.isDead() && r.err != nil {
			t.Errorf("the controller stopped with an error: %v", r.err)
		}
		if t.Failed() {
			t.Logf("the controller (dies %s) said:\n%s\nand called:\n%s", d, r.log, joined(r.wire.noted()))
		}
	})
	return r
}

// stop stops the controller as a SIGTERM does, and waits for its end.
func (r *replica) stop() {
	r.cancel()
	<-r.done
}

// kill stops the controller as a SIGKILL does: nothing of it reaches kube-apiserver from now on.
func (r *replica) kill() { r.wire.cut() }

// count returns the number of calls of a kind, as in "create jobs".
func (r *replica) count(kind string) int {
	n := 0
	for _, c := range r.wire.noted() {
		if c.kind() == kind {
			n++
		}
	}
	return n
}

// writes returns the writes so far.
func (r *replica) writes() []string {
	var kinds []string
	for _, c := range r.wire.noted() {
		if c.write() {
			kinds = append(kinds, c.kind())
		}
	}
	return kinds
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// logLines is a log that is shown only if the test fails.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, fmt.Sprintf("%s %s %s", time.Now().Format("15:04:05.000"), prefix, args))
	}, funcr.Options{})
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-200):], "\n")
}

func joined(calls []call) string {
	lines := make([]string, 0, len(calls))
	for i, c := range calls {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, c))
	}
	return strings.Join(lines, "\n")
}
