package controllers

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
	"github.com/scrapethis/spider-operator/controllers/stats"
)

// finishReasonShutdown is what Scrapy gives as its finish reason after a signal.
const finishReasonShutdown = "shutdown"

// judge decides what an ended Pod proves.
//
//	stopped by a queue that took the Job back           nothing: the Job waits to be resumed (pending.go)
//	disturbed (deleted, evicted, preempted, suspended)  nothing: an interruption, whatever the exit code
//	the Job's own time is over                          DeadlineExceeded
//	failed, and retries are left                        Retrying
//	failed                                              Error, with the reason that the container's end gives
//	succeeded, finish reason "shutdown"                 an interruption: somebody sent the process a signal
//	succeeded, but the spider says that it failed       SpiderFailed
//	succeeded                                           Finished, verified by final counts or not
//
// The exit code alone is never the verdict: Scrapy exits with 0 for most failures, and when it is stopped.
func (d decision) judge(o *observation, p plan, pod *corev1.Pod, now time.Time) decision {
	failing := jobFailing(o.job)
	over := failing != nil || jobCondition(o.job, batchv1.JobComplete) != nil
	switch cause := disturbance(pod); {
	case held(o.job) && !over && pod.DeletionTimestamp != nil:
		return d.preempted(o, p, pod, now)
	case cause != "":
		return d.interrupt(o, p, cause)
	case suspended(o.job):
		return d.interrupt(o, p, "its Job was suspended")
	case failing != nil && failing.Reason == batchv1.JobReasonDeadlineExceeded:
		d.describeRun(o, p, pod, spiderStarted(pod))
		return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonDeadlineExceeded, "its Job failed: "+failing.Message, now)
	case failing != nil && pod.Status.Phase == corev1.PodSucceeded:
		return d.interrupt(o, p, "its Job failed: "+failing.Message)
	}
	if pod.Status.Phase == corev1.PodFailed && failing == nil && retriesRemain(o) {
		reason, message := failure(pod)
		d.describeRun(o, p, pod, spiderStarted(pod))
		d.status.Phase, d.status.Reason = v1alpha1.PhaseRunning, v1alpha1.ReasonRetrying
		d.status.Message = truncate(fmt.Sprintf("attempt %d failed (%s): %s; trying again", d.status.Attempts, reason, message), maxMessage)
		return d
	}
	counts, known := finalCounts(o, p, pod, now)
	if !known {
		d.log = demand(p, pod, podlog.Final)
		d.after = time.Second
		return d
	}
	if pod.Status.Phase == corev1.PodSucceeded && counts.FinishReason == finishReasonShutdown {
		return d.interrupt(o, p, "the spider was told by a signal to shut down")
	}
	d.describeRun(o, p, pod, spiderStarted(pod))
	phase, reason, message := verdict(p, pod, counts)
	return d.end(o, phase, reason, message, now)
}

// verdict says how an undisturbed Pod ended, its final counts at hand as far as there are any.
func verdict(p plan, pod *corev1.Pod, counts stats.Counts) (phase v1alpha1.Phase, reason, message string) {
	if pod.Status.Phase == corev1.PodFailed {
		reason, message = failure(pod)
		return v1alpha1.PhaseError, reason, message
	}
	switch {
	case counts.Failure != "":
		return v1alpha1.PhaseError, v1alpha1.ReasonSpiderFailed, "the spider says that it failed: " + counts.Failure
	case counts.FinishReason != "" && slices.Contains(p.ErrorFinishReasons, counts.FinishReason):
		return v1alpha1.PhaseError, v1alpha1.ReasonSpiderFailed, "the spider closed with finish reason " + counts.FinishReason
	case p.StatsSource == v1alpha1.StatsFromNowhere:
		return v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, "the process exited with code 0"
	case !counts.Final:
		return v1alpha1.PhaseFinished, v1alpha1.ReasonCompletedUnverified,
			"the process exited with code 0, but its final counts could not be read"
	}
	message = "the spider finished"
	if counts.FinishReason != "" {
		message = "the spider closed with finish reason " + counts.FinishReason
	}
	return v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, message
}

// failure says why a Pod failed that nobody disturbed.
func failure(pod *corev1.Pod) (reason, message string) {
	ended := spiderState(pod).Terminated
	if ended == nil {
		return v1alpha1.ReasonJobFailed, strings.TrimSpace("the Pod failed: " + pod.Status.Reason + " " + pod.Status.Message)
	}
	said := lastWords(ended.Message)
	switch signal := signalOf(ended); {
	case ended.Reason == "OOMKilled":
		return v1alpha1.ReasonOutOfMemory, "the container used more memory than its limit, and was killed" + memoryLimit(pod)
	case signal != 0:
		return v1alpha1.ReasonKilled, fmt.Sprintf("the process was ended by signal %d (%s)%s", int(signal), signal, said)
	case ended.Reason == "StartError" || ended.Reason == "ContainerCannotRun":
		return v1alpha1.ReasonConfiguration, "the container could not be started" + said
	default:
		return v1alpha1.ReasonExitCode, fmt.Sprintf("the process exited with code %d%s", ended.ExitCode, said)
	}
}

// signalOf is the signal that ended a process, 0 if none did: container runtimes give 128 and its number as exit code.
func signalOf(ended *corev1.ContainerStateTerminated) syscall.Signal {
	if ended.Signal != 0 {
		return syscall.Signal(ended.Signal)
	}
	if ended.ExitCode > 128 && ended.ExitCode <= 128+64 {
		return syscall.Signal(ended.ExitCode - 128)
	}
	return 0
}

// lastWords is the last line of a termination message, which for a failed container is the end of its log: in it a Python
// program says what it died of.
func lastWords(message string) string {
	if counts, ok := stats.ParseTerminationMessage(message); ok {
		if counts.Failure == "" {
			return ""
		}
		return ": " + counts.Failure
	}
	lines := strings.Split(strings.TrimSpace(message), "\n")
	last := printable(strings.TrimSpace(lines[len(lines)-1]))
	if last == "" {
		return ""
	}
	return ": " + truncate(last, maxLastWords)
}

func memoryLimit(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == v1alpha1.ContainerName {
			if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
				return " (" + limit.String() + ")"
			}
		}
	}
	return ""
}

// retriesRemain reports whether the Job controller will make another Pod for a failed one.
func retriesRemain(o *observation) bool {
	failed := int32(0)
	for _, pod := range o.podsOfJob() {
		if pod.Status.Phase == corev1.PodFailed && disturbance(pod) == "" {
			failed++
		}
	}
	return failed <= valueOr(o.job.Spec.BackoffLimit, 6) // 6 is Kubernetes' default
}

// failedJobReason is the reason of a SpiderJob whose Job failed with no Pod left that could tell more.
func failedJobReason(failed *batchv1.JobCondition) string {
	if failed.Reason == batchv1.JobReasonDeadlineExceeded {
		return v1alpha1.ReasonDeadlineExceeded
	}
	return v1alpha1.ReasonJobFailed
}
