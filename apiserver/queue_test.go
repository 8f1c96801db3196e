package apiserver

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// waiting is a job that limits hold back, as the controller records it.
func waiting(job *v1alpha1.SpiderJob) {
	job.Status.Phase, job.Status.Reason = v1alpha1.PhasePending, v1alpha1.ReasonQueued
	job.Status.Message = "waits for 1 of 3 places of group shop.example"
}

// admitted is a job that has a Job, which a queue may hold back as well.
func admitted(job *v1alpha1.SpiderJob) {
	job.Status.Phase, job.Status.Reason, job.Status.JobUID = v1alpha1.PhasePending, v1alpha1.ReasonQueued, "u"
}

func ofBob(job *v1alpha1.SpiderJob) { job.Spec.UserID = "bob" }

func TestAFullQueueTakesNoMore(t *testing.T) {
	f := newTestAPI(t)
	for _, namespace := range []string{"team", "other"} {
		f.spider(namespace, "books")
	}
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxQueued: 4, MaxQueuedPerUser: 2})
	alice, bob, all := f.key("team", "alice"), f.key("team", "bob"), f.key("team", "")
	const plain = `{"spider_name": "books"}`
	full := func(a answer, says string) {
		t.Helper()
		a.wantProblem(http.StatusTooManyRequests, "queue_full", says)
		if a.header.Get("Retry-After") == "" {
			t.Error("it does not say after how long to try again")
		}
	}
	first := f.started(alice, plain)
	f.cluster.update(t, "team", first, waiting)
	f.apply("team", "by-kubectl", ofAlice)
	full(f.start(alice, plain), "This user has 2 jobs")
	full(f.rerun(alice, first, ""), "This user has 2 jobs")
	f.started(bob, plain)
	f.started(all, plain)
	full(f.start(all, plain), "This namespace has 4 jobs")
	for range 3 {
		f.started(f.key("other", ""), plain)
	}

	// What kubectl makes waits, and counts.
	f.apply("team", "one-more", ofBob)
	f.cluster.update(t, "team", first, admitted)
	full(f.start(all, plain), "This namespace has 4 jobs")
	f.cluster.delete("team", "one-more")
	second := f.started(alice, plain)
	full(f.start(alice, plain), "This user has 2 jobs")
	f.cancel(alice, second).want(http.StatusOK) // What is to be stopped does not wait for its start.
	third := f.started(alice, plain)
	f.cluster.update(t, "team", third, finish)
	f.started(alice, plain)

	f.quota("team", v1alpha1.SpiderQuotaSpec{})
	for range 5 {
		f.started(alice, plain)
	}
}

// A start that was recorded is no start too many when it is sent again.
func TestARepeatedStartIsNotRefusedByAFullQueue(t *testing.T) {
	f := newTestAPI(t)
	f.spider("team", "books")
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxQueued: 1})
	start := func(once string) answer {
		return f.send(call{
			method: http.MethodPost, path: "/api/v1/jobs", key: f.key("team", ""), body: `{"spider_name": "books"}`,
			header: map[string]string{"Content-Type": "application/json", "Idempotency-Key": once},
		})
	}
	made := start("a").want(http.StatusOK)
	if again := start("a").want(http.StatusOK); again.body != made.body {
		t.Errorf("the same again made %s, want %s", again.body, made.body)
	}
	start("b").wantProblem(http.StatusTooManyRequests, "queue_full")
}

func TestStartsAtOnceDoNotOverfillTheQueue(t *testing.T) {
	const most = 5
	f := newTestAPI(t)
	f.spider("team", "books")
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxQueuedPerUser: most})
	key := f.key("team", "alice")
	f.cluster.held = true // The watch shows them later.
	var made atomic.Int64
	var starting sync.WaitGroup
	for range 40 {
		starting.Go(func() {
			if f.start(key, `{"spider_name": "books"}`).status == http.StatusOK {
				made.Add(1)
			}
		})
	}
	starting.Wait()
	for f.start(key, `{"spider_name": "books"}`).status == http.StatusOK { // A job and its reservation may have counted both.
		made.Add(1)
	}
	if n := made.Load(); n != most {
		t.Errorf("%d jobs were started at once, want %d", n, most)
	}
}

func TestSchedulesMakeNoMoreThanTheQueueTakes(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	f.spider("team", "books")
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxQueuedPerUser: 3})
	path := schedulesPath + "/" + f.scheduled("team", "nightly", booksNightly)
	f.post(key, path+"/run", ``).want(http.StatusOK)
	const days = `{"start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z"}`
	f.post(key, path+"/backfill", days).want(http.StatusOK).
		wantJSON(`{"created": 2, "existing": 0, "skipped": 0, "next": "2025-01-01T12:00:00Z", "stopped_by": "queue_full"}`)
	f.post(key, path+"/run", ``).wantProblem(http.StatusTooManyRequests, "queue_full", "This user has 3 jobs")
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxQueued: 4})
	f.post(key, path+"/backfill", days).want(http.StatusOK).
		wantJSON(`{"created": 1, "existing": 2, "skipped": 0, "next": "2025-01-01T18:00:00Z", "stopped_by": "queue_full"}`)
}
