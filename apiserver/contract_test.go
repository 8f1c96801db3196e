package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// at is a moment on the day of the contract's examples.
func at(hour, minute int) *metav1.Time {
	return new(metav1.Date(2025, 1, 15, hour, minute, 0, 0, time.UTC))
}

// finishedJob makes the job of the contract's example of a read.
func finishedJob(job *v1alpha1.SpiderJob) {
	job.CreationTimestamp = *at(10, 30)
	job.Spec.UserID = "alice"
	job.Status = v1alpha1.SpiderJobStatus{
		Phase:      v1alpha1.PhaseFinished,
		FinishedAt: at(10, 35),
		Spider:     &v1alpha1.SpiderSnapshot{Name: "my-spider", RepoPath: "spiders/my_spider.py"},
		Stats:      &v1alpha1.Stats{ItemsScraped: 142, Source: v1alpha1.OriginScrapyStats, Final: true},
	}
}

// TestAnswersToExistingClients replays the calls that clients made before there was this server, and checks every field they
// know.
func TestAnswersToExistingClients(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "alice")
	spider := f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.Name, s.Spec.RepoPath = "my-spider", "spiders/my_spider.py"
	})
	id := f.apply("team", "done", finishedJob)

	t.Run("list", func(t *testing.T) {
		var jobs []map[string]any
		f.get(key, "/api/v1/jobs").want(http.StatusOK).into(&jobs)
		if len(jobs) != 1 {
			t.Fatalf("%d jobs, want 1", len(jobs))
		}
		known := map[string]any{}
		for _, field := range []string{"id", "spider_id", "status", "user_id", "created_at", "spider"} {
			known[field] = jobs[0][field]
		}
		want := map[string]any{
			"id": id, "spider_id": spider, "status": "finished", "user_id": "alice", "created_at": "2025-01-15T10:30:00Z",
			"spider": map[string]any{"id": spider, "name": "my-spider", "repo_path": "spiders/my_spider.py"},
		}
		if fmt.Sprint(known) != fmt.Sprint(want) {
			t.Errorf("job %v\nwant %v", known, want)
		}
	})
	t.Run("start", func(*testing.T) {
		for _, body := range []string{
			`{"spider_id": "` + spider + `"}`,
			`{"spider_name": "my-spider"}`,
			`{"spider_id": "` + spider + `", "spider_name": "my-spider", "arguments": {"category": "poetry", "pages": 3}}`,
		} {
			a := f.start(key, body).want(http.StatusOK)
			var started map[string]any
			a.into(&started)
			a.wantJSON(fmt.Sprintf(`{"jobId": %q, "status": "pending"}`, started["jobId"]))
		}
	})
	t.Run("read", func(t *testing.T) {
		var job map[string]any
		f.get(key, "/api/v1/jobs/"+id).want(http.StatusOK).into(&job)
		known := map[string]any{}
		for _, field := range []string{"id", "spider_id", "status", "items_scraped", "created_at", "finished_at"} {
			known[field] = job[field]
		}
		want := map[string]any{
			"id": id, "spider_id": spider, "status": "finished", "items_scraped": float64(142),
			"created_at": "2025-01-15T10:30:00Z", "finished_at": "2025-01-15T10:35:00Z",
		}
		if fmt.Sprint(known) != fmt.Sprint(want) {
			t.Errorf("job %v\nwant %v", known, want)
		}
	})
	t.Run("cancel", func(*testing.T) {
		started := f.started(key, `{"spider_name": "my-spider"}`)
		f.cancel(key, started).want(http.StatusOK).wantJSON(`{"ok": true, "message": "Job cancelled"}`)
	})
	t.Run("neither spider id nor name", func(*testing.T) {
		f.start(key, `{}`).wantProblem(http.StatusBadRequest, "invalid_request", "spider_id", "spider_name")
		f.start(key, `{"spider_id": "", "spider_name": null}`).wantProblem(http.StatusBadRequest, "invalid_request")
	})
	t.Run("no such spider", func(*testing.T) {
		f.start(key, `{"spider_name": "other"}`).wantProblem(http.StatusNotFound, "not_found")
		f.start(key, `{"spider_id": "0198b2a0-0000-7000-8000-000000000001"}`).wantProblem(http.StatusNotFound, "not_found")
		f.start(key, `{"spider_id": "12"}`).wantProblem(http.StatusNotFound, "not_found")
	})
	t.Run("no such job", func(*testing.T) {
		for _, id := range []string{"0198b2a0-0000-7000-8000-000000000001", "12", "%20", "%zz..", "..", strings.Repeat("a", 500)} {
			if id == "%zz.." || id == ".." {
				continue // These never leave an HTTP client.
			}
			f.get(key, "/api/v1/jobs/"+id).wantProblem(http.StatusNotFound, "not_found")
			f.cancel(key, id).wantProblem(http.StatusNotFound, "not_found")
		}
	})
	t.Run("the cancel could not be recorded", func(t *testing.T) {
		started := f.started(key, `{"spider_name": "my-spider"}`)
		f.cluster.fail = func(string, bool) error { return fmt.Errorf("connection refused") }
		defer func() { f.cluster.fail = nil }()
		a := f.cancel(key, started)
		a.wantProblem(http.StatusInternalServerError, "cancel_failed")
		if !strings.Contains(a.body, `"Failed to cancel job"`) {
			t.Errorf("body %s, want the words Failed to cancel job", a.body)
		}
	})
}

