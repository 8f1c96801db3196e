package spiderjob

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/expect"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// finishReasonShutdown is Scrapy's finish reason after a signal.
const finishReasonShutdown = "shutdown"

// phasePatience is how long a Pod whose containers have all ended may take to say so in its phase, which kubelets set last.
const phasePatience = 2 * time.Second

// judge decides what the end of a Pod's spider proves. The spider's container decides, not the Pod's phase: other containers
// that were added to the Pod may outlive it or fail.
//
//	stopped by a queue that took the Job back           nothing: the Job waits to be resumed (pending.go)
//	disturbed (deleted, evicted, preempted, suspended,
//	lost by its node)                                   nothing: an interruption, whatever the exit code
//	the Pod's own time is over                          DeadlineExceeded
//	failed, and retries are left                        Retrying
//	failed                                              Error, with the reason that the container's end gives
//	succeeded, finish reason "shutdown" after a signal  an interruption
//	succeeded, but the spider says that it failed       SpiderFailed
//	succeeded, and stopped itself                       Finished, StoppedItself
//	succeeded                                           Finished, verified by final counts or not
//
// A finished run is then compared with its expectations (expectations.go).
// The exit code alone is never the verdict: Scrapy exits with 0 for most failures, and when it is stopped.
func (d *decision) judge(o *observation, p plan, pod *podView, now time.Time) decision {
	seen := o.witness != nil && o.witness.uid == pod.uid // ending by itself, whatever has happened since
	switch cause := disturbance(pod); {
	case seen:
	case o.job.paused() && !o.job.over() && pod.deleting:
		return d.preempted(o, p, pod, now)
	case cause != "":
		return d.interrupt(o, p, cause, now)
	case o.job.suspended && !endSeen(o, pod):
		return d.interrupt(o, p, "its Job was suspended", now)
	case pod.reason == podReasonDeadline:
		return d.conclude(
			o, p, pod, v1alpha1.PhaseError, v1alpha1.ReasonDeadlineExceeded, "its Pod ran longer than it may: "+pod.message, now,
		)
	}
	if !seen && !pod.ended() {
		if settled, wait := d.ownEnd(o, p, pod, now); !settled {
			return wait
		}
	}
	if wait := oomPatience - now.Sub(o.exitSeen); wait > 0 && perhapsOutOfMemory(pod) {
		d.demand(p, pod, podlog.Final)
		d.after, d.class = wait, queue.End
		return *d
	}
	if spiderFailed(pod) {
		switch reason, message := failure(pod); {
		case o.job.replacesPods() && !o.job.over() && retriesRemain(o):
			d.describeRun(o, p, pod, now)
			d.status.Phase, d.status.Reason = v1alpha1.PhaseRunning, v1alpha1.ReasonRetrying
			d.status.Message = truncate(
				fmt.Sprintf("attempt %d failed (%s): %s; trying again", d.status.Attempts, reason, message),
				maxMessage,
			)
			return *d
		case (!o.job.replacesPods() || o.job.complete) && d.failures() < p.Retries:
			return d.tryAgain(o, p, pod, reason, message, now)
		}
	}
	counts, known := finalCounts(o, p, pod, now)
	if !known {
		return d.awaitCounts(p, pod)
	}
	if shutDown(pod, counts) {
		if itself, next := d.stoppedItself(o, p, pod, counts, now); !itself {
			return next
		}
	}
	e := verdict(p, pod, counts)
	if r := o.reading(pod); e.reason == v1alpha1.ReasonCompletedUnverified && r.Err != nil {
		e.message += ": " + oneLine(r.Err.Error())
	}
	d.describeRun(o, p, pod, now)
	e, unsettled := d.expected(o, p, e, ran(pod), counts.FeedError, now)
	switch {
	case unsettled != nil:
		return *unsettled
	case e.retries && !o.job.replacesPods() && d.failures() < p.Retries:
		return d.tryAgain(o, p, pod, e.reason, e.message, now)
	}
	return d.conclude(o, p, pod, e.phase, e.reason, e.message, now)
}

// ending is the end of a run.
type ending struct {
	phase           v1alpha1.Phase
	reason, message string
	// retries says that a retry is spent on it if one is left.
	retries bool
}

// ran returns how long the spider of a Pod ran, by the clock of its node, and at least a second, since its times are cut to
// whole seconds; 0 if it has not run, or that is unknown.
func ran(pod *podView) time.Duration {
	exit := pod.exit()
	if exit == nil || exit.StartedAt.IsZero() {
		return 0
	}
	return max(exit.FinishedAt.Sub(exit.StartedAt.Time), time.Second)
}

