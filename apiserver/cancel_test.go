package apiserver

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestCancelRecordsWhoAskedAndWhen(t *testing.T) {
	f := newFacade(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	id := f.started(key, `{"spider_name": "books"}`)
	f.send(call{method: http.MethodDelete, path: "/api/v1/jobs/" + id + "?grace_period_seconds=0", key: key}).want(http.StatusOK)
	c := f.cluster.job(t, "team", id).Spec.Cancellation
	if c == nil || !strings.Contains(c.RequestedBy, "alice") || !strings.Contains(c.RequestedBy, key[3:19]) || c.RequestedAt.IsZero() ||
		c.GracePeriodSeconds == nil || *c.GracePeriodSeconds != 0 {
		t.Errorf("cancellation %+v", c)
	}
	if a := f.get(key, "/api/v1/jobs/"+id); !strings.Contains(a.body, `"status":"cancelled"`) || strings.Contains(a.body, "finished_at") {
		t.Errorf("a job that is being stopped shows %s", a.body)
	}
}

func TestCancelTwiceIsTheSameAsOnce(t *testing.T) {
	f := newFacade(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	f.cancel(key, id).want(http.StatusOK)
	before := f.cluster.job(t, "team", "a").ResourceVersion
	f.cancel(key, id).want(http.StatusOK).wantJSON(`{"ok": true, "message": "Job cancelled"}`)
	f.cluster.update(t, "team", "a", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseCancelled })
	f.cancel(key, id).want(http.StatusOK)
	if n := f.cluster.count("cancel"); n != 1 {
		t.Errorf("%d cancellations were recorded after resource version %s, want 1", n, before)
	}
}

func TestCancelOfAnEndedJobChangesNothing(t *testing.T) {
	f := newFacade(t)
	key := f.key("team", "")
	for phase, status := range map[v1alpha1.Phase]string{v1alpha1.PhaseFinished: "finished", v1alpha1.PhaseError: "error"} {
		id := f.apply("team", status, func(job *v1alpha1.SpiderJob) { job.Status.Phase = phase })
		f.cancel(key, id).wantProblem(http.StatusConflict, "job_ended", status)
	}
	if n := f.cluster.count("cancel"); n != 0 {
		t.Errorf("%d cancellations reached Kubernetes", n)
	}
}

// TestCancelMeetsANewerState holds the watch back, so that the view is behind when the cancel comes.
func TestCancelMeetsANewerState(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*v1alpha1.SpiderJob)
		status    int
	}{
		"that runs":     {func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseRunning }, http.StatusOK},
		"that finished": {func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseFinished }, http.StatusConflict},
		"that was cancelled": {func(job *v1alpha1.SpiderJob) {
			job.Spec.Cancellation = &v1alpha1.Cancellation{RequestedBy: "kubectl"}
		}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacade(t)
			key := f.key("team", "")
			id := f.apply("team", "a")
			f.cluster.held = true
			f.cluster.update(t, "team", "a", test.meanwhile)
			f.cancel(key, id).want(test.status)
			job := f.cluster.job(t, "team", "a")
			if got := job.Spec.Cancellation != nil; got != (test.status == http.StatusOK) {
				t.Errorf("a cancellation is recorded: %t", got)
			}
			if name == "that was cancelled" && job.Spec.Cancellation.RequestedBy != "kubectl" {
				t.Error("the cancellation was changed")
			}
		})
	}
	t.Run("that is gone", func(t *testing.T) {
		f := newFacade(t)
		key := f.key("team", "")
		id := f.apply("team", "a")
		f.cluster.held = true
		f.cluster.delete("team", "a")
		f.cancel(key, id).want(http.StatusNotFound)
	})
}

func TestCancelGivesUpOnAJobThatKeepsChanging(t *testing.T) {
	f := newFacade(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	f.cluster.fail = func(call string, _ bool) error {
		if call == "cancel" {
			return apierrors.NewConflict(resource, "a", nil)
		}
		return nil
	}
	f.cancel(key, id).wantProblem(http.StatusInternalServerError, "cancel_failed")
	if n := f.cluster.count("cancel"); n != cancelAttempts {
		t.Errorf("%d attempts, want %d", n, cancelAttempts)
	}
}

func TestCancelsAtOnceAreAllAnswered(t *testing.T) {
	f := newFacade(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() { f.cancel(key, id).want(http.StatusOK) })
	}
	together.Wait()
}
