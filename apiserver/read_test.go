package apiserver

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

func idsOf(a answer) []string {
	a.t.Helper()
	var jobs []struct{ ID string }
	a.want(http.StatusOK).into(&jobs)
	ids := []string{}
	for _, job := range jobs {
		ids = append(ids, job.ID)
	}
	return ids
}

func TestFilters(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	create := func(name, spider string, minute int, phase v1alpha1.Phase, cancelled bool) string {
		return f.apply("team", name, func(job *v1alpha1.SpiderJob) {
			job.CreationTimestamp = *at(10, minute)
			job.Spec.SpiderRef.Name = spider
			job.Status.Phase = phase
			job.Status.Spider = &v1alpha1.SpiderSnapshot{Name: strings.ToUpper(spider)}
			if cancelled {
				job.Spec.Cancellation = &v1alpha1.Cancellation{}
			}
		})
	}
	names := map[string]string{
		create("a", "books", 1, "", false):                    "a",
		create("b", "books", 2, v1alpha1.PhaseRunning, false): "b",
		create("c", "news", 3, v1alpha1.PhaseFinished, false): "c",
		create("d", "books", 4, v1alpha1.PhaseError, false):   "d",
		create("e", "news", 5, v1alpha1.PhaseCancelled, true): "e",
		create("f", "books", 6, v1alpha1.PhaseRunning, true):  "f",
		create("g", "news", 7, v1alpha1.PhaseFinished, true):  "g",
	}
	books := f.cluster.job(t, "team", "a").SpiderID()
	for query, want := range map[string]string{
		"":                                             "gfedcba",
		"status=pending":                               "a",
		"status=running":                               "b",
		"status=finished":                              "gc",
		"status=cancelled":                             "fe",
		"status=error":                                 "d",
		"status=error&status=pending":                  "da",
		"status=error&status=error":                    "d",
		"spider_id=" + books:                           "fdba",
		"spider_id=" + strings.ToUpper(books):          "fdba",
		"spider_name=NEWS":                             "gec",
		"spider_name=news":                             "",
		"spider_name=NEWS&spider_id=" + books:          "",
		"spider_name=NEWS&status=finished":             "gc",
		"created_after=2025-01-15T10:04:00Z":           "gfe",
		"created_after=2025-01-15T10:03:59.5Z":         "gfed",
		"created_before=2025-01-15T10:04:00Z":          "cba",
		"created_before=2025-01-15T11:04:00.1%2B01:00": "dcba",
		"created_after=2025-01-15T10:02:00Z&created_before=2025-01-15T10:05:00Z&limit=1": "d",
		"created_after=2025-01-15T10:05:00Z&created_before=2025-01-15T10:05:00Z":         "",
		"limit=2":             "gf",
		"limit=1000":          "gfedcba",
		"_=1":                 "gfedcba",
		"_t=%FF&status=error": "d",
		"status=&spider_id=&spider_name=&created_after=&created_before=&expectations=&limit=&cursor=": "gfedcba",
		"status=error&status=": "d",
		"limit=&limit=2":       "gf",
	} {
		got := ""
		for _, id := range idsOf(f.get(key, "/api/v1/jobs?"+query)) {
			got += names[id]
		}
		if got != want {
			t.Errorf("?%s shows %q, want %q", query, got, want)
		}
	}
}

