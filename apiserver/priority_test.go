package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
)

// shown reads a job.
func (f *testAPI) shown(key, id string) (job contract.Job) {
	f.t.Helper()
	f.get(key, "/api/v1/jobs/"+id).want(http.StatusOK).into(&job)
	return job
}

// wantPriority holds a job to a priority, as it is shown and recorded.
func (f *testAPI) wantPriority(key, id string, want int32) {
	f.t.Helper()
	shown := f.shown(key, id).Priority
	if recorded := f.cluster.job(f.t, "team", id).Spec.Priority; recorded != want || (shown == nil) != (want == 0) ||
		shown != nil && *shown != want {
		f.t.Errorf("priority %v, recorded as %d, want %d", shown, recorded, want)
	}
}

func TestAPriorityIsRaisedOnlyAsFarAsTheQuotaAllows(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	start := func(priority string) string { return `{"spider_name": "books", "priority": ` + priority + `}` }
	f.wantPriority(key, f.started(key, start("-1000")), -1000)
	f.wantPriority(key, f.started(key, start("0")), 0)
	f.wantPriority(key, f.started(key, start("null")), 0)
	f.start(key, start("1")).wantProblem(http.StatusBadRequest, "priority_too_high", "priority: may be at most 0 in")
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxPriority: 50})
	f.quota("other", v1alpha1.SpiderQuotaSpec{MaxPriority: 1000})
	id := f.started(key, start("50"))
	f.wantPriority(key, id, 50)
	f.start(key, start("51")).wantProblem(http.StatusBadRequest, "priority_too_high", "at most 50")
	for _, bad := range []string{`1001`, `-1001`, `"1"`, `1.5`, `[]`} {
		f.start(key, start(bad)).wantProblem(http.StatusBadRequest, "invalid_request", "priority: must be a whole number")
		f.patch(key, "/api/v1/jobs/"+id, `{"priority": `+bad+`}`).
			wantProblem(http.StatusBadRequest, "invalid_request", "priority: must be a whole number")
	}
}

func TestALongestWaitIsKept(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	job := f.shown(key, f.started(key, `{"spider_name": "books", "max_wait_seconds": 3600}`))
	if job.MaxWaitSeconds == nil || *job.MaxWaitSeconds != 3600 || *f.cluster.job(t, "team", job.ID).Spec.MaxWaitSeconds != 3600 {
		t.Errorf("the longest wait is %v", job.MaxWaitSeconds)
	}
	job = f.shown(key, f.started(key, `{"spider_name": "books", "max_wait_seconds": null}`))
	if job.MaxWaitSeconds != nil || f.cluster.job(t, "team", job.ID).Spec.MaxWaitSeconds != nil {
		t.Errorf("the longest wait is %v", job.MaxWaitSeconds)
	}
	for _, bad := range []string{`0`, `31536001`, `"1"`} {
		f.start(key, `{"spider_name": "books", "max_wait_seconds": `+bad+`}`).
			wantProblem(http.StatusBadRequest, "invalid_request", "max_wait_seconds")
	}
}

func TestThePriorityOfAJobIsChangedWhileItWaits(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxPriority: 10})
	id := f.started(key, `{"spider_name": "books"}`)
	path := "/api/v1/jobs/" + id
	change := func(priority string) answer { return f.patch(key, path, `{"priority": `+priority+`}`) }
	tag := f.get(key, path).header.Get("ETag")
	change("10").want(http.StatusOK)
	f.wantPriority(key, id, 10)
	f.conditional(http.MethodPatch, key, path, `{"priority": 1}`, tag).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	change("11").wantProblem(http.StatusBadRequest, "priority_too_high", "at most 10")
	f.patch(key, path, `{"priority": 5, "note": "later", "tags": ["eu"]}`).want(http.StatusOK)
	f.wantPriority(key, id, 5)
	f.wantNoted(key, id, "{Tags:[eu] Note:later Origin:api}")
	writes := f.cluster.count("patch")
	change("5").want(http.StatusOK)
	if f.cluster.count("patch") != writes {
		t.Error("what changes nothing is written")
	}
	change("null").want(http.StatusOK)
	f.wantPriority(key, id, 0)

	// What kubectl has raised can be lowered, even to what could not be asked for.
	f.cluster.update(t, "team", id, func(job *v1alpha1.SpiderJob) { job.Spec.Priority = 900 })
	change("901").wantProblem(http.StatusBadRequest, "priority_too_high", "at most 10")
	change("800").want(http.StatusOK)
	f.wantPriority(key, id, 800)
	f.cluster.update(t, "team", id, func(job *v1alpha1.SpiderJob) {
		job.Status.Phase, job.Status.Reason = v1alpha1.PhasePending, v1alpha1.ReasonQueued
	})
	change("-1").want(http.StatusOK)

	f.patch(f.key("team", "bob"), path, `{"priority": -5}`).wantProblem(http.StatusNotFound, "not_found")
	f.patch(f.key("team", "alice", func(k *v1alpha1.APIKey) { k.Spec.Access = v1alpha1.AccessRead }), path, `{"priority": -5}`).
		wantProblem(http.StatusForbidden, "access_denied")
	for what, change := range map[string]func(*v1alpha1.SpiderJob){
		"it has a Job":    func(job *v1alpha1.SpiderJob) { job.Status.JobUID = "u" },
		"it runs":         func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseRunning },
		"it is cancelled": func(job *v1alpha1.SpiderJob) { job.Spec.Cancellation = &v1alpha1.Cancellation{} },
		"it has ended":    finish,
	} {
		other := f.apply("team", "other", ofAlice, change)
		path := "/api/v1/jobs/" + other
		f.patch(key, path, `{"priority": -5, "note": "x"}`).wantProblem(http.StatusConflict, "not_queued", "no longer waits")
		f.patch(key, path, `{"priority": 0, "note": "x"}`).want(http.StatusOK)
		if t.Failed() {
			t.Fatalf("when %s", what)
		}
		f.cluster.delete("team", "other")
	}
}

