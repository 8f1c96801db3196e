package spiderjob

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/admission"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/earlier"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/quota"
)

// controllerName is the controller's name in metrics.
const controllerName = "spiderjob"

// Setup adds the SpiderJob controller to a manager whose cache keeps what Caches says. Its metrics are registered in the
// registry.
func Setup(ctx context.Context, mgr ctrl.Manager, registry prometheus.Registerer, opts Options) error {
	clientset, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("set up a client for logs: %w", err)
	}
	opts.Logs.Log = mgr.GetLogger().WithName("podlog")
	logs := podlog.New(podlog.NewSource(clientset), opts.Logs)
	if err := mgr.Add(logs); err != nil {
		return fmt.Errorf("add the log collector: %w", err)
	}
	if err := mgr.Add(newJobCounts(mgr.GetCache(), clock.RealClock{})); err != nil {
		return fmt.Errorf("add the metrics of SpiderJobs: %w", err)
	}
	runs := earlier.New(mgr.GetCache())
	if err := mgr.Add(runs); err != nil {
		return fmt.Errorf("add the memory of earlier runs: %w", err)
	}
	err = mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, podsBySpiderJob, func(obj client.Object) []string {
		return []string{obj.GetLabels()[v1alpha1.LabelSpiderJob]}
	})
	if err != nil {
		return fmt.Errorf("index Pods by SpiderJob: %w", err)
	}
	gate := quota.New()
	if err := mgr.Add(gate); err != nil {
		return fmt.Errorf("add the quota gate: %w", err)
	}
	limits := admission.New()
	follower := &admission.Follower{Gate: limits, Cache: mgr.GetCache(), Live: mgr.GetAPIReader(), Clock: clock.RealClock{}}
	if err := follower.Follow(ctx); err != nil {
		return err
	}
	if err := mgr.Add(follower); err != nil {
		return fmt.Errorf("add the gate of limits: %w", err)
	}
	queueMetrics, err := RegisterMetrics(registry)
	if err != nil {
		return err
	}
	work := queue.New(queue.Options{Workers: opts.Workers, Clock: clock.RealClock{}, Metrics: queueMetrics})
	reconciler := &Reconciler{
		decide:     decide,
		client:     mgr.GetClient(),
		live:       mgr.GetAPIReader(),
		logs:       logs,
		events:     mgr.GetEventRecorder("spider-operator"),
		warnings:   newEventReader(mgr.GetAPIReader(), clock.RealClock{}),
		quota:      gate,
		admission:  limits,
		classOf:    work.ClassOf,
		clock:      clock.RealClock{},
		defaults:   opts.Defaults,
		memory:     newMemory(),
		leadership: &leadership{reader: mgr.GetAPIReader()},
		earlier:    runs,
	}
	if len(opts.Namespaces) > 0 {
		reconciler.leadership.namespace = opts.Namespaces[0]
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named(controllerName).
		Watches(&v1alpha1.SpiderJob{}, bySpiderJob()).
		Watches(&batchv1.Job{}, byLabel(reconciler.memory), builder.WithPredicates(onlyNews())).
		Watches(&corev1.Pod{}, byLabel(reconciler.memory), builder.WithPredicates(onlyNews())).
		WatchesRawSource(source.Channel(logs.Changes(), bySpiderJob())).
		WatchesRawSource(source.Channel(gate.Woken(), bySpiderJob())).
		WatchesRawSource(source.Channel(limits.Woken(), bySpiderJob())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: opts.Workers,
			NewQueue: func(string, workqueue.TypedRateLimiter[reconcile.Request]) workQueue {
				return work // the queue has its own back-off
			},
			SkipNameValidation: ptr.To(true), // several may run in one process, one after the other or as replicas
		}).
		WithLogConstructor(func(request *reconcile.Request) logr.Logger {
			if request == nil {
				return mgr.GetLogger()
			}
			return mgr.GetLogger().WithValues("SpiderJob", klog.KRef(request.Namespace, request.Name))
		}).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("set up the SpiderJob controller: %w", err)
	}
	return nil
}
