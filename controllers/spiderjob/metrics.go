package spiderjob

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/admission"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

const (
	// maxCounted bounds the items, or requests, that one job adds to the metrics. Spiders report them themselves: one that lies
	// must not drown out all others.
	maxCounted = 1_000_000_000
	// otherReason replaces in metrics a reason that this controller does not set.
	otherReason = "Other"
)

var (
	jobsEnded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spider_operator_jobs_ended_total",
		Help: "SpiderJobs that have ended, by phase and reason.",
	}, []string{"phase", "reason"})
	queueDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "spider_operator_job_queue_duration_seconds",
		Help:    "Time from a SpiderJob's creation to that of the Job whose spider was its first to start, in whole seconds.",
		Buckets: []float64{1, 2, 5, 10, 30, 60, 300, 900, 3600},
	})
	startDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "spider_operator_job_start_duration_seconds",
		Help:    "Time from the creation of that Job to the start of the spider's process, in whole seconds.",
		Buckets: []float64{1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 900, 3600},
	})
	runDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "spider_operator_job_run_duration_seconds",
		Help:    "Time from the first start of the spider's process to the SpiderJob's end, by phase.",
		Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 72 * 3600},
	}, []string{"phase"})
	itemsTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "spider_operator_spider_items_total",
		Help: "Items scraped by SpiderJobs that have ended, in their last attempt, as far as they were counted.",
	})
	requestsTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "spider_operator_spider_requests_total",
		Help: "Requests sent by SpiderJobs that have ended, in their last attempt, as far as they were counted.",
	})
	interruptionsTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "spider_operator_job_interruptions_total",
		Help: "Attempts that were interrupted: evicted, drained, preempted, or their Pod deleted.",
	})
	expectationsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spider_operator_job_expectations_total",
		Help: "SpiderJobs that have ended and had expectations, or lost items, by what became of these: met, broken or unknown.",
	}, []string{"outcome"})
	stallsTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "spider_operator_job_stalls_total",
		Help: "Attempts whose counts stood still for longer than their expectations allow.",
	})
	statusWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spider_operator_status_writes_total",
		Help: "Writes of SpiderJobs' statuses, by result: written, conflict (tried again), gone (deleted meanwhile) or failed.",
	}, []string{"result"})
)

// ends are the reasons that a terminal phase can have.
var ends = map[v1alpha1.Phase][]string{
	v1alpha1.PhaseFinished:  {v1alpha1.ReasonCompleted, v1alpha1.ReasonCompletedUnverified, v1alpha1.ReasonStoppedItself},
	v1alpha1.PhaseCancelled: {v1alpha1.ReasonCancelled},
	v1alpha1.PhaseError: {
		v1alpha1.ReasonDeadlineExceeded, v1alpha1.ReasonStartDeadlineExceeded, v1alpha1.ReasonMaxWaitExceeded,
		v1alpha1.ReasonOutOfStorage,
		v1alpha1.ReasonOutOfMemory, v1alpha1.ReasonInterrupted, v1alpha1.ReasonExitCode, v1alpha1.ReasonKilled,
		v1alpha1.ReasonSpiderFailed, v1alpha1.ReasonSpiderNotFound, v1alpha1.ReasonInvalidJob, v1alpha1.ReasonNameConflict,
		v1alpha1.ReasonJobFailed, v1alpha1.ReasonImagePull, v1alpha1.ReasonInvalidImage, v1alpha1.ReasonConfiguration,
		v1alpha1.ReasonExpectationsNotMet, v1alpha1.ReasonFeedFailed, v1alpha1.ReasonStalled,
	},
}

// reasons are all reasons that a status can have: metrics use only these as labels.
var reasons = func() map[string]string {
	all := map[string]string{}
	for _, reason := range []string{
		v1alpha1.ReasonUnschedulable, v1alpha1.ReasonQuotaExceeded, v1alpha1.ReasonPodForbidden,
		v1alpha1.ReasonServiceAccountNotFound, v1alpha1.ReasonPodNotCreated, v1alpha1.ReasonQueued, v1alpha1.ReasonWaiting,
		v1alpha1.ReasonCreated, v1alpha1.ReasonRunning, v1alpha1.ReasonRetrying, v1alpha1.ReasonStopping,
	} {
		all[reason] = reason
	}
	for _, ofPhase := range ends {
		for _, reason := range ofPhase {
			all[reason] = reason
		}
	}
	all[""] = v1alpha1.ReasonCreated // nothing was recorded yet
	return all
}()

// knownReason returns a reason as metrics name it. The result does not keep its argument in memory.
func knownReason(reason string) string {
	if known, ok := reasons[reason]; ok {
		return known
	}
	return otherReason
}