func TestJobShowsEverythingKnownOfIt(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a-job", func(job *v1alpha1.SpiderJob) {
		finishedJob(job)
		job.Spec.UserID = ""
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"q": `a "b" <c>` + "\n"}
		job.Spec.Cancellation = &v1alpha1.Cancellation{RequestedAt: at(10, 33)}
		job.Status.Phase, job.Status.Reason, job.Status.Message = v1alpha1.PhaseCancelled, "Cancelled", "cancelled by bob"
		job.Status.StartedAt, job.Status.ExitCode, job.Status.Attempts = at(10, 31), new(int32(0)), 1
		job.Status.Spider.Image = "spiders:1"
		job.Status.Stats = &v1alpha1.Stats{
			ItemsScraped: 142, Responses: new(int64(150)), Requests: new(int64(151)), Errors: new(int64(0)),
			FinishReason: "shutdown", Source: v1alpha1.OriginScrapyStats, ObservedAt: at(10, 34), Final: true,
			RequestRetries: new(int64(1)), FailedRequests: new(int64(2)), Responses2xx: new(int64(140)), Responses3xx: new(int64(0)),
			Responses4xx: new(int64(9)), Responses5xx: new(int64(1)), ItemsDropped: new(int64(3)), FeedFailures: new(int64(0)),
			PeakMemoryBytes: new(int64(104857600)), ElapsedSeconds: new(int64(180)),
		}
		expectationsMet("False", v1alpha1.Violation{Rule: "minItems", Expected: "at least 200", Actual: "142"})(job)
	})
	spider := f.cluster.job(t, "team", "a-job").SpiderID()
	listed := `"id": "` + id + `", "spider_id": "` + spider + `", "status": "cancelled", "user_id": "team", "items_scraped": 142,
		"created_at": "2025-01-15T10:30:00Z", "started_at": "2025-01-15T10:31:00Z", "finished_at": "2025-01-15T10:35:00Z",
		"cancel_requested_at": "2025-01-15T10:33:00Z", "reason": "Cancelled", "message": "cancelled by bob", "exit_code": 0,
		"attempts": 1, "origin": "kubectl", "image": "spiders:1", "spider": {"id": "` + spider + `", "name": "my-spider", "repo_path": "spiders/my_spider.py"},
		"stats": {"responses": 150, "requests": 151, "errors": 0, "request_retries": 1, "failed_requests": 2, "responses_2xx": 140,
			"responses_3xx": 0, "responses_4xx": 9, "responses_5xx": 1, "items_dropped": 3, "feed_failures": 0,
			"peak_memory_bytes": 104857600, "elapsed_seconds": 180, "finish_reason": "shutdown", "source": "scrapy_stats",
			"observed_at": "2025-01-15T10:34:00Z", "final": true},
		"expectations": {"met": false, "violations": [{"rule": "min_items", "expected": "at least 200", "actual": "142"}]}`
	f.get(key, "/api/v1/jobs/"+id).want(http.StatusOK).
		wantJSON(`{` + listed + `, "arguments": {"q": "a \"b\" <c>\n"}}`)
	f.get(key, "/api/v1/jobs").want(http.StatusOK).wantJSON(`[{` + listed + `, "arguments_omitted": true}]`)
}

func TestWhatIsAbsentIsLeftOut(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "fresh", func(job *v1alpha1.SpiderJob) { job.CreationTimestamp = *at(10, 30) })
	spider := f.cluster.job(t, "team", "fresh").SpiderID()
	f.get(key, "/api/v1/jobs/"+id).want(http.StatusOK).wantJSON(`{"id": "` + id + `", "spider_id": "` + spider + `",
		"status": "pending", "user_id": "team", "items_scraped": 0, "attempts": 0, "origin": "kubectl", "created_at": "2025-01-15T10:30:00Z",
		"spider": {"id": "` + spider + `", "name": "books"}}`)
}

