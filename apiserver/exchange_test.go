package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
)

// lingering is a Kubernetes the client of which looks at what it was given after it has answered.
type lingering struct {
	*cluster
	looking sync.WaitGroup
	late    func(context.Context)
}

func (l *lingering) linger(ctx context.Context) {
	l.looking.Go(func() { l.late(ctx) })
}

func (l *lingering) Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderJob, error) {
	l.linger(ctx)
	return l.cluster.Get(ctx, namespace, name)
}

func (l *lingering) Create(ctx context.Context, job *v1alpha1.SpiderJob) (*v1alpha1.SpiderJob, error) {
	l.linger(ctx)
	return l.cluster.Create(ctx, job)
}

func (l *lingering) Cancel(
	ctx context.Context, namespace, name, resourceVersion string, cancellation v1alpha1.Cancellation,
) (*v1alpha1.SpiderJob, error) {
	l.linger(ctx)
	return l.cluster.Cancel(ctx, namespace, name, resourceVersion, cancellation)
}

// A client that dials for a request that has given up meanwhile goes on dialling with the request's context.
func TestClientsOfKubernetesMayKeepTheContextOfARequest(t *testing.T) {
	kubernetes := &lingering{}
	f := newTestAPI(t, func(c *Config) { kubernetes.cluster, c.Kubernetes = c.Kubernetes.(*cluster), kubernetes })
	type given struct{ before, after string }
	var mu sync.Mutex
	var seen []given
	answered := make(chan struct{})
	kubernetes.late = func(ctx context.Context) {
		before := exchange.Of(ctx).RequestID
		<-answered
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, given{before, exchange.Of(ctx).RequestID})
	}
	key := f.key("team", "")
	f.spider("team", "books")
	for i := range 20 {
		f.cancel(key, f.started(key, fmt.Sprintf(`{"spider_name": "books", "arguments": {"a": %d}}`, i))).want(http.StatusOK)
		f.get(key, "/api/v1/jobs/"+uuid.NewString()).want(http.StatusNotFound)
	}
	close(answered)
	kubernetes.looking.Wait()
	for _, g := range seen {
		if g.before == "" || g.before != g.after {
			t.Fatalf("the context of request %q has become that of %q", g.before, g.after)
		}
	}
}
