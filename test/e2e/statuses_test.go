package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

var (
	uuidPattern   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	momentPattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
)

// TestTheFirstCallsAnswerExistingClientsAsBefore checks the calls that existing clients make, and the fields that they read:
// names, types, and no nulls.
func TestTheFirstCallsAnswerExistingClientsAsBefore(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	spider := n.Counter("counter")
	api := n.API("alice")
	api.AwaitSpider("counter")

	object := func(call harness.Request) map[string]any {
		t.Helper()
		var answer map[string]any
		api.Want(http.StatusOK, call, &answer)
		noNulls(t, call.Path, answer)
		return answer
	}
	answer := object(harness.Request{Method: http.MethodPost, Path: "/api/v1/jobs", Body: `{"spider_id": "` + spider.ID() + `"}`})
	id, _ := answer["jobId"].(string)
	if keys := slices.Sorted(maps.Keys(answer)); !slices.Equal(keys, []string{"jobId", "status"}) ||
		!uuidPattern.MatchString(id) || answer["status"] != "pending" {
		t.Errorf("a start is answered with %v", answer)
	}
	api.Wait(id, soon)

	check := func(where string, job map[string]any) {
		t.Helper()
		for field, want := range map[string]any{
			"id": id, "spider_id": spider.ID(), "status": "finished", "user_id": "alice", "items_scraped": 100.0,
			"spider": map[string]any{"id": spider.ID(), "name": "counter"},
		} {
			if got, err := json.Marshal(job[field]); err != nil || string(got) != mustJSON(t, want) {
				t.Errorf("%s: %s is %s, want %s", where, field, got, mustJSON(t, want))
			}
		}
		for _, field := range []string{"created_at", "finished_at"} {
			if moment, _ := job[field].(string); !momentPattern.MatchString(moment) {
				t.Errorf("%s: %s is %v, and not a time in UTC", where, field, job[field])
			}
		}
	}
	check("get", object(harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs/" + id}))
	var list []map[string]any
	api.Want(http.StatusOK, harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs"}, &list)
	if len(list) != 1 {
		t.Fatalf("the list is %v", list)
	}
	noNulls(t, "list", list[0])
	check("list", list[0])

	second := api.Start("counter", map[string]any{"n": 10000, "delay": "10ms"})
	cancelled := object(harness.Request{Method: http.MethodDelete, Path: "/api/v1/jobs/" + second})
	if text := mustJSON(t, cancelled); text != `{"message":"Job cancelled","ok":true}` {
		t.Errorf("a cancel is answered with %s", text)
	}
	for query, want := range map[string][]string{
		"": {second, id}, "?status=finished": {id}, "?status=cancelled": {second}, "?status=error": {}, "?limit=1": {second},
		"?status=finished&status=cancelled": {second, id}, "?spider_name=counter": {second, id}, "?spider_name=count": {},
		"?spider_id=" + spider.ID(): {second, id}, "?spider_id=" + id: {},
	} {
		var ids []string
		for _, job := range api.List(query) {
			ids = append(ids, job.ID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("the list with %q holds %v, want %v", query, ids, want)
		}
	}
	if empty := api.Do(harness.Request{Method: http.MethodGet,
		Path: "/api/v1/jobs?status=error"}); strings.TrimSpace(string(empty.Body)) != "[]" {
		t.Errorf("a list of nothing is %s", empty.Body)
	}
}

func noNulls(t *testing.T, where string, object map[string]any) {
	t.Helper()
	for field, value := range object {
		switch value := value.(type) {
		case nil:
			t.Errorf("%s: %s is null", where, field)
		case map[string]any:
			noNulls(t, where+"."+field, value)
		}
	}
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("encode %v: %v", value, err)
	}
	return string(text)
}

func TestPagesAreStableWhileJobsArrive(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	api := n.API("alice")
	// Without an Idempotency-Key, ids show the order of jobs of the same second.
	start := func() string {
		var made struct{ JobID string }
		api.Want(http.StatusOK, harness.Request{
			Method: http.MethodPost, Path: "/api/v1/jobs", Body: `{"spider_name": "counter", "arguments": {"n": 1}}`,
		}, &made)
		return made.JobID
	}
	api.AwaitSpider("counter")
	var started []string
	for range 5 {
		started = append(started, start())
	}
	slices.Reverse(started)
	next := regexp.MustCompile(`^<([^>]+)>; rel="next"$`)
	var seen []string
	for path := "/api/v1/jobs?limit=2"; path != ""; {
		answer := api.Do(harness.Request{Method: http.MethodGet, Path: path})
		var jobs []harness.Job
		answer.Into(t, &jobs)
		for _, job := range jobs {
			seen = append(seen, job.ID)
		}
		start()
		path = ""
		if link := next.FindStringSubmatch(answer.Header.Get("Link")); link != nil {
			path = "/api/v1/" + link[1] // It is relative to the address of the page before.
		}
	}
	if !slices.Equal(seen, started) {
		t.Errorf("the pages hold %v, want %v", seen, started)
	}
}

func TestStartsWithOneIdempotencyKeyCreateOneJob(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	alice, bob := n.API("alice"), n.API("bob")
	alice.AwaitSpider("counter")
	start := func(body string) harness.Request {
		return harness.Request{
			Method: http.MethodPost, Path: "/api/v1/jobs", Body: body, Header: map[string]string{"Idempotency-Key": "nightly-2026-11-23"},
		}
	}
	const body = `{"spider_name": "counter", "arguments": {"n": 2}}`
	answers := make(chan *harness.Response, 8)
	var calls sync.WaitGroup
	for range cap(answers) {
		calls.Go(func() {
			answer, err := alice.Try(t.Context(), start(body))
			if err != nil {
				t.Error(err)
				return
			}
			answers <- answer
		})
	}
	calls.Wait()
	close(answers)
	var first string
	for answer := range answers {
		var made struct{ JobID string }
		if answer.Into(t, &made); answer.Status != http.StatusOK || made.JobID == "" || first != "" && made.JobID != first {
			t.Errorf("the same start is answered with %d %s, and made job %s before", answer.Status, answer.Body, first)
		}
		first = made.JobID
	}
	problem := alice.Refused(http.StatusConflict, start(`{"spider_name": "counter", "arguments": {"n": 3}}`))
	if problem.Code != "idempotency_conflict" {
		t.Errorf("another start by the same key is refused with %+v", problem)
	}
	var bobs struct{ JobID string }
	bob.Want(http.StatusOK, start(body), &bobs)
	if bobs.JobID == first {
		t.Error("the same key of another user is the same job")
	}
	if jobs := alice.List(""); len(jobs) != 1 {
		t.Errorf("there are %d jobs", len(jobs))
	}
	if job := alice.Wait(first, soon); job.Status != "finished" || job.Items() != 2 {
		t.Errorf("the job ended as %+v", job)
	}
}

func TestCallersWithoutAValidKeyAreRefused(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	api := n.API("alice")
	parts := strings.Split(api.Key, "_")
	callers := 0
	for name, header := range map[string]string{
		"no header":        "",
		"no scheme":        api.Key,
		"another scheme":   "Basic " + api.Key,
		"no key":           "Bearer ",
		"two keys":         "Bearer " + api.Key + " " + api.Key,
		"a cut key":        "Bearer " + api.Key[:len(api.Key)-1],
		"a longer key":     "Bearer " + api.Key + "0",
		"no checksum":      "Bearer " + strings.Join(parts[:3], "_"),
		"another secret":   "Bearer " + strings.Join([]string{parts[0], parts[1], strings.Repeat("0", len(parts[2])), parts[3]}, "_"),
		"another key's id": "Bearer " + strings.Join([]string{parts[0], "0000000000000000", parts[2], parts[3]}, "_"),
		"a very long key":  "Bearer " + strings.Repeat("x", 5000),
		"somebody's token": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.ZRrHA1JJJW8opsbCGfG_HACGpVUMN_a9IV7pAx_Zmeo",
	} {
		// After too many failures of one address, further ones are not looked at.
		callers++
		address := "192.0.2." + strconv.Itoa(callers)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := api.In(t)
			const unknown = "/api/v1/jobs/00000000-0000-4000-8000-000000000000"
			for _, call := range []harness.Request{
				{Method: http.MethodGet, Path: "/api/v1/jobs"},
				{Method: http.MethodGet, Path: unknown},
				{Method: http.MethodPost, Path: "/api/v1/jobs", Body: `not even JSON`},
				{Method: http.MethodDelete, Path: unknown},
				{Method: http.MethodGet, Path: "/api/v1/me"},
			} {
				call.Header = map[string]string{"Authorization": header, "X-Forwarded-For": address}
				if problem := api.Refused(http.StatusUnauthorized, call); problem.Code != "unauthorized" {
					t.Errorf("refused with %+v", problem)
				}
			}
		})
	}
}

func TestTooManyRequestsAreRefused(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	eager, patient := n.API("eager"), n.API("patient")
	t.Run("with one key", func(t *testing.T) {
		var held atomic.Bool
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				for range 100 {
					answer, err := eager.Try(t.Context(), harness.Request{Method: http.MethodGet, Path: "/api/v1/me"})
					if err != nil {
						t.Error(err)
						return
					}
					if answer.Status != http.StatusTooManyRequests {
						continue
					}
					if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || seconds < 1 {
						t.Errorf("Retry-After is %q", answer.Header.Get("Retry-After"))
					}
					held.Store(true)
					return
				}
			})
		}
		calls.Wait()
		if !held.Load() {
			t.Error("800 requests at once were all let through")
		}
		patient.Want(http.StatusOK, harness.Request{Method: http.MethodGet, Path: "/api/v1/me"}, nil)
	})
	t.Run("that fail to authenticate", func(t *testing.T) {
		guess := harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs", Header: map[string]string{
			"Authorization": "Bearer guess", "X-Forwarded-For": "198.51.100.7",
		}}
		status := 0
		for range 40 {
			if status = patient.Do(guess).Status; status == http.StatusTooManyRequests {
				break
			}
		}
		if status != http.StatusTooManyRequests {
			t.Errorf("40 guesses from one address are answered with %d", status)
		}
		guess.Header["X-Forwarded-For"] = "198.51.100.8"
		patient.Refused(http.StatusUnauthorized, guess)
		patient.Want(http.StatusOK, harness.Request{Method: http.MethodGet, Path: "/api/v1/me"}, nil)
	})
}

