package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// TestASchedulesRunsByTheRESTAPI makes a schedule, lets it fire, starts a run of it at once, and makes the runs of the last ten
// minutes, twice.
func TestASchedulesRunsByTheRESTAPI(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	api := n.API("alice")
	api.AwaitSpider("counter")
	var spiders []struct{ ID string }
	api.Want(http.StatusOK, harness.Request{Method: http.MethodGet, Path: "/api/v1/spiders?name=counter"}, &spiders)

	var made struct {
		ID       string
		NextRuns []time.Time `json:"next_runs"`
		LastJob  struct {
			ID, Status string
		} `json:"last_job"`
	}
	body := fmt.Sprintf(`{"spider_id": %q, "cron_expression": "* * * * *", "arguments": {"n": 2}, "overlap": "allow"}`, spiders[0].ID)
	api.Want(http.StatusOK, harness.Request{Method: http.MethodPost, Path: "/api/v1/schedules", Body: body}, &made)
	path := "/api/v1/schedules/" + made.ID

	var run struct {
		JobID string `json:"jobId"`
	}
	api.Want(http.StatusOK, harness.Request{Method: http.MethodPost, Path: path + "/run"}, &run)
	ended(t, api.Wait(run.JobID, crawl), "finished", 2, 1)

	fired := awaitRuns(t, n, made.ID, 2, 90*time.Second) // the one above, and one at its time
	for _, sj := range fired {
		n.AwaitPhase(sj.Name, v1alpha1.PhaseFinished, soon)
	}
	api.Want(http.StatusOK, harness.Request{Method: http.MethodPatch, Path: path, Body: `{"enabled": false}`}, nil)
	api.Want(http.StatusOK, harness.Request{Method: http.MethodGet, Path: path}, &made)
	if made.LastJob.Status != "finished" {
		t.Errorf("its last job is %+v", made.LastJob)
	}

	end := time.Now().Add(-time.Hour).UTC().Truncate(time.Minute)
	span := fmt.Sprintf(`{"start": %q, "end": %q}`, end.Add(-9*time.Minute).Format(time.RFC3339), end.Format(time.RFC3339))
	for _, want := range []struct{ created, existing int }{{10, 0}, {0, 10}} {
		var filled struct{ Created, Existing, Skipped int }
		api.Want(http.StatusOK, harness.Request{Method: http.MethodPost, Path: path + "/backfill", Body: span}, &filled)
		if filled.Created != want.created || filled.Existing != want.existing || filled.Skipped != 0 {
			t.Errorf("the runs of ten minutes: %+v, want %+v", filled, want)
		}
	}
	var jobs []harness.Job
	api.Want(http.StatusOK, harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs?origin=backfill&schedule_id=" + made.ID}, &jobs)
	if len(jobs) != 10 {
		t.Fatalf("%d jobs are its backfill's", len(jobs))
	}
	for _, job := range jobs {
		ended(t, api.Wait(job.ID, crawl), "finished", 2, 1)
	}
}
