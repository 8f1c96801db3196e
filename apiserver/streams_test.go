package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// timed is an answer that remembers how long it has for the next write.
type timed struct {
	*httptest.ResponseRecorder
	deadline time.Time
	// written are the deadlines that there were at each write.
	written []time.Time
}

func (t *timed) SetWriteDeadline(deadline time.Time) error {
	t.deadline = deadline
	return nil
}

func (t *timed) Write(p []byte) (int, error) {
	t.written = append(t.written, t.deadline)
	return t.ResponseRecorder.Write(p)
}

// A reader may be slow for as long as any answer's, and a stream silent for as long as it likes.
func TestStreamHasTimeForEachWriteAndNoneBetween(t *testing.T) {
	const writeTime = 30 * time.Second
	answer := &timed{ResponseRecorder: httptest.NewRecorder()}
	s := &stream{
		writer: answer, connection: http.NewResponseController(answer), ctx: t.Context(), checked: time.Now(),
		review: func(context.Context) error { return nil }, writeTime: writeTime,
	}
	for range 2 {
		begun := time.Now()
		if _, err := s.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if left := answer.written[len(answer.written)-1].Sub(begun); left < writeTime {
			t.Errorf("a write has %s, want %s", left, writeTime)
		}
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		if !answer.deadline.IsZero() {
			t.Errorf("between two writes the stream has until %s", answer.deadline)
		}
	}
}

func TestWaiterWhoseKeyIsRevokedIsToldNothing(t *testing.T) {
	f := newFacade(t, func(c *Config) { c.Limits.StreamsPerCaller = 1 })
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
	known := &revocable{accounts: accounts{token: crawlersToken}}
	f := newFacade(t, func(c *Config) {
		c.Authenticator, c.Authorizer = auth.ByForm{Keys: c.Authenticator, Tokens: known}, known
		c.Limits.StreamsPerCaller = 2
	})
	known.may("crawler team watch spiderjobs", "crawler team get spiderjobs")
	id := f.apply("team", "a")
	events := f.open(crawlersToken, eventsPath)
	events.want("ready", "")
	waiting := f.waiting(t, crawlersToken, "/api/v1/jobs/"+id+"?wait=30s")
	known.may()
	time.AfterFunc(checkInterval, func() { f.cluster.update(t, "team", "a", finishedOne) })
	events.want("end", `{"reason":"unauthorized"}`)
	events.wantEnd()
	(<-waiting).wantProblem(http.StatusForbidden, "access_denied")
}

func finishedOne(job *v1alpha1.SpiderJob) {
	job.Status.Phase, job.Status.FinishedAt = v1alpha1.PhaseFinished, at(10, 35)
}