func TestBadQueriesAreRefusedByName(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	for _, query := range []string{
		"status=done", "status=Pending", "status=pending,running", "limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=1.0",
		"limit=99999999999999999999", "limit=1&limit=2", "spider_id=books", "spider_id=%00",
		"spider_name=%FF", "Status=error", "STATUS=error", "state=error", "spider=books", "offset=2", "page=2", "wait=1s", "status[]=error",
		"spider_name=" + strings.Repeat("a", 129), "created_after=yesterday", "created_after=2025-01-15", "created_before=1",
		"cursor=x", "cursor=" + strings.Repeat("A", 34),
	} {
		name, _, _ := strings.Cut(query, "=")
		f.get(key, "/api/v1/jobs?"+query).wantProblem(http.StatusBadRequest, "invalid_request", name)
	}
	id := f.apply("team", "a")
	for _, wait := range []string{"", "x", "-1s", "1h", "5m1s", "301", "1e3", "s"} {
		f.get(key, "/api/v1/jobs/"+id+"?wait="+wait).wantProblem(http.StatusBadRequest, "invalid_request", "wait")
	}
	for _, grace := range []string{"", "x", "-1", "86401", "1.5"} {
		f.send(call{method: http.MethodDelete, path: "/api/v1/jobs/" + id + "?grace_period_seconds=" + grace, key: key}).
			wantProblem(http.StatusBadRequest, "invalid_request", "grace_period_seconds")
	}
	for _, query := range []string{"status=error;limit=5", "status=%6r", "status=error&%", "a;b"} {
		f.get(key, "/api/v1/jobs?"+query).wantProblem(http.StatusBadRequest, "invalid_request", "query")
	}
	f.get(key, "/api/v1/jobs?spider_name="+strings.Repeat("a", guard.MaxURI)).
		wantProblem(http.StatusRequestURITooLong, "uri_too_long")
}

// What a call does not know is refused, whatever the call, and does nothing.
func TestNoCallPassesOverWhatItIsAskedFor(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	spider := "/api/v1/spiders/" + f.spider("team", "books")
	id := f.apply("team", "a")
	job := "/api/v1/jobs/" + id
	for _, c := range []call{
		{method: http.MethodDelete, path: job + "?grace_period=600"}, {method: http.MethodDelete, path: job + "?Grace_Period_Seconds=600"},
		{method: http.MethodDelete, path: job + "?grace_period_seconds=600;x"}, {method: http.MethodDelete, path: job + "?grace_period_seconds=%6r"},
		{method: http.MethodDelete, path: job + "?grace_period_seconds=1&grace_period_seconds=600"},
		{method: http.MethodGet, path: job + "?timeout=1s"}, {method: http.MethodGet, path: job + "/logs?lines=5"},
		{method: http.MethodGet, path: eventsPath + "?status=error"}, {method: http.MethodGet, path: "/api/v1/spiders?spider_name=x"},
		{method: http.MethodGet, path: spider + "?x"}, {method: http.MethodDelete, path: spider + "?force=true"},
		{method: http.MethodPatch, path: spider + "?name=x", body: `{}`}, {method: http.MethodGet, path: "/api/v1/me?x=1"},
		{method: http.MethodPost, path: "/api/v1/jobs?spider_name=books", body: `{}`},
		{method: http.MethodPost, path: "/api/v1/spiders?name=x", body: `{}`},
	} {
		c.key = key
		f.send(c).wantProblem(http.StatusBadRequest, "invalid_request")
	}
	if n := f.cluster.count("cancel") + f.cluster.count("create") - 1 + f.spiders.count("delete") + f.spiders.count("patch"); n > 0 {
		t.Errorf("%d writes have reached Kubernetes", n)
	}
	f.send(call{method: http.MethodDelete, path: job + "?grace_period_seconds=5&_=600", key: key}).want(http.StatusOK)
	f.get("", "/api/v1/jobs?unknown=1").want(http.StatusUnauthorized)
}

// TestEveryCallIsInTheContract finds the call that the contract does not have, whose every query would be refused.
func TestEveryCallIsInTheContract(t *testing.T) {
	for _, route := range newTestAPI(t).server.engine.Routes() {
		method := strings.Replace(route.Method, http.MethodHead, http.MethodGet, 1)
		request := httptest.NewRequestWithContext(
			t.Context(), method, strings.Replace(route.Path, ":id", uuid.NewString(), 1), http.NoBody,
		)
		request.URL.Host, request.URL.Scheme, request.Host = "", "", ""
		if _, _, err := documented().FindRoute(request); strings.HasPrefix(route.Path, "/api/") && err != nil {
			t.Errorf("%s %s is not in the contract: %v", route.Method, route.Path, err)
		}
	}
}

