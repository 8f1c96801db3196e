package schedule

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
)

// workers is how many schedules are reconciled at once: each waits for kube-apiserver most of the time, and the limiter bounds
// what they start.
const workers = 8

type workQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Setup adds the SpiderSchedule controller to a manager whose cache keeps what Caches says. Its metrics are registered in the
// registry.
func Setup(ctx context.Context, mgr ctrl.Manager, registry prometheus.Registerer) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.SpiderJob{}, unfinishedBySchedule, indexUnfinished)
	if err != nil {
		return fmt.Errorf("index SpiderJobs by SpiderSchedule: %w", err)
	}
	if err := RegisterMetrics(ctx, registry, mgr.GetCache(), clock.RealClock{}); err != nil {
		return err
	}
	jumps := newClockWatch(mgr.GetCache(), clock.RealClock{})
	if err := mgr.Add(jumps); err != nil {
		return fmt.Errorf("add the watch of the clock: %w", err)
	}
	reconciler := &Reconciler{
		client:  mgr.GetClient(),
		live:    mgr.GetAPIReader(),
		events:  mgr.GetEventRecorder("spider-operator"),
		clock:   clock.RealClock{},
		limiter: rate.NewLimiter(creationsPerSecond, creationsPerSecond),
		written: newWritten(),
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("spiderschedule").
		For(&v1alpha1.SpiderSchedule{}, builder.WithPredicates(onlyForeign(reconciler.written))).
		Watches(&v1alpha1.SpiderJob{}, byRun()).
		WatchesRawSource(source.Channel(jumps.woken, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			NewQueue: func(string, workqueue.TypedRateLimiter[reconcile.Request]) workQueue {
				return queue.New(queue.Options{Workers: workers, Clock: clock.RealClock{}})
			},
			SkipNameValidation: ptr.To(true), // several may run in one process, one after the other or as replicas
		}).
		WithLogConstructor(func(request *reconcile.Request) logr.Logger {
			if request == nil {
				return mgr.GetLogger()
			}
			return mgr.GetLogger().WithValues("SpiderSchedule", klog.KRef(request.Namespace, request.Name))
		}).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("set up the SpiderSchedule controller: %w", err)
	}
	return nil
}

// indexUnfinished returns the name of the schedule that has started a SpiderJob at its time, if that has not ended.
func indexUnfinished(obj client.Object) []string {
	sj, ok := obj.(*v1alpha1.SpiderJob)
	if !ok || sj.Status.Phase.Terminal() || sj.Labels[v1alpha1.LabelOrigin] != v1alpha1.OriginSchedule {
		return nil
	}
	return []string{sj.Labels[v1alpha1.LabelSchedule]}
}

// onlyForeign drops updates that this process itself has written.
func onlyForeign(written *written) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		s, ok := e.ObjectNew.(*v1alpha1.SpiderSchedule)
		return !ok || !written.shown(s)
	}}
}

// byRun enqueues the schedule of a run that has ended, or is gone.
func byRun() handler.EventHandler {
	add := func(q workQueue, obj client.Object) {
		name := obj.GetLabels()[v1alpha1.LabelSchedule]
		if name == "" {
			return
		}
		request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}
		if classed, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
			classed.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(queue.End)}, request)
			return
		}
		q.Add(request)
	}
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workQueue) {
			before, _ := e.ObjectOld.(*v1alpha1.SpiderJob)
			after, _ := e.ObjectNew.(*v1alpha1.SpiderJob)
			if before != nil && after != nil && after.Status.Phase.Terminal() && !before.Status.Phase.Terminal() {
				add(q, after)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workQueue) {
			if sj, ok := e.Object.(*v1alpha1.SpiderJob); ok && !sj.Status.Phase.Terminal() {
				add(q, sj) // an ended one was taken note of before
			}
		},
	}
}
