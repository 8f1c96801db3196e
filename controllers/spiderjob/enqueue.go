package spiderjob

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
)

// routine is the class of what has changed and is of no special concern.
const routine = queue.Routine

// enqueuer enqueues a SpiderJob when something about it has changed.
type enqueuer struct {
	// spiderJob returns the SpiderJob that an object belongs to.
	spiderJob func(client.Object) types.NamespacedName
	// class returns the class of an object that has changed or, with news false, was read again unchanged.
	class func(obj client.Object, news bool) int
	// gone is the class of an object that was deleted.
	gone int
	// memory records the Pods that pass.
	memory *memory
}

// bySpiderJob enqueues a SpiderJob that has itself changed.
func bySpiderJob() enqueuer {
	return enqueuer{
		spiderJob: client.ObjectKeyFromObject,
		class: func(obj client.Object, news bool) int {
			sj, ok := obj.(*v1alpha1.SpiderJob)
			running := ok && !sj.Status.Phase.Terminal()
			switch {
			case running && (sj.Spec.Cancellation != nil || sj.DeletionTimestamp != nil):
				return queue.Stop
			case running && sj.Status.ObservedGeneration == 0:
				return queue.Create
			case running || news:
				return routine
			}
			return queue.Idle
		},
		gone: routine,
	}
}

// byLabel enqueues the SpiderJob of a Job or Pod, and records in the memory Pods that may be gone before the reconcile.
func byLabel(memory *memory) enqueuer {
	return enqueuer{
		memory: memory,
		spiderJob: func(obj client.Object) types.NamespacedName {
			return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetLabels()[v1alpha1.LabelSpiderJob]}
		},
		class: func(obj client.Object, news bool) int {
			pod, ok := obj.(*corev1.Pod)
			switch {
			case ok && pod.DeletionTimestamp != nil && !podEnded(pod):
				return queue.Stop // even without a request: the log must be followed before it is gone
			case ok && news && (podEnded(pod) || spiderEnded(pod)):
				return queue.End // unchanged, it is only retained: a SpiderJob that has not ended is enqueued anyway
			case news:
				return routine
			}
			return queue.Idle
		},
		gone: queue.End, // a stop waits for it
	}
}

type workQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Create is called for an object that is new, or was there when the controller started.
func (w enqueuer) Create(_ context.Context, e event.CreateEvent, q workQueue) {
	w.add(q, e.Object, w.class(e.Object, !e.IsInInitialList))
}

// Update is called for an object that has changed, or was read again as it is.
func (w enqueuer) Update(_ context.Context, e event.UpdateEvent, q workQueue) {
	class := w.class(e.ObjectNew, e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion())
	w.pass(e.ObjectNew, false)
	w.add(q, e.ObjectNew, class)
	if w.spiderJob(e.ObjectOld) != w.spiderJob(e.ObjectNew) {
		w.add(q, e.ObjectOld, class)
	}
}

// Delete is called for an object that is gone.
func (w enqueuer) Delete(_ context.Context, e event.DeleteEvent, q workQueue) {
	w.pass(e.Object, true)
	w.add(q, e.Object, w.gone)
}

func (w enqueuer) pass(obj client.Object, gone bool) {
	if pod, ok := obj.(*corev1.Pod); ok && w.memory != nil {
		w.memory.pass(w.spiderJob(pod), pod, gone)
	}
}

// Generic is called for a SpiderJob of whose log more is known. Its end may wait for that; while it runs, the budget of log
// reads limits the number of calls.
func (w enqueuer) Generic(_ context.Context, e event.GenericEvent, q workQueue) {
	w.add(q, e.Object, queue.End)
}

func (w enqueuer) add(q workQueue, obj client.Object, class int) {
	request := reconcile.Request{NamespacedName: w.spiderJob(obj)}
	if classed, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		classed.AddWithOpts(priorityqueue.AddOpts{Priority: &class}, request)
		return
	}
	q.Add(request)
}

// onlyNews drops updates of Jobs and Pods that change nothing but what the cache has dropped, which is never read.
func onlyNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return !sameButVersion(e.ObjectOld, e.ObjectNew) }}
}

// sameButVersion reports whether two slimmed Jobs, or Pods, differ in nothing but the resource version. Most others differ in
// their status, which is therefore compared first.
func sameButVersion(a, b client.Object) bool {
	switch a := a.(type) {
	case *batchv1.Job:
		b, ok := b.(*batchv1.Job)
		return ok && equality.Semantic.DeepEqual(a.Status, b.Status) && sameMeta(a.ObjectMeta, b.ObjectMeta) &&
			equality.Semantic.DeepEqual(a.Spec, b.Spec)
	case *corev1.Pod:
		b, ok := b.(*corev1.Pod)
		return ok && equality.Semantic.DeepEqual(a.Status, b.Status) && sameMeta(a.ObjectMeta, b.ObjectMeta) &&
			equality.Semantic.DeepEqual(a.Spec, b.Spec)
	}
	return false
}

func sameMeta(a, b metav1.ObjectMeta) bool {
	a.ResourceVersion, b.ResourceVersion = "", ""
	return equality.Semantic.DeepEqual(a, b)
}

// podEnded reports whether nothing in the Pod runs any more, for good.
func podEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// spiderEnded reports whether the spider's container has ended.
func spiderEnded(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if c := &pod.Status.ContainerStatuses[i]; c.Name == v1alpha1.ContainerName {
			return c.State.Terminated != nil
		}
	}
	return false
}
