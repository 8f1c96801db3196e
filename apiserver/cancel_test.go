package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/kube"
)

func TestCancelRecordsWhoAskedAndWhen(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	id := f.started(key, `{"spider_name": "books"}`)
	f.send(call{method: http.MethodDelete, path: "/api/v1/jobs/" + id + "?grace_period_seconds=0", key: key}).want(http.StatusOK)
	c := f.cluster.job(t, "team", id).Spec.Cancellation
	if c == nil || !strings.Contains(c.RequestedBy, "alice") || !strings.Contains(c.RequestedBy, key[3:19]) || c.RequestedAt.IsZero() ||
		c.GracePeriodSeconds == nil ||
		*c.GracePeriodSeconds != 0 {
		t.Errorf("cancellation %+v", c)
	}
	if a := f.get(
		key,
		"/api/v1/jobs/"+id,
	); !strings.Contains(a.body, `"status":"cancelled"`) ||
		strings.Contains(a.body, "finished_at") {
		t.Errorf("a job that is being stopped shows %s", a.body)
	}
}

func TestCancelTwiceIsTheSameAsOnce(t *testing.T) {
	f := newTestAPI(t)
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

// A cancel of a job that is being stopped may shorten the grace period, and changes nothing else.
func TestCancelAgainWithAnotherGracePeriod(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		first, again string // The queries of the two cancels.
		status       int
		recorded     *int64
		writes       int // Of the second cancel.
	}{
		{"shorter", "?grace_period_seconds=60", "?grace_period_seconds=5", http.StatusOK, new(int64(5)), 1},
		{"0, which means 1", "?grace_period_seconds=60", "?grace_period_seconds=0", http.StatusOK, new(int64(0)), 1},
		{"where none was named", "", "?grace_period_seconds=5", http.StatusOK, new(int64(5)), 1},
		{"where none was named, 0", "", "?grace_period_seconds=0", http.StatusOK, new(int64(0)), 1},
		{"the same", "?grace_period_seconds=60", "?grace_period_seconds=60", http.StatusOK, new(int64(60)), 0},
		{"none", "?grace_period_seconds=60", "", http.StatusOK, new(int64(60)), 0},
		{"none, twice", "", "", http.StatusOK, nil, 0},
		{"1 after 0, which means 1", "?grace_period_seconds=0", "?grace_period_seconds=1", http.StatusOK, new(int64(0)), 0},
		{"0 after 1, which it means", "?grace_period_seconds=1", "?grace_period_seconds=0", http.StatusOK, new(int64(1)), 0},
		{"longer", "?grace_period_seconds=60", "?grace_period_seconds=61", http.StatusConflict, new(int64(60)), 0},
		{"longer than 0", "?grace_period_seconds=0", "?grace_period_seconds=2", http.StatusConflict, new(int64(0)), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newTestAPI(t)
			f.spider("team", "books")
			alice, otherKey := f.key("team", "alice"), f.key("team", "alice")
			id := f.started(alice, `{"spider_name": "books"}`)
			cancel := func(key, query string) answer {
				return f.send(call{method: http.MethodDelete, path: "/api/v1/jobs/" + id + query, key: key})
			}
			cancel(alice, test.first).want(http.StatusOK)
			was := f.cluster.job(t, "team", id).Spec.Cancellation
			before := f.cluster.count("cancel")
			again := cancel(otherKey, test.again)
			if test.status == http.StatusConflict {
				again.wantProblem(http.StatusConflict, "grace_period_longer", strconv.FormatInt(*test.recorded, 10))
			} else {
				again.want(test.status).wantJSON(`{"ok": true, "message": "Job cancelled"}`)
			}
			want := was.DeepCopy()
			want.GracePeriodSeconds = test.recorded
			if diff := gocmp.Diff(want, f.cluster.job(t, "team", id).Spec.Cancellation); diff != "" {
				t.Errorf("cancellation (-want +got):\n%s", diff)
			}
			if n := f.cluster.count("cancel") - before; n != test.writes {
				t.Errorf("%d writes, want %d", n, test.writes)
			}
		})
	}
}

// What has ended as cancelled is not being stopped any more, so no grace period is too long for it.
func TestCancelOfACancelledJobThatHasEndedChangesNothing(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a", func(job *v1alpha1.SpiderJob) {
		job.Spec.Cancellation = &v1alpha1.Cancellation{GracePeriodSeconds: new(int64(10))}
		job.Status.Phase = v1alpha1.PhaseCancelled
	})
	for _, query := range []string{"", "?grace_period_seconds=5", "?grace_period_seconds=20"} {
		f.send(call{method: http.MethodDelete, path: "/api/v1/jobs/" + id + query, key: key}).want(http.StatusOK)
	}
	if n := f.cluster.count("cancel"); n != 0 {
		t.Errorf("%d cancellations reached Kubernetes", n)
	}
}

// A job whose end is decided, and whose other containers still run, has not ended: it can be cancelled.
func TestAJobOnItsWayToItsEndCanBeCancelled(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a", func(job *v1alpha1.SpiderJob) {
		job.Status.Phase, job.Status.Reason = v1alpha1.PhaseRunning, v1alpha1.ReasonStopping
		job.Status.Stop = &v1alpha1.Stop{Phase: v1alpha1.PhaseFinished, Reason: v1alpha1.ReasonCompleted}
	})
	if a := f.get(key, "/api/v1/jobs/"+id); !strings.Contains(a.body, `"status":"running"`) ||
		!strings.Contains(a.body, `"reason":"Stopping"`) || strings.Contains(a.body, "finished_at") {
		t.Errorf("before its phase is a terminal one it shows %s", a.body)
	}
	f.cancel(key, id).want(http.StatusOK)
	if f.cluster.job(t, "team", "a").Spec.Cancellation == nil {
		t.Error("no cancellation is recorded")
	}
}