// Counts that a spider does not tell are left out, each by itself.
func TestCountsThatAreNotKnownAreLeftOut(t *testing.T) {
	f := newTestAPI(t)
	id := f.apply("team", "a-job", func(job *v1alpha1.SpiderJob) {
		job.Status.Stats = &v1alpha1.Stats{
			ItemsScraped: 1, Source: v1alpha1.OriginScrapyLog, ItemsDropped: new(int64(0)), ElapsedSeconds: new(int64(7)),
		}
	})
	var job struct{ Stats map[string]any }
	f.get(f.key("team", ""), "/api/v1/jobs/"+id).want(http.StatusOK).into(&job)
	want := map[string]any{"source": "scrapy_log", "final": false, "items_dropped": 0.0, "elapsed_seconds": 7.0}
	if fmt.Sprint(job.Stats) != fmt.Sprint(want) {
		t.Errorf("stats %v, want %v", job.Stats, want)
	}
}

func TestEmptyListIsAnArray(t *testing.T) {
	f := newTestAPI(t)
	if body := strings.TrimSpace(f.get(f.key("team", ""), "/api/v1/jobs").want(http.StatusOK).body); body != "[]" {
		t.Errorf("body %s, want []", body)
	}
}

func TestContractIsServedToEveryone(t *testing.T) {
	f := newTestAPI(t)
	yaml := f.get("", "/openapi.yaml").want(http.StatusOK)
	if yaml.body != string(openAPI) {
		t.Error("/openapi.yaml is not the contract")
	}
	var document struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
	}
	f.get("", "/openapi.json").want(http.StatusOK).into(&document)
	if document.OpenAPI != "3.0.3" || document.Paths["/api/v1/jobs"] == nil {
		t.Errorf("/openapi.json is of version %q with %d paths", document.OpenAPI, len(document.Paths))
	}
}

func TestMe(t *testing.T) {
	f := newTestAPI(t, func(c *Config) {
		c.Limits = guard.Limits{
			RequestsPerSecond:          2.5,
			Burst:                      7,
			NamespaceRequestsPerSecond: 1e6,
			FailuresPerMinute:          1,
			StreamsPerCaller:           3,
		}
	})
	key := f.key("team", "alice", func(k *v1alpha1.APIKey) {
		k.Name, k.Spec.ExpiresAt = "ci", new(metav1.Date(2999, 1, 15, 10, 30, 0, 0, time.UTC))
	})
	f.get(key, "/api/v1/me").want(http.StatusOK).wantJSON(`{"user_id": "alice", "namespace": "team", "key_name": "ci",
		"key_id": "` + key[3:19] + `", "expires_at": "2999-01-15T10:30:00Z", "access": "All",
		"limits": {"requests_per_second": 2.5, "burst": 7, "namespace_requests_per_second": 1e6, "max_streams": 3}}`)
}

func TestUnknownAddressesAndMethods(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	for _, path := range []string{"/", "/api", "/api/v1/jobs/", "/api/v1/nothing", "/api/v1/jobs/a/b", "/metrics", "/debug/pprof/"} {
		f.get(key, path).wantProblem(http.StatusNotFound, "not_found")
	}
	for method, path := range map[string]string{http.MethodPut: "/api/v1/jobs", http.MethodPost: "/api/v1/jobs/1", http.MethodDelete: "/livez"} {
		f.send(call{method: method, path: path, key: key}).wantProblem(http.StatusMethodNotAllowed, "method_not_allowed", method)
	}
}

func TestRequestIDIsTheCallersWhereItIsSane(t *testing.T) {
	f := newTestAPI(t)
	for sent, kept := range map[string]bool{
		"abc-123_X.y": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, "a b": false, "a\tb": false, "é": false, "": false,
	} {
		got := f.send(
			call{method: http.MethodGet, path: "/livez", header: map[string]string{"X-Request-ID": sent}},
		).header.Get(
			"X-Request-ID",
		)
		if (got == sent) != kept {
			t.Errorf("X-Request-ID %q was answered with %q", sent, got)
		}
	}
	a := f.send(call{method: http.MethodGet, path: "/api/v1/jobs", header: map[string]string{"X-Request-ID": "mine"}})
	if !strings.Contains(a.body, `"request_id":"mine"`) {
		t.Errorf("the error %s does not carry the request id", a.body)
	}
}