// A job that gets its Job while its priority is being changed keeps the one that it was admitted by.
func TestAPriorityIsNotChangedBehindAnAdmission(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	f.cluster.fail = func(call string, recorded bool) error {
		if call != "patch" || recorded || f.cluster.calls["patch"] > 1 {
			return nil
		}
		admitted := f.cluster.jobs["team/a"].DeepCopy()
		admitted.Status.JobUID = "u"
		f.cluster.record(admitted)
		return fmt.Errorf("patching: %w", apierrors.NewConflict(resource, "a", errors.New("it has changed")))
	}
	f.patch(key, "/api/v1/jobs/"+id, `{"priority": -5}`).wantProblem(http.StatusConflict, "not_queued")
	if priority := f.cluster.job(t, "team", "a").Spec.Priority; priority != 0 {
		t.Errorf("the priority is %d", priority)
	}
}

func TestARerunKeepsAPriorityThatIsAllowed(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	for _, test := range []struct{ was, is, highest int32 }{{-7, -7, 0}, {7, 0, 0}, {7, 5, 5}, {7, 7, 9}} {
		f.quota("team", v1alpha1.SpiderQuotaSpec{MaxPriority: test.highest})
		id := f.apply("team", "a", ofAlice, func(job *v1alpha1.SpiderJob) {
			job.Spec.Priority, job.Spec.MaxWaitSeconds = test.was, new(int64(60))
		})
		again := rerunID(f.rerun(key, id, ""))
		f.wantPriority(key, again, test.is)
		if wait := f.cluster.job(t, "team", again).Spec.MaxWaitSeconds; wait == nil || *wait != 60 {
			t.Errorf("the longest wait is %v", wait)
		}
		f.cluster.delete("team", "a")
	}
}

func TestThePriorityOfASchedule(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	spider := f.spider("team", "books")
	body := func(priority string) string {
		return `{"spider_id": "` + spider + `", "cron_expression": "@daily", "priority": ` + priority + `}`
	}
	f.post(key, schedulesPath, body("1")).wantProblem(http.StatusBadRequest, "priority_too_high", "at most 0")
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxPriority: 10})
	f.post(key, schedulesPath, body("11")).wantProblem(http.StatusBadRequest, "priority_too_high", "at most 10")
	made := f.newSchedule(key, body("10"))
	path := schedulesPath + "/" + made.ID
	f.quota("team", v1alpha1.SpiderQuotaSpec{MaxPriority: 5})
	for _, step := range []struct {
		change string
		want   int32
	}{{`{"name": "Nightly"}`, 10}, {`{"priority": 9}`, 9}, {`{"priority": -1}`, -1}, {`{"priority": 5}`, 5}, {`{"priority": null}`, 0}} {
		var shown contract.Schedule
		f.patch(key, path, step.change).want(http.StatusOK).into(&shown)
		if shown.Priority != step.want || f.schedules.schedule(t, "team", made.ID).Spec.Priority != step.want {
			t.Errorf("after %s the priority is %d", step.change, shown.Priority)
		}
	}
	f.patch(key, path, `{"priority": 6}`).wantProblem(http.StatusBadRequest, "priority_too_high", "at most 5")
}
