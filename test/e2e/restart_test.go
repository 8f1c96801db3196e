package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// These tests kill what the other tests use. They run before those, one after the other.

// lasting are arguments that make a counter take some twenty seconds.
var lasting = map[string]any{"n": 400, "delay": "50ms"}

func TestAControllerThatIsKilledLosesNothingAndRunsNothingTwice(t *testing.T) {
	n := cluster.Namespace(t)
	n.Scrapy("category", leisurely)
	n.Counter("counter")
	n.Counter("retried", func(spec *v1alpha1.SpiderSpec) { spec.Retries = ptr.To[int32](1) })
	api := n.API("alice")

	crawls, counts := start(api, 3, "category", map[string]any{"category": "Travel"}), start(api, 3, "counter", lasting)
	stopped := start(api, 2, "counter", lasting)
	for _, id := range slices.Concat(crawls, counts, stopped) {
		n.AwaitPhase(id, v1alpha1.PhaseRunning, soon)
	}
	cluster.KillPods(t, "controller")
	// While no controller leads, jobs can still be started and cancelled.
	short, late := start(api, 2, "counter", map[string]any{"n": 3}), start(api, 1, "retried", map[string]any{"n": 3, "exit": 1})
	for _, id := range stopped {
		api.Cancel(id)
	}

	for _, id := range crawls {
		ended(t, api.Wait(id, crawl), "finished", 30, 1)
	}
	for _, id := range counts {
		ended(t, api.Wait(id, crawl), "finished", 400, 1)
	}
	for _, id := range short {
		ended(t, api.Wait(id, crawl), "finished", 3, 1)
	}
	for _, id := range late {
		ended(t, api.Wait(id, crawl), "error", 3, 2)
	}
	for _, id := range stopped {
		job := api.Wait(id, crawl)
		if job.Status != "cancelled" || job.Attempts != 1 || job.Items() == 0 || job.Items() == 400 {
			t.Errorf("a job cancelled without a leader ended %s after %d attempts with %d items", job.Status, job.Attempts, job.Items())
		}
		n.Gone(id)
	}
	for _, id := range slices.Concat(crawls, counts, short) {
		if pods := n.Pods(id); len(pods) != 1 {
			t.Errorf("job %s has had %d Pods", id, len(pods))
		}
	}
}

func TestARESTAPIThatIsKilledLosesNothing(t *testing.T) {
	n := cluster.Namespace(t)
	n.Counter("counter")
	api := n.API("alice")
	ids := start(api, 3, "counter", lasting)
	for _, id := range ids {
		api.Await(id, "is running", soon, func(job harness.Job) bool { return job.Status == "running" })
	}
	before := api.List("")
	cluster.KillPods(t, "apiserver")
	answersAgain(t, n, api)
	after := api.List("")
	if len(after) != len(before) {
		t.Fatalf("there were %d jobs, and now %d", len(before), len(after))
	}
	for i := range after {
		if after[i].ID != before[i].ID || !after[i].CreatedAt.Equal(before[i].CreatedAt) {
			t.Errorf("job %d was %s, and now is %s", i, before[i].ID, after[i].ID)
		}
	}
	for _, id := range ids {
		ended(t, api.Wait(id, crawl), "finished", 400, 1)
	}
}

// answersAgain waits until the REST API answers a caller.
func answersAgain(t *testing.T, n *harness.Namespace, api *harness.API) {
	t.Helper()
	n.Eventually(t, soon, "the API answers again", func(ctx context.Context) error {
		answer, err := api.Try(ctx, harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs"})
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("%d %s", answer.Status, answer.Body)
		}
		return err
	})
}

// TestARepeatedStartCreatesOneJobIfTheRESTAPIIsKilled kills the REST API during starts. A caller that received no answer does
// not know what happened; with an Idempotency-Key it can safely repeat the call.
func TestARepeatedStartCreatesOneJobIfTheRESTAPIIsKilled(t *testing.T) {
	n := cluster.Namespace(t)
	n.Counter("counter")
	api := n.API("alice")
	api.AwaitSpider("counter")
	call := harness.Request{
		Method: http.MethodPost, Path: "/api/v1/jobs", Body: `{"spider_name": "counter", "arguments": {"n": 1}}`,
		Header: map[string]string{"Idempotency-Key": "once"},
	}
	killed := make(chan struct{})
	answered := make(chan map[string]int)
	go func() { answered <- repeat(t, api, call, killed) }()
	cluster.KillPods(t, "apiserver")
	close(killed)
	jobs := <-answered
	if len(jobs) != 1 {
		t.Errorf("the same start made these jobs, so often: %v", jobs)
	}
	if listed := api.List(""); len(listed) != 1 || jobs[listed[0].ID] == 0 {
		t.Errorf("the answers were %v, and the jobs are %+v", jobs, listed)
	}
}

// repeat repeats a call until it has been answered after the end of something, and returns the ids of the jobs in the answers
// and the number of answers.
func repeat(t *testing.T, api *harness.API, call harness.Request, end <-chan struct{}) map[string]int {
	t.Helper()
	jobs := map[string]int{}
	for t.Context().Err() == nil {
		over := false
		select {
		case <-end:
			over = true
		default:
		}
		answer, err := api.Try(t.Context(), call)
		if err == nil && answer.Status == http.StatusOK {
			var made struct{ JobID string }
			if err := json.Unmarshal(answer.Body, &made); err != nil {
				t.Errorf("decode %s: %v", answer.Body, err)
			}
			jobs[made.JobID]++
			if over {
				break
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return jobs
}

func start(api *harness.API, count int, spider string, arguments map[string]any) []string {
	ids := make([]string, count)
	for i := range ids {
		ids[i] = api.Start(spider, arguments)
	}
	return ids
}

func ended(t *testing.T, job harness.Job, status string, items int64, attempts int32) {
	t.Helper()
	if string(job.Status) != status || job.Items() != items || job.Attempts != attempts || !job.Stats.Final {
		t.Errorf("job %s of %s ended %s (%s: %s) with %d items after %d attempts, stats %+v; want %s with %d after %d", job.ID,
			job.Spider.Name, job.Status, job.Reason, job.Message, job.Items(), job.Attempts, job.Stats, status, items, attempts)
	}
}
