// Package spiderjob runs SpiderJobs: it reconciles each into a batch/v1 Job and mirrors its state.
//
// Reconcile (reconciler.go) observes (observe.go), decides (decide.go, a pure function of the observation and the clock), acts
// (act.go) and records (record.go). All decisions are in decide and in what it calls: attempts.go says what follows an attempt,
// and when; begin.go when its Job is created; verdict.go how a Pod's spider ended, with the counts of counts.go, and
// expectations.go whether that meets the expectations; progress.go whether a run makes progress; pending.go why a job does not
// run yet, and refusals.go why its Job was refused; teardown.go how a run is stopped; retention.go when Job and SpiderJob are
// deleted. job.go builds the Job from a plan (plan.go), which combines the SpiderJob, its Spider and the operator's defaults,
// and from the settings for all spiders' Pods (poddefaults.go).
//
// An observation (observation.go) holds Jobs and Pods as views (views.go) of what the caches keep (cache.go); what this process
// remembers beyond those, and may forget, is in memory.go. evidence.go asks for Events, which eventreader.go and eventturns.go
// read within a budget. room.go talks to the quota gate.
//
// Package queue of the parent decides which SpiderJob is next; package admission which have a place under the limits of
// Spiders and SpiderQuotas; package quota which wait for a ResourceQuota without a Job;
// package podlog reads logs, and package stats parses them and termination messages. Package expect judges expectations by
// final counts, and package earlier knows the runs to compare with. Package changes passes on which SpiderJobs have to be
// reconciled. Package simulated is the cluster in which TestSimulation runs the Reconciler.
//
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs/status,verbs=update
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiderjobs/finalizers,verbs=update
// +kubebuilder:rbac:groups=scrapethis.app,resources=spiders;spiderquotas;spiderschedules,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups="",resources=pods/log,verbs=get
// +kubebuilder:rbac:groups="",resources=events,verbs=list;create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
package spiderjob