// judgeClosed is judge for a spider that has closed although its process lives on. The verdict stays, and the kubelet ends the
// Pod (finish): how a process ends that the operator stops says nothing about the run.
func (d *decision) judgeClosed(o *observation, p plan, pod *podView, now time.Time) decision {
	r := o.reading(pod)
	if shutDown(pod, r.Counts) {
		if itself, next := d.stoppedItself(o, p, pod, r.Counts, now); !itself {
			return next
		}
	}
	e := verdict(p, pod, r.Counts)
	d.describeRun(o, p, pod, now)
	st := &d.status
	st.Stats = currentStats(o, p, pod, true, st)
	var lasted time.Duration
	if st.RunningSince != nil {
		lasted = r.Quiet.Sub(st.RunningSince.Time)
	}
	e, unsettled := d.expected(o, p, e, lasted, r.Counts.FeedError, now)
	if unsettled != nil {
		return *unsettled
	}
	e.message += fmt.Sprintf("; its process lived on for longer than its exitPatienceSeconds, and was stopped: its log ends at %s",
		moment(r.Quiet))
	if e.retries && d.failures() < p.Retries {
		return d.retry(e.reason, e.message, now)
	}
	d.stop(v1alpha1.Stop{Reason: e.reason, Message: e.message, Phase: e.phase}, v1alpha1.ReasonStopping, now)
	return d.withMessage("the spider has closed (" + e.reason + "), and its process, which lives on, is being stopped")
}

// shutDown reports whether a spider that did not fail reports that it was shut down: by a signal, or by itself, which Scrapy
// calls the same.
func shutDown(pod *podView, counts stats.Counts) bool {
	return !spiderFailed(pod) && counts.FinishReason == finishReasonShutdown
}

// stoppedItself reports whether a spider that was shut down did so itself (crawler.stop(), engine.stop()), or otherwise what to
// do. Scrapy logs the signal that it gets, so a log that was read from its first line to its last and has none proves it. So
// does the lack of the kubelet's Event of having stopped the container, as long as such Events are kept. If neither proves
// anything it counts as interrupted: an unnecessary run costs less than a run cut short that counts as finished.
func (d *decision) stoppedItself(
	o *observation, p plan, pod *podView, counts stats.Counts, now time.Time,
) (itself bool, next decision) {
	r := o.reading(pod)
	const signalled = "a signal asked the spider to shut down"
	switch k := o.killing; {
	case counts.Signalled || r.Counts.Signalled:
		return false, d.interrupt(o, p, signalled, now)
	case r.Whole && r.Counts.FinishReason == finishReasonShutdown:
		return true, decision{}
	case k.found == evidenceUnknown && !k.askAt.After(now):
		return false, decision{need: needKilling}
	case k.found == evidenceUnknown:
		d.demand(p, pod, podlog.Final)
		d.after, d.class = k.askAt.Sub(now), queue.End
		return false, *d
	case k.found == evidenceNone && (pod.exit() == nil || now.Sub(pod.exit().FinishedAt.Time) < killingLife):
		return true, decision{}
	}
	return false, d.interrupt(o, p, signalled, now)
}

// awaitCounts reads the end of a Pod's log, and looks again when it is read.
func (d *decision) awaitCounts(p plan, pod *podView) decision {
	d.demand(p, pod, podlog.Final)
	d.after, d.class = time.Second, queue.End
	return *d
}

// conclude records the verdict on a Pod whose spider has ended: as the end if nothing of the Pod runs any more, and otherwise
// as a stop that lasts until the other containers have ended, too.
func (d *decision) conclude(
	o *observation, p plan, pod *podView, phase v1alpha1.Phase, reason, message string, now time.Time,
) decision {
	d.describeRun(o, p, pod, now)
	alive := o.alive()
	if len(alive) == 0 {
		if len(o.pods) == 0 && !o.live {
			return decision{need: needLive}
		}
		return d.end(o, phase, reason, message, now)
	}
	d.noteExit(pod)
	d.status.Phase = v1alpha1.PhaseRunning
	d.stop(v1alpha1.Stop{Reason: reason, Message: message, Phase: phase}, v1alpha1.ReasonStopping, now)
	return d.withMessage("the spider has ended (" + reason + "), and other containers of its Pod still run")
}

