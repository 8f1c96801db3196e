// Package spiderjob runs SpiderJobs: it reconciles each into a batch/v1 Job and mirrors what becomes of it.
//
// Reconcile (reconciler.go) observes (observe.go), decides (decide.go, a pure function of the observation and the clock), acts
// (act.go) and records (record.go). Everything worth arguing about is in decide and in what it calls: attempts.go says what
// follows an attempt, and when; begin.go when its Job is made; verdict.go how a Pod's spider ended, with the counts of counts.go,
// and expectations.go whether that is what was expected of it; progress.go whether one that runs stands still; pending.go why none
// runs yet, and refusals.go why its Job was refused; teardown.go how a run is stopped; retention.go when its traces go. The Job
// itself is built in job.go from a plan (plan.go), which is the SpiderJob, its Spider and the operator's defaults put together, and
// from what holds for all spiders' Pods (poddefaults.go).
//
// An observation (observation.go) holds Jobs and Pods as views.go narrows them to what the caches keep (cache.go); what this process
// remembers beyond those, and may forget, is in memory.go. What Events tell is asked for in evidence.go, and read within a budget by
// eventreader.go and eventturns.go. What the namespace's quota has room for is asked and told in room.go. Which changes make a
// SpiderJob be looked at is in wake.go. What Prometheus is told of recorded changes is in metrics.go, of the SpiderJobs that there
// are in population.go.
//
// Package queue of the parent says which SpiderJob is next; package quota who waits for a quota without a Job; package
// podlog reads logs, and package stats what they and termination messages say of counts. Package expect judges rules by final counts,
// and package earlier knows the runs that one is compared with. Package changes passes on which SpiderJobs others want looked at.
// Package simulated is the cluster in which TestSimulation lets the Reconciler live.
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
package spiderjob
