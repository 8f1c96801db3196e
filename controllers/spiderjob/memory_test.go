package spiderjob

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// TestAJobJustCreatedIsAssumedToExist checks that a Job just created counts as existing until a cache has shown it, and as
// gone if the cache then does not show it any more.
func TestAJobJustCreatedIsAssumedToExist(t *testing.T) {
	job, other := makeJob(makeSpiderJob().SpiderJob).Job, makeJob(makeSpiderJob().SpiderJob).uid("job-0").Job
	r := jobMemory{created: job, createdAt: epoch}
	r.seen(other) // the one it follows
	if r.recentJob(epoch.Add(time.Second)) != job {
		t.Error("a Job created a second ago, and in no cache yet, counts as gone")
	}
	if r.recentJob(epoch.Add(createdFor)) != nil {
		t.Error("a Job that no cache shows in time counts as existing")
	}
	r = jobMemory{created: job, createdAt: epoch}
	r.seen(job)
	if r.recentJob(epoch.Add(time.Second)) != nil {
		t.Error("a Job that a cache has shown, and does not show any more, counts as existing")
	}
}

// TestCountsOfAPodThatVanishedAreRecorded has a Pod that is stopped end and disappear before any reconcile: its termination
// message is still used.
func TestCountsOfAPodThatVanishedAreRecorded(t *testing.T) {
	sj := makeSpiderJob().running("run-a").cancelled().stopping(v1alpha1.ReasonCancelled, false)
	running := makePod(makeJob(sj.SpiderJob).Job, "run-a").running().deleting()
	ended := makePod(makeJob(sj.SpiderJob).Job, "run-a").exited(0, said(`{"items_scraped": 42}`)).deleting()
	pod := func(b podBuilder) *corev1.Pod { slimPod(b.Pod); return b.Pod }
	key := types.NamespacedName{Namespace: "shop", Name: "run"}
	ctx, q := context.Background(), workqueue.NewTypedRateLimitingQueue(
		workqueue.DefaultTypedControllerRateLimiter[reconcile.Request](),
	)
	defer q.ShutDown()

	for _, c := range []struct {
		name string
		pass func(enqueuer)
		want int64
	}{
		{"its end was shown, and then that it is gone", func(w enqueuer) {
			w.Update(ctx, event.UpdateEvent{ObjectOld: pod(running), ObjectNew: pod(ended)}, q)
			w.Delete(ctx, event.DeleteEvent{Object: pod(ended)}, q)
		}, 42},
		{"only that it is gone was shown", func(w enqueuer) { w.Delete(ctx, event.DeleteEvent{Object: pod(ended)}, q) }, 42},
		{"it is gone without an end", func(w enqueuer) { w.Delete(ctx, event.DeleteEvent{Object: pod(running)}, q) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory()
			r := m.of(key, sj.UID)
			r.remember(observe(sj).withPods(running).observation, m.takePassed(r), epoch)
			c.pass(byLabel(m))
			now := observe(sj).lively()
			r.remember(now.observation, m.takePassed(r), epoch.Add(time.Second))
			r.show(now.observation)
			d := decide(now.observation, epoch.Add(time.Minute))
			if d.status.Phase != v1alpha1.PhaseCancelled {
				t.Fatalf("the phase is %s, want Cancelled: %s", d.status.Phase, d)
			}
			var items int64
			if d.status.Stats != nil {
				items = d.status.Stats.ItemsScraped
			}
			if items != c.want {
				t.Errorf("%d items are recorded, want %d", items, c.want)
			}
		})
	}
}

// TestALaggingCacheDoesNotUndoALiveRead has a Job deleted without its Pod, and a live read that shows that the spider had
// failed before: a cache that still shows the Pod as running does not undo that.
func TestALaggingCacheDoesNotUndoALiveRead(t *testing.T) {
	sj := makeSpiderJob().running("run-a")
	job := makeJob(sj.SpiderJob).deleting()
	running, failed := makePod(job.Job, "run-a").running(), makePod(job.Job, "run-a").exited(1)
	r := jobMemory{uid: sj.UID}
	r.remember(observe(sj).withJob(job).withPods(failed).lively().observation, nil, epoch)

	unread := podlog.Reading{Done: true, Since: epoch, ObservedAt: epoch}
	behind := observe(sj).withJob(job).withPods(running).reads(unread).observation
	r.remember(behind, nil, epoch.Add(time.Second))
	r.show(behind)
	behind.killing.found = evidenceNone
	d := decide(behind, epoch.Add(time.Minute))
	if d.status.Phase != v1alpha1.PhaseError || d.status.Reason != v1alpha1.ReasonExitCode {
		t.Errorf("a spider that exited with 1 is %s", d)
	}
}

// TestAtMostTwoPassedPodsAreRemembered checks that of the ended Pods that the watch shows, the first and the latest are
// remembered, and only for the SpiderJob that they belong to.
func TestAtMostTwoPassedPodsAreRemembered(t *testing.T) {
	sj := makeSpiderJob()
	ended := makePod(makeJob(sj.SpiderJob).Job, "run-a").exited(0).Pod
	key := types.NamespacedName{Namespace: "shop", Name: "run"}
	m := newMemory()
	m.pass(key, ended, true)
	if len(m.jobs) > 0 {
		t.Error("a Pod of an unknown SpiderJob is remembered")
	}
	r := m.of(key, sj.UID)
	for range 100 {
		m.pass(key, ended, false)
	}
	m.pass(key, ended, true)
	passed := m.takePassed(r)
	if len(passed) != 2 || passed[0].deleting || !passed[1].deleting {
		t.Errorf("%d Pods are remembered, want two: as first and as last seen", len(passed))
	}
	if stranger := m.of(key, "sj-2"); len(m.takePassed(stranger)) > 0 {
		t.Error("a SpiderJob inherits the Pods of an earlier one of its name")
	}
	m.pass(key, ended, true)
	if len(m.takePassed(m.of(key, "sj-2"))) > 0 {
		t.Error("a SpiderJob gets a Pod of an earlier one of its name")
	}
}
