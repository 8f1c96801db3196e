package apiserver

import (
	"net/http"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestSummaryCountsOnesOwnJobs(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	const none = `{"pending": 0, "running": 0, "finished": 0, "cancelled": 0, "error": 0}`
	f.get(alice, "/api/v1/jobs/summary").want(http.StatusOK).wantJSON(`{"total": 0, "by_status": ` + none + `, "by_spider": []}`)

	news, books := f.spider("team", "news"), f.spider("team", "books")
	of := func(ref string, phase v1alpha1.Phase) func(*v1alpha1.SpiderJob) {
		return func(job *v1alpha1.SpiderJob) { job.Spec.SpiderRef.Name, job.Status.Phase = ref, phase }
	}
	f.apply("team", "a", ofAlice, of("news", v1alpha1.PhaseRunning))
	f.apply("team", "b", ofAlice, of("books", v1alpha1.PhaseFinished))
	f.apply("team", "c", ofAlice, of("books", v1alpha1.PhasePending))
	f.apply("team", "d", ofAlice, of("books", v1alpha1.PhaseError))
	f.apply("team", "bobs", of("books", v1alpha1.PhaseRunning), func(job *v1alpha1.SpiderJob) { job.Spec.UserID = "bob" })
	f.apply("other", "elsewhere", ofAlice, of("books", v1alpha1.PhaseRunning))
	f.cluster.update(t, "team", "c", func(job *v1alpha1.SpiderJob) { job.Spec.Cancellation = &v1alpha1.Cancellation{} })
	f.cluster.update(t, "team", "d", func(job *v1alpha1.SpiderJob) { job.Status.Message = "changed, and the same job" })
	f.get(alice, "/api/v1/jobs/summary").want(http.StatusOK).wantJSON(`{
		"total": 4, "by_status": {"pending": 0, "running": 1, "finished": 1, "cancelled": 1, "error": 1},
		"by_spider": [
			{"spider_id": "` + books + `", "spider_name": "books", "total": 3,
				"by_status": {"pending": 0, "running": 0, "finished": 1, "cancelled": 1, "error": 1}},
			{"spider_id": "` + news + `", "spider_name": "news", "total": 1,
				"by_status": {"pending": 0, "running": 1, "finished": 0, "cancelled": 0, "error": 0}}
		]}`)
	for _, name := range []string{"a", "b", "c", "d"} {
		f.cluster.delete("team", name)
	}
	f.get(alice, "/api/v1/jobs/summary").want(http.StatusOK).wantJSON(`{"total": 0, "by_status": ` + none + `, "by_spider": []}`)
	f.get(alice, "/api/v1/jobs/summary?status=error").wantProblem(http.StatusBadRequest, "invalid_request", "status")
}