// ownEnd reports whether the spider of a Pod that has not ended as a whole ended by itself, or otherwise what to do meanwhile.
// A Pod in which nothing else runs says so in its phase in a moment, and with it whether it was evicted. If other containers
// run on, only the kubelet's Event shows whether it stopped the spider: then the Pod's own end, which says why, is waited for.
func (d *decision) ownEnd(o *observation, p plan, pod *podView, now time.Time) (settled bool, wait decision) {
	wait = *d
	wait.class = queue.End
	wait.demand(p, pod, podlog.Final)
	ordinary, native := pod.lingering()
	if waited := now.Sub(o.exitSeen); len(ordinary) == 0 && !native && waited < phasePatience {
		wait.after = phasePatience - max(waited, 0)
		return false, wait
	}
	switch k := o.killing; {
	case k.found == evidenceUnknown && !k.askAt.After(now):
		return false, decision{need: needKilling}
	case k.found == evidenceUnknown:
		wait.after = k.askAt.Sub(now)
		return false, wait
	case k.found == evidenceOfStop && !containsPod(o.pods, pod.name):
		return false, d.interrupt(o, p, "its Pod was stopped, and deleted before its end was seen", now)
	case k.found == evidenceOfStop:
		wait.after = recheck
		return false, wait
	}
	return true, decision{}
}

// withMessage replaces the message of the status.
func (d *decision) withMessage(message string) decision {
	d.status.Message = truncate(message, maxMessage)
	return *d
}

// judgeWithoutJob is judge for a Pod whose Job somebody has deleted after its spider had ended by itself: the Pod is gone with
// it, or has no owner any more.
func (d *decision) judgeWithoutJob(o *observation, p plan, pod *podView, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	if alive := o.alive(); len(alive) > 0 {
		return d.afterLost(o, alive[0])
	}
	counts := lastCounts(o, pod)
	if containsPod(o.pods, pod.name) {
		var known bool
		if counts, known = finalCounts(o, p, pod, now); !known {
			return d.awaitCounts(p, pod)
		}
	}
	if shutDown(pod, counts) {
		if itself, next := d.stoppedItself(o, p, pod, counts, now); !itself {
			return next
		}
	}
	st := &d.status
	if st.PodUID != string(pod.uid) {
		st.Attempts++
	}
	d.rememberStart(pod.started())
	st.PodName, st.PodUID = pod.name, string(pod.uid)
	st.Stats = currentStats(o, plan{StatsSource: v1alpha1.StatsFromScrapy}, pod, true, st)
	e, unsettled := d.expected(o, p, verdict(p, pod, counts), ran(pod), counts.FeedError, now)
	switch {
	case unsettled != nil:
		return *unsettled
	case e.retries && d.failures() < p.Retries:
		return d.retry(e.reason, e.message, now)
	}
	return d.end(o, e.phase, e.reason, e.message, now)
}

// spiderFailed reports whether a Pod's spider ended with an exit code other than 0, was evicted because of itself, or never
// ran.
func spiderFailed(pod *podView) bool {
	if outOfStorage(pod) {
		return true
	}
	if exit := pod.exit(); exit != nil && !exit.StartedAt.IsZero() {
		return exit.ExitCode != 0
	}
	return pod.phase == corev1.PodFailed
}

// verdict returns how an undisturbed spider ended, given its final counts as far as there are any. A failed run may be retried.
func verdict(p plan, pod *podView, counts stats.Counts) ending {
	failed := func(reason, message string) ending { return ending{v1alpha1.PhaseError, reason, message, true} }
	finished := func(reason, message string) ending { return ending{v1alpha1.PhaseFinished, reason, message, false} }
	if spiderFailed(pod) {
		return failed(failure(pod))
	}
	killed := ""
	if exit := pod.exit(); exit != nil && exit.Reason == oomKilled {
		killed = "; a process of it used more memory than the container's limit" + ofLimit(pod) + ", and was killed"
	}
	logged := errorsLogged(counts) + killed
	switch {
	case counts.Failure != "":
		return failed(v1alpha1.ReasonSpiderFailed, "the spider says that it failed: "+counts.Failure+killed)
	case counts.FinishReason != "" && expect.MatchesReason(p.ErrorFinishReasons, counts.FinishReason):
		return failed(v1alpha1.ReasonSpiderFailed, "the spider closed with finish reason "+counts.FinishReason+logged)
	case killed != "" && !counts.Final:
		return failed(v1alpha1.ReasonOutOfMemory, "the process exited with code 0, but there is no proof that it did its work"+killed)
	case counts.FinishReason == finishReasonShutdown:
		return finished(v1alpha1.ReasonStoppedItself, "the spider stopped itself: it was not sent a signal"+logged)
	case p.StatsSource == v1alpha1.StatsFromNowhere:
		return finished(v1alpha1.ReasonCompleted, "the process exited with code 0")
	case !counts.Final && pod.exit() == nil:
		return finished(v1alpha1.ReasonCompletedUnverified, "the spider closed, but its final counts could not be read")
	case !counts.Final:
		return finished(v1alpha1.ReasonCompletedUnverified, "the process exited with code 0, but its final counts could not be read")
	}
	message := "the spider finished"
	if counts.FinishReason != "" {
		message = "the spider closed with finish reason " + counts.FinishReason
	}
	return finished(v1alpha1.ReasonCompleted, message+logged)
}