func TestPagesAreLinked(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	want := []string{}
	for i := range 25 {
		phase := v1alpha1.PhaseFinished
		if i%5 == 0 {
			phase = v1alpha1.PhaseError
		}
		id := f.apply("team", fmt.Sprint("job-", i), func(job *v1alpha1.SpiderJob) {
			job.CreationTimestamp = *at(10, i/2) // Pairs of the same moment.
			job.Status.Phase = phase
		})
		if phase == v1alpha1.PhaseFinished {
			want = append(want, id)
		}
	}
	got := []string{}
	pages := 0
	for next := "/api/v1/jobs?status=finished&limit=7&created_before=2030-01-01T00:00:00%2B01:00"; next != ""; pages++ {
		page := f.get(key, next)
		got = append(got, idsOf(page)...)
		if next = page.next(); next != "" {
			if u, err := url.Parse(next); err != nil || u.Query().Get("created_before") != "2030-01-01T00:00:00+01:00" {
				t.Fatalf("the next page %s lost the filter (%v)", next, err)
			}
			f.apply("team", fmt.Sprint("late-", pages)) // Arrives while pages are read.
		}
	}
	slices.Sort(want)
	if sorted := slices.Sorted(slices.Values(got)); !slices.Equal(sorted, want) || pages != 3 {
		t.Errorf("%d pages with %d jobs, want 3 with each of %d once", pages, len(got), len(want))
	}
}

func TestDefaultPageHoldsFifty(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	for i := range 51 {
		f.apply("team", fmt.Sprint("job-", i))
	}
	page := f.get(key, "/api/v1/jobs")
	if n := len(idsOf(page)); n != 50 || page.header.Get("Link") == "" {
		t.Errorf("%d jobs and Link %q, want 50 and another page", n, page.header.Get("Link"))
	}
}

// TestNobodySeesAnothersJobs tries every call with every wrong key.
func TestNobodySeesAnothersJobs(t *testing.T) {
	f := newTestAPI(t)
	keys := map[string]string{
		"team":           f.key("team", ""),
		"team, alice":    f.key("team", "alice"),
		"team, bob":      f.key("team", "bob"),
		"other":          f.key("other", ""),
		"other, alice":   f.key("other", "alice"),
		"other, as team": f.key("other", "team"),
	}
	// A user named like the namespace is not the namespace.
	keys["team, as team"] = f.key("team", "team")
	f.spider("team", "books")
	f.spider("other", "books")
	own := map[string]string{}
	for name, key := range keys {
		own[name] = f.started(key, `{"spider_name": "books"}`)
	}
	for name, key := range keys {
		for owner, id := range own {
			listed := slices.Contains(idsOf(f.get(key, "/api/v1/jobs")), id)
			if listed != (name == owner) {
				t.Errorf("the job of %s is listed for %s: %t", owner, name, listed)
			}
			if name == owner {
				f.get(key, "/api/v1/jobs/"+id).want(http.StatusOK)
				continue
			}
			f.get(key, "/api/v1/jobs/"+id).wantProblem(http.StatusNotFound, "not_found")
			f.get(key, "/api/v1/jobs/"+id+"?wait=60s").wantProblem(http.StatusNotFound, "not_found")
			f.cancel(key, id).wantProblem(http.StatusNotFound, "not_found")
		}
	}
	if n := f.cluster.count("cancel"); n != 0 {
		t.Errorf("%d cancellations of others' jobs reached Kubernetes", n)
	}
	for i, name := range slices.Sorted(maps.Keys(keys)) {
		if i == 0 {
			f.cancel(keys[name], own[name]).want(http.StatusOK)
		}
	}
}

