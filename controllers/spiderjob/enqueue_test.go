package spiderjob

import (
	"context"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
)

// queueOf returns the names in the work queue after the events of put, in the order in which they would be worked on.
func queueOf(t *testing.T, put func(q workQueue)) []string {
	t.Helper()
	q := queue.New(queue.Options{Workers: 1})
	put(q)
	var names []string
	for {
		request, _, ok := q.TryGet()
		if !ok {
			return names
		}
		names = append(names, request.Name)
		q.Done(request)
	}
}

func spiderJobIn(name string, phase v1alpha1.Phase) *v1alpha1.SpiderJob {
	sj := &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: "7"}}
	if phase != "" {
		sj.Status.Phase, sj.Status.ObservedGeneration = phase, 1
	}
	return sj
}

// TestStopsThenEndsThenCreationsComeFirst checks the order of the work queue: stops, ends, creations, other changes, and last
// what a start or a resync reads again.
func TestStopsThenEndsThenCreationsComeFirst(t *testing.T) {
	ctx := context.Background()
	cancelled := spiderJobIn("cancelled", v1alpha1.PhaseRunning)
	cancelled.Spec.Cancellation = &v1alpha1.Cancellation{}
	cancelledNew := spiderJobIn("cancelled while new", "")
	cancelledNew.Spec.Cancellation = &v1alpha1.Cancellation{}
	cancelledEnded := spiderJobIn("cancelled, has ended", v1alpha1.PhaseCancelled)
	cancelledEnded.Spec.Cancellation = &v1alpha1.Cancellation{}
	deleted := spiderJobIn("deleted", v1alpha1.PhaseRunning)
	deleted.DeletionTimestamp = &metav1.Time{Time: epoch}
	deletedEnded := spiderJobIn("deleted, has ended", v1alpha1.PhaseFinished)
	deletedEnded.DeletionTimestamp = &metav1.Time{Time: epoch}
	podOf := func(name string, change func(podBuilder)) *corev1.Pod {
		pod := makePod(makeJob(makeSpiderJob().SpiderJob).Job, "p").running()
		change(pod)
		pod.Labels = map[string]string{v1alpha1.LabelSpiderJob: name}
		pod.Namespace = "shop"
		return pod.Pod
	}
	beingDeleted := func(p podBuilder) { p.DeletionTimestamp = &metav1.Time{Time: epoch} }
	ended := func(p podBuilder) { p.exited(0) }

	got := queueOf(t, func(q workQueue) {
		created := func(sj *v1alpha1.SpiderJob, initial bool) {
			bySpiderJob().Create(ctx, event.CreateEvent{Object: sj, IsInInitialList: initial}, q)
		}
		updated := func(w enqueuer, obj client.Object, news bool) {
			old := obj.DeepCopyObject().(client.Object)
			if news {
				old.SetResourceVersion("6")
			}
			w.Update(ctx, event.UpdateEvent{ObjectOld: old, ObjectNew: obj}, q)
		}
		created(spiderJobIn("ended long ago", v1alpha1.PhaseFinished), true)
		updated(bySpiderJob(), spiderJobIn("ended, read again", v1alpha1.PhaseFinished), false)
		byLabel(newMemory()).Create(ctx, event.CreateEvent{Object: podOf("its Pod is found ended", ended), IsInInitialList: true}, q)
		updated(bySpiderJob(), spiderJobIn("has just ended", v1alpha1.PhaseFinished), true)
		created(spiderJobIn("found running", v1alpha1.PhaseRunning), true)
		updated(bySpiderJob(), cancelledEnded, true)
		updated(bySpiderJob(), deletedEnded, true)
		updated(byLabel(newMemory()), podOf("its Pod runs", func(podBuilder) {}), true)
		bySpiderJob().Delete(ctx, event.DeleteEvent{Object: spiderJobIn("is gone", v1alpha1.PhaseRunning)}, q)
		created(spiderJobIn("found new", ""), true)
		created(spiderJobIn("new", ""), false)
		updated(byLabel(newMemory()), podOf("its Pod has ended", ended), true)
		updated(byLabel(newMemory()), podOf("its spider has ended", func(p podBuilder) {
			ended(p)
			p.Status.Phase = corev1.PodRunning
		}), true)
		updated(byLabel(newMemory()), podOf("its Pod has ended and is deleted", func(p podBuilder) {
			ended(p)
			beingDeleted(p)
		}), true)
		byLabel(newMemory()).Delete(ctx, event.DeleteEvent{Object: podOf("its Pod is gone", ended)}, q)
		bySpiderJob().Generic(ctx, event.GenericEvent{Object: spiderJobIn("its log was read", v1alpha1.PhaseRunning)}, q)
		updated(bySpiderJob(), cancelled, true)
		updated(bySpiderJob(), cancelledNew, true)
		updated(bySpiderJob(), deleted, true)
		updated(byLabel(newMemory()), podOf("its Pod is being deleted", beingDeleted), true)
		byLabel(
			newMemory(),
		).Create(ctx, event.CreateEvent{Object: podOf("its Pod is found being deleted", beingDeleted), IsInInitialList: true}, q)
	})
	want := []string{
		"cancelled", "cancelled while new", "deleted", "its Pod is being deleted", "its Pod is found being deleted",
		"its Pod has ended", "its spider has ended", "its Pod has ended and is deleted", "its Pod is gone", "its log was read",
		"found new", "new",
		"has just ended", "found running", "cancelled, has ended", "deleted, has ended", "its Pod runs", "is gone",
		"ended long ago", "ended, read again", "its Pod is found ended",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %q,\nwant %q", got, want)
	}
}