func TestAQuotaOnSpiderJobsIsReported(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	n.Create(&corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few-jobs"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			"count/spiderjobs.scrapethis.app": resource.MustParse("0"),
		}},
	})
	n.AwaitQuota("few-jobs", soon)
	api := n.API("alice")
	api.AwaitSpider("counter")
	problem := api.Refused(http.StatusForbidden, harness.Request{
		Method: http.MethodPost, Path: "/api/v1/jobs", Body: `{"spider_name": "counter"}`,
	})
	if problem.Code != "quota_exceeded" {
		t.Errorf("refused with %+v", problem)
	}
}

func TestAnAddressThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	api := cluster.Namespace(t).API("alice")
	api.Refused(http.StatusRequestURITooLong, harness.Request{
		Method: http.MethodGet, Path: "/api/v1/jobs?cursor=" + strings.Repeat("x", 10_000),
	})
}

// TestWithoutKubernetesReadsGoOnAndWritesAreRefused checks that a REST API that cannot reach Kubernetes shows what it knows,
// says how old that is, and refuses what it cannot do.
func TestWithoutKubernetesReadsGoOnAndWritesAreRefused(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	process := n.RESTAPI()
	api := n.APIAt(process.URL, "alice")
	api.AwaitSpider("counter")
	id := api.Start("counter", map[string]any{"n": 10000, "delay": "20ms"})
	api.Await(id, "is running", soon, func(job harness.Job) bool { return job.Status == "running" })

	process.Cut()
	start := harness.Request{Method: http.MethodPost, Path: "/api/v1/jobs", Body: `{"spider_name": "counter"}`}
	refused := api.Do(start)
	if refused.Status != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") == "" {
		t.Errorf("a start is answered with %d %s, Retry-After %q", refused.Status, refused.Body, refused.Header.Get("Retry-After"))
	}
	problem := api.Refused(http.StatusInternalServerError, harness.Request{Method: http.MethodDelete, Path: "/api/v1/jobs/" + id})
	if problem.Error != "Failed to cancel job" {
		t.Errorf("a cancel that cannot be recorded is answered with %+v", problem)
	}
	n.Eventually(t, soon, "the REST API says that it has lost Kubernetes", func(ctx context.Context) error {
		ready, err := api.Try(ctx, harness.Request{Method: http.MethodGet, Path: "/readyz"})
		if err == nil && (ready.Status != http.StatusOK || !strings.Contains(string(ready.Body), "degraded")) {
			err = fmt.Errorf("readyz says %d %s", ready.Status, ready.Body)
		}
		return err
	})
	shown := api.Do(harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs"})
	var jobs []harness.Job
	if shown.Into(t, &jobs); shown.Status != http.StatusOK || len(jobs) != 1 || jobs[0].ID != id {
		t.Errorf("a list is answered with %d %s", shown.Status, shown.Body)
	}
	if age, err := strconv.Atoi(shown.Header.Get("X-Data-Age")); err != nil || age < 0 {
		t.Errorf("the list does not say how old it is: X-Data-Age is %q", shown.Header.Get("X-Data-Age"))
	}

	process.Mend()
	// It may wait before it tries again.
	const reconnect = 45 * time.Second
	n.Eventually(t, reconnect, "jobs can be started again", func(ctx context.Context) error {
		answer, err := api.Try(ctx, start)
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("%d %s", answer.Status, answer.Body)
		}
		return err
	})
	api.Cancel(id)
	if job := api.Wait(id, soon); job.Status != "cancelled" || job.Reason != v1alpha1.ReasonCancelled {
		t.Errorf("the job ended %s, %s", job.Status, job.Reason)
	}
}