// An Idempotency-Key belongs to one user of one namespace, and the namespace itself is none that has its name. The ids of the
// others are as they were before the two were told apart.
func TestIdempotencyKeysAreTheirUsersOwn(t *testing.T) {
	f := newTestAPI(t)
	f.spider("team", "books")
	once := func(key string) string {
		var job struct{ JobID string }
		f.send(call{
			method: http.MethodPost,
			path:   "/api/v1/jobs",
			key:    key,
			body:   `{"spider_name": "books"}`,
			header: map[string]string{"Idempotency-Key": "nightly"},
		}).want(http.StatusOK).into(&job)
		return job.JobID
	}
	owners := map[string]string{}
	for _, user := range []string{"", "team", "alice", "bob"} {
		id := once(f.key("team", user))
		if owner, taken := owners[id]; taken {
			t.Errorf("users %q and %q have one job", owner, user)
		}
		owners[id] = user
		if again := once(f.key("team", user)); again != id {
			t.Errorf("user %q starts %s, and then %s", user, id, again)
		}
		if sum := sha256.Sum256(
			[]byte("team\x00" + cmp.Or(user, "team") + "\x00nightly"),
		); (user == "team") == strings.HasPrefix(
			id,
			hex.EncodeToString(sum[:4]),
		) {
			t.Errorf("the job of user %q has the id %s", user, id)
		}
	}
}

func TestUnknownJobIsAskedOfKubernetesOnce(t *testing.T) {
	f := newTestAPI(t)
	key, bob := f.key("team", ""), f.key("team", "bob")
	f.cluster.held = true // As if another replica had made it a moment ago.
	const name = "0198b2a0-0000-7000-8000-000000000001"
	f.apply("team", name)
	f.get(bob, "/api/v1/jobs/"+name).wantProblem(http.StatusNotFound, "not_found")
	f.get(key, "/api/v1/jobs/"+name).want(http.StatusOK)
	f.get(key, "/api/v1/jobs/"+name).want(http.StatusOK)
	if n := f.cluster.count("get"); n != 1 {
		t.Errorf("Kubernetes was asked %d times, want once", n)
	}
	kubectls := f.apply("team", "made-by-kubectl")
	f.get(key, "/api/v1/jobs/"+kubectls).want(http.StatusNotFound)
	if n := f.cluster.count("get"); n != 1 {
		t.Error("Kubernetes was asked for an id that is no object's name")
	}
	f.cluster.fail = func(string, bool) error { return errors.New("connection refused") }
	f.get(key, "/api/v1/jobs/0198b2a0-0000-7000-8000-000000000002").wantProblem(http.StatusServiceUnavailable, "unavailable")
}

func TestOwnWritesAreSeenAtOnce(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	f.cluster.held = true
	id := f.started(key, `{"spider_name": "books"}`)
	if ids := idsOf(f.get(key, "/api/v1/jobs?status=pending")); !slices.Equal(ids, []string{id}) {
		t.Errorf("pending jobs %v, want %s", ids, id)
	}
	f.cancel(key, id).want(http.StatusOK)
	if ids := idsOf(f.get(key, "/api/v1/jobs?status=cancelled")); !slices.Equal(ids, []string{id}) {
		t.Errorf("cancelled jobs %v, want %s", ids, id)
	}
}

func TestReadsGoOnWithoutKubernetes(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	id := f.apply("team", "a")
	f.cluster.fail = func(string, bool) error { return errors.New("connection refused") }
	f.health.age.Store(int64(90 * time.Second))
	list, one := f.get(key, "/api/v1/jobs"), f.get(key, "/api/v1/jobs/"+id)
	if ids := idsOf(list); !slices.Equal(ids, []string{id}) {
		t.Errorf("jobs %v, want %s", ids, id)
	}
	for _, a := range []answer{list, one.want(http.StatusOK)} {
		if age := a.header.Get("X-Data-Age"); age != "90" {
			t.Errorf("X-Data-Age is %q, want 90", age)
		}
	}
	f.start(key, `{"spider_name": "books"}`).wantProblem(http.StatusServiceUnavailable, "unavailable")
	f.cancel(key, id).wantProblem(http.StatusInternalServerError, "cancel_failed", "Failed to cancel job")
	if a := f.get("", "/readyz").want(http.StatusOK); !strings.Contains(a.body, "degraded") {
		t.Errorf("/readyz says %s, want degraded", a.body)
	}
	f.health.age.Store(0)
	if age := f.get(key, "/api/v1/jobs").header.Get("X-Data-Age"); age != "" {
		t.Errorf("X-Data-Age is %q while Kubernetes is there", age)
	}
}