// RegisterMetrics registers the metrics of SpiderJobs, and returns the metrics of their queue. It may be called again for the
// same registry: the values belong to the process, not to one of its controllers.
func RegisterMetrics(to prometheus.Registerer) (*queue.Metrics, error) {
	own := []prometheus.Collector{
		jobsEnded, queueDuration, startDuration, runDuration, itemsTotal, requestsTotal, interruptionsTotal, expectationsTotal,
		stallsTotal, statusWrites, &shownCounts,
	}
	for _, collector := range slices.Concat(own, podlog.Metrics(), admission.Metrics()) {
		err := to.Register(collector)
		if _, already := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !already {
			return nil, fmt.Errorf("register the metrics of SpiderJobs: %w", err)
		}
	}
	// A counter that does not exist until it is 1 hides its first increase from rate().
	for phase, reasons := range ends {
		for _, reason := range reasons {
			jobsEnded.WithLabelValues(string(phase), reason)
		}
	}
	for _, outcome := range outcomes {
		expectationsTotal.WithLabelValues(outcome)
	}
	for _, result := range []string{writeDone, writeConflict, writeGone, writeFailed} {
		statusWrites.WithLabelValues(result)
	}
	return queue.NewMetrics(to, controllerName)
}

// outcomes are the results of a run's expectations, by the status of their condition.
var outcomes = map[metav1.ConditionStatus]string{
	metav1.ConditionTrue: "met", metav1.ConditionFalse: "broken", metav1.ConditionUnknown: "unknown",
}

// The results of a status write.
const (
	writeDone     = "written"
	writeConflict = "conflict"
	writeGone     = "gone"
	writeFailed   = "failed"
)

// writeResult is what became of a status write.
func writeResult(err error) string {
	switch {
	case err == nil:
		return writeDone
	case apierrors.IsConflict(err):
		return writeConflict
	case apierrors.IsNotFound(err):
		return writeGone
	}
	return writeFailed
}

// advance is what one write of a status has changed, as far as metrics count it. Each change is in only one write, by whichever
// process, since a write is refused if the status is no longer the one on which the decision was based.
type advance struct {
	// started says that the spider has run for the first time, after the times queued and starting.
	started          bool
	queued, starting time.Duration
	// ended is the terminal phase and its reason, empty before the end.
	ended  v1alpha1.Phase
	reason string
	// ran is the time since the first start, if ended and there was one.
	hasRun bool
	ran    time.Duration
	// items and requests are the counts, if ended.
	items, requests int64
	interruptions   int32
	// expectations is the result of the expectations, if ended; empty without any.
	expectations string
	stalled      bool
}

// advanceTo returns what changes with the next status of an observed SpiderJob.
func advanceTo(o *observation, next *v1alpha1.SpiderJobStatus) advance {
	previous := &o.sj.Status
	p := advance{
		interruptions: max(next.Interruptions-previous.Interruptions, 0),
		stalled:       reportedStall(previous) == "" && reportedStall(next) != "",
	}
	if previous.StartedAt == nil && next.StartedAt != nil && o.jobIsOurs() {
		p.started = true
		p.queued = max(o.job.created.Sub(o.sj.CreationTimestamp.Time), 0)
		p.starting = max(next.StartedAt.Sub(o.job.created), 0)
	}
	if previous.Phase.Terminal() || !next.Phase.Terminal() {
		return p
	}
	p.ended, p.reason = next.Phase, knownReason(next.Reason)
	if next.StartedAt != nil && next.FinishedAt != nil {
		p.hasRun, p.ran = true, max(next.FinishedAt.Sub(next.StartedAt.Time), 0)
	}
	if met := apimeta.FindStatusCondition(next.Conditions, v1alpha1.ConditionExpectationsMet); met != nil {
		p.expectations = outcomes[met.Status]
	}
	if next.Stats != nil {
		p.items = min(next.Stats.ItemsScraped, maxCounted)
		p.requests = min(ptr.Deref(next.Stats.Requests, 0), maxCounted)
	}
	return p
}

// count adds the changes of a written status to the metrics.
func (p advance) count() {
	if p.started {
		queueDuration.Observe(p.queued.Seconds())
		startDuration.Observe(p.starting.Seconds())
	}
	interruptionsTotal.Add(float64(p.interruptions))
	if p.stalled {
		stallsTotal.Inc()
	}
	if p.expectations != "" {
		expectationsTotal.WithLabelValues(p.expectations).Inc()
	}
	if p.ended == "" {
		return
	}
	jobsEnded.WithLabelValues(string(p.ended), p.reason).Inc()
	if p.hasRun {
		runDuration.WithLabelValues(string(p.ended)).Observe(p.ran.Seconds())
	}
	itemsTotal.Add(float64(p.items))
	requestsTotal.Add(float64(p.requests))
}
