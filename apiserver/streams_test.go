package apiserver

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

func TestWaiterWhoseKeyIsRevokedIsToldNothing(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.StreamsPerCaller = 1 })
	var object *v1alpha1.APIKey
	key := f.key("team", "", func(k *v1alpha1.APIKey) { object = k })
	id := f.apply("team", "a")
	waiting := f.waiting(t, key, "/api/v1/jobs/"+id+"?wait=30s")
	compact, err := auth.FromAPIKey(object)
	if err != nil {
		t.Fatal(err)
	}
	f.keys.Delete("", compact)
	f.cluster.update(t, "team", "a", finishedOne)
	(<-waiting).wantProblem(http.StatusUnauthorized, "unauthorized")
}

// revocable are accounts whose rights may change while requests are served.
type revocable struct {
	mu sync.Mutex
	accounts
}

func (r *revocable) Authorize(ctx context.Context, namespace string, account *auth.Account, access auth.Access) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accounts.Authorize(ctx, namespace, account, access)
}

func (r *revocable) may(rights ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rights = rights
}

func TestServiceAccountWhoseRightIsTakenIsToldNoMore(t *testing.T) {
	t.Parallel()
	known := &revocable{accounts: accounts{token: crawlersToken}}
	f := newTestAPI(t, func(c *Config) {
		c.Authenticator, c.Authorizer = auth.ByForm{Keys: c.Authenticator, Tokens: known}, known
		c.Limits.StreamsPerCaller = 2
	})
	known.may("crawler team watch spiderjobs", "crawler team get spiderjobs")
	id := f.apply("team", "a")
	events := f.open(crawlersToken, eventsPath)
	events.want("ready", "")
	waiting := f.waiting(t, crawlersToken, "/api/v1/jobs/"+id+"?wait=30s")
	known.may()
	time.AfterFunc(guard.CheckInterval, func() { f.cluster.update(t, "team", "a", finishedOne) })
	events.want("end", `{"reason":"unauthorized"}`)
	events.wantEnd()
	(<-waiting).wantProblem(http.StatusForbidden, "access_denied")
}

func finishedOne(job *v1alpha1.SpiderJob) {
	job.Status.Phase, job.Status.FinishedAt = v1alpha1.PhaseFinished, at(10, 35)
}
