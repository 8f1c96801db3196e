package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
)

// Options are the settings of the controller process.
type Options struct {
	// Defaults are for what Spiders leave open.
	Defaults Defaults
	// Logs bounds the reading of spiders' logs.
	Logs podlog.Options
	// Namespaces are the namespaces to serve, all of them when empty.
	Namespaces []string
	// Workers is how many SpiderJobs are reconciled at once.
	Workers int
	// MetricsAddress and ProbeAddress are where metrics and health are served, as host:port; "0" for nowhere.
	MetricsAddress, ProbeAddress string
	// LeaderElection lets several replicas run, of which one leads. Its Lease is in LeaderElectionNamespace, by default the
	// one the process runs in.
	LeaderElection          bool
	LeaderElectionNamespace string
	// LeaseDuration is how long a leader is believed to lead without a sign of it; RenewDeadline, shorter, how long it keeps
	// trying to give one; RetryPeriod, shorter still, the time between two tries.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// Log is where log lines go.
	Log logr.Logger
}

// leaderElectionID is the name of the Lease.
const leaderElectionID = "spider-operator-controller.scrapethis.app"

// NewScheme returns a scheme of the kinds the controller works with.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register Kubernetes' kinds: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register %s: %w", v1alpha1.GroupVersion, err)
	}
	return scheme, nil
}

// Run runs the controller until ctx ends.
func Run(ctx context.Context, config *rest.Config, opts Options) error {
	scheme, err := NewScheme()
	if err != nil {
		return err
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server's own fairness bounds what is asked of it
	cacheOptions, err := cacheOptions(opts.Namespaces)
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cacheOptions,
		Metrics:                       metricsserver.Options{BindAddress: opts.MetricsAddress},
		HealthProbeBindAddress:        opts.ProbeAddress,
		LeaderElection:                opts.LeaderElection,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionNamespace:       opts.LeaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &opts.LeaseDuration,
		RenewDeadline:                 &opts.RenewDeadline,
		RetryPeriod:                   &opts.RetryPeriod,
		Logger:                        opts.Log,
	})
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	if err := Setup(ctx, mgr, opts); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the readiness check: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the controller: %w", err)
	}
	return nil
}

// Setup adds the SpiderJob controller to a manager whose cache was made with this package's options.
func Setup(ctx context.Context, mgr ctrl.Manager, opts Options) error {
	clientset, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("set up a client for logs: %w", err)
	}
	opts.Logs.Log = mgr.GetLogger().WithName("podlog")
	logs := podlog.New(podlog.NewSource(clientset), opts.Logs)
	if err := mgr.Add(logs); err != nil {
		return fmt.Errorf("add the log collector: %w", err)
	}
	err = mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, podsBySpiderJob, func(obj client.Object) []string {
		return []string{obj.GetLabels()[v1alpha1.LabelSpiderJob]}
	})
	if err != nil {
		return fmt.Errorf("index Pods by SpiderJob: %w", err)
	}
	reconciler := &Reconciler{
		client:   mgr.GetClient(),
		live:     mgr.GetAPIReader(),
		logs:     logs,
		events:   mgr.GetEventRecorder("spider-operator"),
		clock:    clock.RealClock{},
		defaults: opts.Defaults,
		memory:   newMemory(),
		lead:     &lead{reader: mgr.GetAPIReader()},
	}
	if len(opts.Namespaces) > 0 {
		reconciler.lead.namespace = opts.Namespaces[0]
	}
	toSpiderJob := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
		name := obj.GetLabels()[v1alpha1.LabelSpiderJob]
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
	})
	err = ctrl.NewControllerManagedBy(mgr).
		Named("spiderjob").
		For(&v1alpha1.SpiderJob{}).
		Watches(&batchv1.Job{}, toSpiderJob).
		Watches(&corev1.Pod{}, toSpiderJob).
		WatchesRawSource(source.Channel(logs.Changes(), &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: opts.Workers,
			SkipNameValidation:      ptr.To(true), // several may run in one process, one after the other or as replicas
		}).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("set up the SpiderJob controller: %w", err)
	}
	return nil
}

// cacheOptions keeps in memory only the operator's own Jobs and Pods, and of all objects only what is read.
func cacheOptions(namespaces []string) (cache.Options, error) {
	ours, err := labels.NewRequirement(v1alpha1.LabelSpiderJob, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, fmt.Errorf("select the operator's own objects: %w", err)
	}
	selector := labels.NewSelector().Add(*ours)
	shared := true // Jobs and Pods are read, never changed
	opts := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&batchv1.Job{}: {Label: selector, UnsafeDisableDeepCopy: &shared, Transform: slimJob},
			&corev1.Pod{}:  {Label: selector, UnsafeDisableDeepCopy: &shared, Transform: slimPod},
		},
	}
	if len(namespaces) > 0 {
		opts.DefaultNamespaces = make(map[string]cache.Config, len(namespaces))
		for _, namespace := range namespaces {
			opts.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return opts, nil
}

// slimJob drops what the controller never reads of a Job: all of its Pod template but the image.
func slimJob(obj any) (any, error) {
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return obj, nil // a tombstone
	}
	job.ManagedFields = nil
	template := &job.Spec.Template
	containers := make([]corev1.Container, 0, len(template.Spec.Containers))
	for i := range template.Spec.Containers {
		containers = append(containers, corev1.Container{Name: template.Spec.Containers[i].Name, Image: template.Spec.Containers[i].Image})
	}
	*template = corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: containers}}
	return job, nil
}

// slimPod drops what the controller never reads of a Pod: all of its spec but the memory limits.
func slimPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil // a tombstone
	}
	pod.ManagedFields = nil
	containers := make([]corev1.Container, 0, len(pod.Spec.Containers))
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		containers = append(containers, corev1.Container{Name: c.Name, Resources: c.Resources})
	}
	pod.Spec = corev1.PodSpec{Containers: containers, NodeName: pod.Spec.NodeName}
	return pod, nil
}
