package apiserver

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
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

// wantPlace holds a job that is read to its place in the queue, as position and what it waits for; empty for none.
func (f *testAPI) wantPlace(key, id, want string) {
	f.t.Helper()
	got := ""
	if queue := f.shown(key, id).Queue; queue != nil {
		if queue.Position != nil {
			got = strconv.Itoa(*queue.Position)
		}
		if queue.WaitingFor != nil {
			got += " " + *queue.WaitingFor
		}
	}
	if got != want {
		f.t.Errorf("the place is %q, want %q", got, want)
	}
}

func TestAJobShowsItsPlaceInTheQueue(t *testing.T) {
	var now atomic.Int64
	f := newTestAPI(t, func(c *Config) { c.Now = func() time.Time { return time.Unix(now.Load(), 0) } })
	second := func() { now.Add(1) }
	alice, bob := f.key("team", "alice"), f.key("team", "bob")
	since := func(minute int) func(*v1alpha1.SpiderJob) {
		return func(job *v1alpha1.SpiderJob) { job.CreationTimestamp = *at(10, minute) }
	}
	// alice has more running. Her second run comes first, by its priority.
	for i := range 3 {
		f.apply("team", fmt.Sprint("running-", i), ofAlice, admitted, since(i))
	}
	f.apply("other", "running", ofAlice, waiting, since(0))
	first := f.apply("team", "a1", ofAlice, waiting, since(10))
	next := f.apply("team", "a2", ofAlice, waiting, since(11), func(job *v1alpha1.SpiderJob) { job.Spec.Priority = 1 })
	bobs := f.apply("team", "b1", ofBob, waiting, since(12), func(job *v1alpha1.SpiderJob) {
		job.Status.Message = "waits for its turn"
	})
	fresh := f.apply("team", "b2", ofBob, since(13)) // It waits, too, but nothing is known of it yet.
	f.apply("team", "b3", ofBob, since(9), func(job *v1alpha1.SpiderJob) { job.Status.Reason = v1alpha1.ReasonQuotaExceeded })
	const group = " 1 of 3 places of group shop.example"
	f.wantPlace(bob, bobs, "1 its turn")
	f.wantPlace(bob, fresh, "")
	f.wantPlace(alice, next, "3"+group)
	f.wantPlace(alice, first, "4"+group)

	// Positions are a second old at most, and so is what is known of who came since.
	f.quota("team", v1alpha1.SpiderQuotaSpec{Weights: []v1alpha1.UserWeight{{UserID: "alice", Weight: 10}}})
	tag := f.get(alice, "/api/v1/jobs/"+next).header.Get("ETag")
	late := f.apply("team", "a3", ofAlice, waiting, since(20))
	f.wantPlace(alice, next, "3"+group)
	f.wantPlace(alice, late, group)
	second()
	f.wantPlace(alice, next, "2"+group)
	f.wantPlace(alice, late, "4"+group)
	unchanged := func(tag string, want int) {
		t.Helper()
		f.send(call{
			method: http.MethodGet, path: "/api/v1/jobs/" + next, key: alice, header: map[string]string{"If-None-Match": tag},
		}).want(want)
	}
	unchanged(tag, http.StatusOK)
	unchanged(f.get(alice, "/api/v1/jobs/"+next).header.Get("ETag"), http.StatusNotModified)
	f.conditional(http.MethodPatch, alice, "/api/v1/jobs/"+next, `{"note": "x"}`, tag).want(http.StatusOK)

	for what, change := range map[string]func(*v1alpha1.SpiderJob){
		"it has a Job":    admitted,
		"it is cancelled": func(job *v1alpha1.SpiderJob) { job.Spec.Cancellation = &v1alpha1.Cancellation{} },
		"it has ended":    finish,
	} {
		t.Log(what)
		f.wantPlace(alice, f.apply("team", "then", ofAlice, waiting, change), "")
		f.cluster.delete("team", "then")
	}
}