// errorsLogged says how many errors a spider has logged: Scrapy finishes even if callbacks fail.
func errorsLogged(counts stats.Counts) string {
	switch n := ptr.Deref(counts.Errors, 0); {
	case n == 1:
		return "; 1 error was logged"
	case n > 1:
		return fmt.Sprintf("; %d errors were logged", n)
	}
	return ""
}

// failure returns why an undisturbed spider failed.
func failure(pod *podView) (reason, message string) {
	exit := pod.exit()
	if outOfStorage(pod) {
		return v1alpha1.ReasonOutOfStorage, "the spider used more storage than it may: " + strings.TrimSpace(oneLine(pod.message))
	}
	if init := failedInit(pod); init != nil {
		ended := init.state.Terminated
		return v1alpha1.ReasonConfiguration, fmt.Sprintf(
			"init container %s failed, so that the spider could not start: it exited with code %d%s", init.name, ended.ExitCode,
			exitMessage(ended.Message),
		)
	}
	if exit == nil {
		return v1alpha1.ReasonJobFailed, strings.TrimSpace("the Pod failed: " + pod.reason + " " + pod.message)
	}
	said := exitMessage(exit.Message)
	switch signal := signalOf(exit); {
	case exit.Reason == oomKilled:
		return v1alpha1.ReasonOutOfMemory, "the container used more memory than its limit, and was killed" + ofLimit(pod)
	case signal != 0:
		return v1alpha1.ReasonKilled, fmt.Sprintf("the process was ended by signal %d (%s)%s", int(signal), signal, said)
	case exit.Reason == "StartError" || exit.Reason == "ContainerCannotRun":
		return v1alpha1.ReasonConfiguration, "the container could not be started" + said
	default:
		return v1alpha1.ReasonExitCode, fmt.Sprintf("the process exited with code %d%s", exit.ExitCode, said)
	}
}

// oomPatience is how long to wait for the report that a spider that a SIGKILL ended was out of memory: container runtimes learn
// of that separately from the end, and perhaps later.
const oomPatience = 2 * time.Second

// perhapsOutOfMemory reports whether memory may yet turn out to be the cause of a spider's end.
func perhapsOutOfMemory(pod *podView) bool {
	exit := pod.exit()
	return exit != nil && signalOf(exit) == syscall.SIGKILL && exit.Reason != oomKilled && !outOfStorage(pod)
}

// oomKilled is the reason of a container in which the kernel killed a process because memory ran out, whatever its exit code.
const oomKilled = "OOMKilled"

// signalOf returns the signal that ended a process, 0 for none: container runtimes report 128 plus its number as exit code.
func signalOf(ended *corev1.ContainerStateTerminated) syscall.Signal {
	if ended.Signal != 0 {
		return syscall.Signal(ended.Signal)
	}
	if ended.ExitCode > 128 && ended.ExitCode <= 128+64 {
		return syscall.Signal(ended.ExitCode - 128)
	}
	return 0
}

// ofLimit names the spider's memory limit, if it has one.
func ofLimit(pod *podView) string {
	if pod.memoryLimit == "" {
		return ""
	}
	return " (" + pod.memoryLimit + ")"
}

// retriesRemain reports whether the Job controller will create another Pod for a failed one, in a Job of an earlier version.
func retriesRemain(o *observation) bool {
	failed := int32(0)
	for _, pod := range o.podsOfJob() {
		if pod.phase == corev1.PodFailed && disturbance(pod) == "" {
			failed++
		}
	}
	return failed <= o.job.backoffLimit
}
