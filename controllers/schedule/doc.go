// Package schedule starts the runs of SpiderSchedules.
//
// decide (decide.go) is a pure function: from what is known of a schedule and the time it says which run to start, which to
// cancel, and what to record. due.go finds the times that are due, and timing.go what an edit changes. The Reconciler
// (reconciler.go) observes (observe.go), decides, acts and records. setup.go adds it to a manager; clock.go notices that the
// machine's clock was set; metrics.go has the metrics.
//
// A schedule writes nothing but its own status, creates SpiderJobs and, with overlap Replace, cancels its own.
//
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderschedules,verbs=get;list;watch
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderschedules/status,verbs=update
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiders,verbs=get;list;watch
package schedule