func TestPositionsEndAtAThousand(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "alice")
	var last, beyond string
	for i := range 1001 {
		id := f.apply("team", fmt.Sprint("job-", i), ofAlice, waiting, func(job *v1alpha1.SpiderJob) {
			job.CreationTimestamp = metav1.Unix(1_700_000_000+int64(i), 0)
		})
		last, beyond = beyond, id
	}
	f.wantPlace(key, last, "1000 1 of 3 places of group shop.example")
	f.wantPlace(key, beyond, " 1 of 3 places of group shop.example")
}

func TestTheQueueTellsLimitsAndTotals(t *testing.T) {
	f := newTestAPI(t)
	grouped := func(name string) func(*v1alpha1.Spider) {
		return func(s *v1alpha1.Spider) { s.Spec.Concurrency = &v1alpha1.Concurrency{Group: name} }
	}
	f.spider("team", "books", grouped("shop.example"))
	f.spider("team", "news", grouped("news.example"), func(s *v1alpha1.Spider) { s.Spec.UserID = "bob" })
	alice, all := f.key("team", "alice"), f.key("team", "")
	f.get(alice, "/api/v1/queue").want(http.StatusOK).
		wantJSON(`{"running": 0, "queued": 0, "max_priority": 0, "user": {"running": 0, "queued": 0, "weight": 1}, "groups": []}`)
	of := func(spider string) func(*v1alpha1.SpiderJob) {
		return func(job *v1alpha1.SpiderJob) { job.Spec.SpiderRef.Name = spider }
	}
	f.apply("team", "a1", ofAlice, admitted)
	f.apply("team", "a2", ofAlice, admitted, func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseRunning })
	f.apply("team", "a3", ofAlice, waiting)
	f.apply("team", "b1", ofBob, admitted, func(job *v1alpha1.SpiderJob) { job.Spec.Cancellation = &v1alpha1.Cancellation{} })
	f.apply("team", "b2", ofBob, admitted, of("news"))
	f.apply("team", "b3", ofBob, waiting)
	f.apply("team", "b4", ofBob, admitted, finish)
	f.apply("other", "x", ofAlice, admitted)
	f.quota("team", v1alpha1.SpiderQuotaSpec{
		MaxRunning: 50, MaxRunningPerUser: 10, MaxQueued: 10_000, MaxQueuedPerUser: 1000, MaxPriority: 7, DefaultGroupMax: 5,
		Groups:  []v1alpha1.GroupLimit{{Name: "shop.example", Max: 3}, {Name: "empty.example", Max: 1}},
		Weights: []v1alpha1.UserWeight{{UserID: "bob", Weight: 3}, {UserID: "alice", Weight: 2}},
	})
	const totals = `"max_running": 50, "running": 4, "max_queued": 10000, "queued": 2, "max_priority": 7, "default_group_max": 5,
		"groups": [{"name": "shop.example", "max": 3, "running": 3}, {"name": "empty.example", "max": 1, "running": 0}]`
	f.get(all, "/api/v1/queue").want(http.StatusOK).wantJSON(`{` + totals + `}`)
	f.get(alice, "/api/v1/queue").want(http.StatusOK).wantJSON(`{` + totals +
		`, "user": {"max_running": 10, "running": 2, "max_queued": 1000, "queued": 1, "weight": 2}}`)
	f.get(alice, "/api/v1/queue?user=bob").wantProblem(http.StatusBadRequest, "invalid_request", "user")

	for _, name := range []string{"a1", "a2", "a3", "b1", "b2", "b3", "b4"} {
		f.cluster.delete("team", name)
	}
	queue, err := f.client(alice).GetQueue(t.Context())
	if err != nil || queue.Running != 0 || queue.Queued != 0 || queue.Groups[0].Running != 0 || queue.User.Weight != 2 {
		t.Errorf("the queue is %+v, %v", queue, err)
	}
	var shown contract.Queue
	f.get(all, "/api/v1/queue").into(&shown)
	if shown.User != nil || shown.Running != 0 {
		t.Errorf("the queue is %+v", shown)
	}
}