func TestCancelOfAnEndedJobChangesNothing(t *testing.T) {
	f := newTestAPI(t)
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
			f := newTestAPI(t)
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
		f := newTestAPI(t)
		key := f.key("team", "")
		id := f.apply("team", "a")
		f.cluster.held = true
		f.cluster.delete("team", "a")
		f.cancel(key, id).want(http.StatusNotFound)
	})
}

// TestShorterGraceMeetsANewerState holds the watch back, so that the view does not know yet how the job was cancelled elsewhere.
func TestShorterGraceMeetsANewerState(t *testing.T) {
	for name, test := range map[string]struct {
		seen, meanwhile, asked int64 // Grace periods; -1 for a job that is not cancelled.
		status                 int
		recorded               int64
	}{
		"cancelled with a longer one":           {-1, 60, 30, http.StatusOK, 30},
		"cancelled with a shorter one":          {-1, 10, 30, http.StatusConflict, 10},
		"lowered, but not as far as asked for":  {60, 40, 30, http.StatusOK, 30},
		"lowered further than is now asked for": {60, 10, 30, http.StatusConflict, 10},
	} {
		t.Run(name, func(t *testing.T) {
			cancelled := func(grace int64) func(*v1alpha1.SpiderJob) {
				return func(job *v1alpha1.SpiderJob) {
					if grace >= 0 {
						job.Spec.Cancellation = &v1alpha1.Cancellation{RequestedBy: "kubectl", GracePeriodSeconds: &grace}
					}
				}
			}
			f := newTestAPI(t)
			key := f.key("team", "")
			id := f.apply("team", "a", cancelled(test.seen))
			f.cluster.held = true
			f.cluster.update(t, "team", "a", cancelled(test.meanwhile))
			path := fmt.Sprintf("/api/v1/jobs/%s?grace_period_seconds=%d", id, test.asked)
			f.send(call{method: http.MethodDelete, path: path, key: key}).want(test.status)
			want := &v1alpha1.Cancellation{RequestedBy: "kubectl", GracePeriodSeconds: &test.recorded}
			if diff := gocmp.Diff(want, f.cluster.job(t, "team", "a").Spec.Cancellation); diff != "" {
				t.Errorf("cancellation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCancelGivesUpOnAJobThatKeepsChanging(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	f.cluster.fail = func(call string, _ bool) error {
		if call == "cancel" {
			return apierrors.NewConflict(resource, "a", nil)
		}
		return nil
	}
	f.cancel(key, id).wantProblem(http.StatusInternalServerError, "cancel_failed")
	if n := f.cluster.count("cancel"); n != 8 {
		t.Errorf("%d attempts, want 8", n)
	}
}

// A kube-apiserver that is being replaced fails a moment, and may have recorded what it did not answer.
func TestACancelIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail          func(attempt int, recorded bool) error
		status, tries int
		retry         string
	}{
		"and comes through": {func(attempt int, recorded bool) error {
			if attempt == 1 && !recorded {
				return apierrors.NewServiceUnavailable("rolling")
			}
			return nil
		}, http.StatusOK, 2, ""},
		"though it was recorded": {func(attempt int, recorded bool) error {
			if attempt == 1 && recorded {
				return errors.New("connection reset by peer")
			}
			return nil
		}, http.StatusOK, 2, ""},
		"not for ever": {func(int, bool) error {
			return errors.New("connection refused")
		}, http.StatusInternalServerError, kube.WriteAttempts, "2"},
		"not where that is no use": {func(int, bool) error {
			return apierrors.NewForbidden(resource, "a", errors.New("a policy says no"))
		}, http.StatusInternalServerError, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTestAPI(t)
			key := f.key("team", "")
			id := f.apply("team", "a")
			f.cluster.fail = func(call string, recorded bool) error {
				if call != "cancel" {
					return nil
				}
				return test.fail(f.cluster.calls["cancel"], recorded)
			}
			a := f.cancel(key, id).want(test.status)
			if test.status != http.StatusOK {
				a.wantProblem(test.status, "cancel_failed", "Failed to cancel job")
			}
			if got := a.header.Get("Retry-After"); got != test.retry {
				t.Errorf("Retry-After is %q, want %q", got, test.retry)
			}
			if n := f.cluster.count("cancel"); n != test.tries {
				t.Errorf("%d attempts, want %d", n, test.tries)
			}
			if recorded := f.cluster.job(t, "team", "a").Spec.Cancellation != nil; recorded != (test.status == http.StatusOK) {
				t.Errorf("a cancellation is recorded: %t", recorded)
			}
		})
	}
}

// Whatever comes first, the shortest of the grace periods is recorded in the end.
func TestTheShortestOfCancelsAtOnceCounts(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	var together sync.WaitGroup
	for grace := range int64(7) { // A cancel has eight attempts, and each but the last may meet another's write.
		together.Go(func() {
			path := fmt.Sprintf("/api/v1/jobs/%s?grace_period_seconds=%d", id, 3+grace)
			if a := f.send(call{method: http.MethodDelete, path: path, key: key}); a.status != http.StatusOK {
				a.wantProblem(http.StatusConflict, "grace_period_longer")
			}
		})
	}
	together.Wait()
	if grace := f.cluster.job(t, "team", "a").Spec.Cancellation.GracePeriodSeconds; *grace != 3 {
		t.Errorf("the grace period is %d, want 3", *grace)
	}
}

func TestCancelsAtOnceAreAllAnswered(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := f.apply("team", "a")
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() { f.cancel(key, id).want(http.StatusOK) })
	}
	together.Wait()
}