// TestASpiderJobIsNotUrgentOnceItsJobIsCreated checks that a SpiderJob whose Job was just created is not urgent any more,
// though it stays in the queue, to be looked at later.
func TestASpiderJobIsNotUrgentOnceItsJobIsCreated(t *testing.T) {
	d := decide(observe(makeSpiderJob()).withJob(makeJob(makeSpiderJob().SpiderJob)).observation, epoch.Add(time.Second))
	if d.class != routine {
		t.Errorf("it is looked at again in class %d", d.class)
	}
}

// TestAChangedLabelWakesBothSpiderJobs checks that a Pod whose label is changed by hand wakes the SpiderJob that it named
// before and the one that it names now.
func TestAChangedLabelWakesBothSpiderJobs(t *testing.T) {
	before := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{v1alpha1.LabelSpiderJob: "a"}}}
	after := before.DeepCopy()
	after.Labels[v1alpha1.LabelSpiderJob], after.ResourceVersion = "b", "2"
	got := queueOf(t, func(q workQueue) {
		byLabel(newMemory()).Update(context.Background(), event.UpdateEvent{ObjectOld: before, ObjectNew: after}, q)
	})
	if slices.Sort(got); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("it wakes %q", got)
	}
}

// TestOnlyChangesThatAreReadWake checks that an update wakes a SpiderJob only if it changes something that the controller
// reads. That the controller reads nothing more is shown by the simulation: the caches in it keep nothing more.
func TestOnlyChangesThatAreReadWake(t *testing.T) {
	job := func(change func(*batchv1.Job)) client.Object {
		j := makeJob(makeSpiderJob().SpiderJob).Job
		change(j)
		slimJob(j)
		return j
	}
	pod := func(change func(*corev1.Pod)) client.Object {
		p := makePod(makeJob(makeSpiderJob().SpiderJob).Job, "p").running().Pod
		change(p)
		slimPod(p)
		return p
	}
	sameJob, samePod := job(func(*batchv1.Job) {}), pod(func(*corev1.Pod) {})
	for name, c := range map[string]struct {
		before, after client.Object
		wakes         bool
	}{
		"the Job controller counts": {sameJob, job(func(j *batchv1.Job) {
			j.ResourceVersion = "8"
			j.Status.Active, j.Status.Ready = 1, ptr.To[int32](1)
			j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"p"}}
		}), false},
		"the Job has started":  {sameJob, job(func(j *batchv1.Job) { j.Status.StartTime = ptr.To(at(time.Second)) }), true},
		"the Job is suspended": {sameJob, job(func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) }), true},
		"the Job is complete": {sameJob, job(func(j *batchv1.Job) {
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		}), true},
		"the Job is being deleted": {sameJob, job(func(j *batchv1.Job) { j.DeletionTimestamp = &metav1.Time{Time: epoch} }), true},
		"the Job is another":       {sameJob, job(func(j *batchv1.Job) { j.UID = "another" }), true},
		"the Pod's finalizer goes": {samePod, pod(func(p *corev1.Pod) {
			p.ResourceVersion = "8"
			p.Finalizers = []string{batchv1.JobTrackingFinalizer}
		}), false},
		"the Pod has an address and is ready": {samePod, pod(func(p *corev1.Pod) {
			p.Status.PodIP = "10.0.0.1"
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
		}), false},
		"the Pod is disrupted": {samePod, pod(func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
		}), true},
		"the Pod is being deleted": {samePod, pod(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: epoch} }), true},
		"the Pod is to go sooner":  {samePod, pod(func(p *corev1.Pod) { p.DeletionGracePeriodSeconds = ptr.To[int64](1) }), true},
		"the spider has ended":     {samePod, pod(func(p *corev1.Pod) { podBuilder{p}.exited(0) }), true},
	} {
		t.Run(name, func(t *testing.T) {
			update := event.UpdateEvent{ObjectOld: c.before, ObjectNew: c.after}
			if wakes := onlyNews().Update(update); wakes != c.wakes {
				t.Errorf("wakes is %t, want %t", wakes, c.wakes)
			}
		})
	}
}
