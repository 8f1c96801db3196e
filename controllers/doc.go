// Package controllers runs SpiderJobs: it reconciles each into a batch/v1 Job and mirrors what becomes of it.
//
// Reconcile observes (observe.go), decides (decide.go, a pure function of the observation and the clock), acts (act.go) and
// records (record.go). Everything worth arguing about is in decide and in what it calls: verdict.go says how a Pod ended,
// pending.go why none runs yet, teardown.go how a run is stopped, retention.go when its traces go. The Job itself is built
// in job.go from a plan (plan.go), which is the SpiderJob, its Spider and the operator's defaults put together. What is kept
// of the cluster's objects is in cache.go, which of their changes make a SpiderJob be looked at, and how soon, in wake.go; who is
// next, so that nobody's trouble is everybody's, is package queue's to say.
// What Prometheus is told of recorded changes is in metrics.go, of the SpiderJobs that there are in population.go.
//
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs/status,verbs=update
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs/finalizers,verbs=update
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiders,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups="",resources=pods/log,verbs=get
// +kubebuilder:rbac:groups="",resources=events,verbs=list;create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
package controllers