func TestNothingIsAnsweredBeforeTheFirstSync(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.health.unsynced.Store(true)
	f.get(key, "/api/v1/jobs").wantProblem(http.StatusServiceUnavailable, "unavailable")
	f.get("", "/readyz").want(http.StatusServiceUnavailable)
	f.get("", "/livez").want(http.StatusOK)
	f.health.unsynced.Store(false)
	f.get(key, "/api/v1/jobs").want(http.StatusOK)
	f.get("", "/readyz").want(http.StatusOK)
}

func TestWaitForTheEnd(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	finish := func(job *v1alpha1.SpiderJob) {
		job.Status.Phase, job.Status.FinishedAt = v1alpha1.PhaseFinished, new(metav1.Now())
	}
	t.Run("a job that has ended is answered at once", func(t *testing.T) {
		id := f.apply("team", "ended", finish)
		if a := f.get(key, "/api/v1/jobs/"+id+"?wait=5m"); !strings.Contains(a.body, `"finished"`) {
			t.Errorf("body %s", a.body)
		}
	})
	t.Run("many wait for one job, and all are answered at its end", func(t *testing.T) {
		id := f.apply("team", "slow")
		var waiting sync.WaitGroup
		for range 50 {
			waiting.Go(func() {
				if a := f.get(key, "/api/v1/jobs/"+id+"?wait=300"); !strings.Contains(a.body, `"finished"`) {
					t.Errorf("body %s, want the finished job", a.body)
				}
			})
		}
		f.cluster.update(t, "team", "slow", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseRunning })
		f.cluster.update(t, "team", "slow", finish)
		waiting.Wait()
	})
	t.Run("when the time is up the job is answered as it is", func(t *testing.T) {
		id := f.apply("team", "endless")
		if a := f.get(key, "/api/v1/jobs/"+id+"?wait=10ms").want(http.StatusOK); !strings.Contains(a.body, `"pending"`) {
			t.Errorf("body %s, want the pending job", a.body)
		}
	})
	t.Run("a cancelled job is waited for until nothing of it runs", func(t *testing.T) {
		id := f.apply("team", "stopping")
		f.cancel(key, id).want(http.StatusOK)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if a := f.get(key, "/api/v1/jobs/"+id+"?wait=1m"); !strings.Contains(a.body, `"finished_at"`) {
				t.Errorf("body %s, want finished_at", a.body)
			}
		})
		f.cluster.update(t, "team", "stopping", func(job *v1alpha1.SpiderJob) {
			finish(job)
			job.Status.Phase = v1alpha1.PhaseCancelled
		})
		waiting.Wait()
	})
	t.Run("a job that is deleted meanwhile is not found", func(*testing.T) {
		id := f.apply("team", "doomed")
		var waiting sync.WaitGroup
		waiting.Go(func() { f.get(key, "/api/v1/jobs/"+id+"?wait=1m").want(http.StatusNotFound) })
		f.cluster.delete("team", "doomed")
		waiting.Wait()
	})
	t.Run("a server that stops answers whoever waits", func(*testing.T) {
		id := f.apply("team", "left")
		var waiting sync.WaitGroup
		waiting.Go(func() { f.get(key, "/api/v1/jobs/"+id+"?wait=5m").want(http.StatusOK) })
		f.server.Stop()
		waiting.Wait()
		f.get("", "/readyz").want(http.StatusServiceUnavailable)
	})
}
