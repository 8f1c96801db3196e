package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

func TestNamespacesHaveCaps(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Caps = view.Caps{UnfinishedJobs: 3, ArgumentBytes: 1000} })
	for _, namespace := range []string{"team", "other"} {
		f.spider(namespace, "books")
	}
	alice, bob, other := f.key("team", "alice"), f.key("team", "bob"), f.key("other", "")
	const plain = `{"spider_name": "books"}`
	first := f.started(alice, plain)
	f.started(bob, plain)
	f.apply("team", "by-kubectl", withArguments(500))
	full := func() {
		t.Helper()
		a := f.start(bob, plain)
		a.wantProblem(http.StatusTooManyRequests, "too_many_jobs", "3 jobs")
		if a.header.Get("Retry-After") == "" {
			t.Error("it does not say after how long to try again")
		}
	}
	full()
	f.started(other, plain)
	f.cancel(alice, first).want(http.StatusOK)
	full() // What is cancelled has not ended yet.
	f.cluster.update(t, "team", first, func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseCancelled })
	const long = `{"spider_name": "books", "arguments": {"a": "%s"}}`
	f.start(bob, fmt.Sprintf(long, strings.Repeat("x", 500))).wantProblem(
		http.StatusTooManyRequests, "too_many_jobs", "1000 bytes", "arguments")
	second := f.started(bob, fmt.Sprintf(long, strings.Repeat("x", 499)))
	f.cluster.delete("team", "by-kubectl")
	f.started(bob, plain)
	full()
	f.cluster.update(t, "team", second, func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseFinished })
	f.start(bob, fmt.Sprintf(long, strings.Repeat("x", 500))).wantProblem(http.StatusTooManyRequests, "too_many_jobs", "1000 bytes")
	f.started(bob, plain) // Without arguments there is room.
}

// A start that was recorded is no start too many when it is sent again: here to a replica that has not seen the job.
func TestRepeatedStartIsNotOneTooMany(t *testing.T) {
	first, second := newTestAPI(t), newTestAPI(t, func(c *Config) { c.Caps = view.Caps{UnfinishedJobs: 1} })
	const body = `{"spider_name": "books"}`
	start := func(f *testAPI, body string) answer {
		return f.send(call{
			method: http.MethodPost, path: "/api/v1/jobs", key: f.key("team", ""), body: body,
			header: map[string]string{"Content-Type": "application/json", "Idempotency-Key": "nightly"},
		})
	}
	for _, f := range []*testAPI{first, second} {
		f.spider("team", "books")
	}
	made := start(first, body).want(http.StatusOK)
	second.apply("team", "another")
	second.cluster.held = true
	var id contract.StartedJob
	made.into(&id)
	if _, err := second.cluster.Create(t.Context(), first.cluster.job(t, "team", id.JobID)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := start(second, body).want(http.StatusOK); a.body != made.body {
			t.Errorf("a replica that has not seen the job answers %s, want %s", a.body, made.body)
		}
	}
	start(second, `{"spider_name": "books", "arguments": {"a": "b"}}`).wantProblem(http.StatusConflict, "idempotency_conflict")
	second.start(second.key("team", ""), body).wantProblem(http.StatusTooManyRequests, "too_many_jobs")
}

func TestStartsAtOnceDoNotOvershoot(t *testing.T) {
	const most = 7
	f := newTestAPI(t, func(c *Config) { c.Caps = view.Caps{UnfinishedJobs: most} })
	f.spider("team", "books")
	key := f.key("team", "")
	f.cluster.held = true // The watch shows them later.
	var made atomic.Int64
	var starting sync.WaitGroup
	for range 60 {
		starting.Go(func() {
			if f.start(key, `{"spider_name": "books"}`).status == http.StatusOK {
				made.Add(1)
			}
		})
	}
	starting.Wait()
	if n := made.Load(); n != most {
		t.Errorf("%d jobs were started at once, want %d", n, most)
	}
	if _, err := f.cluster.watch.Reserve("team", "", 0, view.Caps{UnfinishedJobs: most + 1}); err != nil {
		t.Errorf("room that was reserved is not given back: %v", err)
	}
}

func TestServerRefusesCapsBelowNothing(t *testing.T) {
	if _, err := New(Config{Caps: view.Caps{UnfinishedJobs: -1}}); err == nil || !strings.Contains(err.Error(), "at least 0") {
		t.Errorf("the error is %v", err)
	}
}
