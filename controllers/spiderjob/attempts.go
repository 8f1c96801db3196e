package spiderjob

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

const (
	// firstPause is the pause after the first failed attempt and after the second interruption. Each further pause is twice as
	// long, up to maxPause, like the Job controller's own back-off.
	firstPause = 10 * time.Second
	maxPause   = 6 * time.Minute
	// maxUnstarted is how many attempts in a row may be interrupted before their process started without counting as
	// interruptions.
	maxUnstarted = 10
)

// The Job of a SpiderJob creates one Pod. Every further attempt, after a failure or an interruption, takes the same way: the
// stop of the current attempt is recorded, its Job is deleted, and when nothing of it can run any more, and a pause is over, a
// new Job is created.

// interrupt decides that the current attempt was disturbed from outside and proves nothing. Its Job is deleted; then a new
// attempt begins, or the job ends if there were too many. This needs a live read: the caches may show that a Pod is being
// deleted before they show that its Job was suspended, which explains it.
func (d *decision) interrupt(o *observation, p plan, cause string, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	st := &d.status
	pod := o.lastPod
	if pod != nil && o.job != nil && !pod.controlledBy(o.job) {
		pod = nil // it belongs to an earlier attempt
	}
	started := attemptStarted(o, st) || pod != nil && !pod.started().IsZero()
	if o.job != nil {
		if pod != nil && !pod.started().IsZero() {
			st.Phase = v1alpha1.PhaseRunning
			d.describeRun(o, p, pod, now)
		}
		st.JobUID = string(o.job.uid)
	}
	if pod != nil {
		d.closing(p, pod)
	}
	if started {
		st.Unstarted = 0
	} else {
		st.Unstarted++
	}
	counted := started || st.Unstarted > maxUnstarted
	if counted {
		st.Interruptions++
	}
	retry := p.triesAgain(st.Interruptions)
	message := "interrupted: " + cause
	if !retry && p.Interruptions == v1alpha1.InterruptionRetry {
		message = fmt.Sprintf("interrupted %d times, more than %d; the last time: %s", st.Interruptions, p.MaxInterruptions, cause)
	}
	return d.stop(v1alpha1.Stop{Reason: v1alpha1.ReasonInterrupted, Message: message, Retry: retry}, v1alpha1.ReasonInterrupted, now)
}

// attemptStarted reports whether the status records that the process of the current attempt has started.
func attemptStarted(o *observation, st *v1alpha1.SpiderJobStatus) bool {
	return st.RunningSince != nil || // an earlier version did not record this time
		st.Phase == v1alpha1.PhaseRunning && st.PodUID == "" && st.PodName != "" && (o.job == nil || st.JobUID == string(o.job.uid))
}

// tryAgain decides that another attempt follows a failed one.
func (d *decision) tryAgain(o *observation, p plan, pod *podView, reason, message string, now time.Time) decision {
	d.describeRun(o, p, pod, now)
	d.noteExit(pod)
	return d.retry(reason, message, now)
}

// retry spends a retry on the current attempt, which has failed.
func (d *decision) retry(reason, message string, now time.Time) decision {
	st := &d.status
	st.Failures = d.failures() + 1
	st.Phase = v1alpha1.PhaseRunning
	message = fmt.Sprintf("attempt %d failed (%s): %s; trying again", st.Attempts, reason, message)
	return d.stop(v1alpha1.Stop{Reason: v1alpha1.ReasonRetrying, Message: message, Retry: true}, v1alpha1.ReasonRetrying, now)
}

// failures returns how many earlier attempts have failed. Earlier versions did not record that: there, every attempt that was
// not interrupted had failed, except the current one.
func (d *decision) failures() int32 {
	st := &d.status
	if st.Failures == 0 && st.PodUID == "" {
		return max(st.Attempts-st.Interruptions-1, 0)
	}
	return st.Failures
}

// stopJob decides to stop the current Job for good. The caches may not show yet that its spider has just started, or ended.
func (d *decision) stopJob(o *observation, reason, message string, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	d.status.JobUID = string(o.job.uid)
	return d.stop(v1alpha1.Stop{Reason: reason, Message: message}, v1alpha1.ReasonStopping, now)
}

// stop records that the current attempt is over. Nothing is deleted before this is recorded.
func (d *decision) stop(s v1alpha1.Stop, reason string, now time.Time) decision {
	st := &d.status
	s.JobUID, s.Since = st.JobUID, &metav1.Time{Time: now}
	s.Message = truncate(s.Message, maxMessage)
	st.Stop = &s
	st.Reason, st.Message = reason, s.Message
	d.after, d.class, d.room = 0, queue.Stop, roomUnwanted
	return *d
}

// jobGone decides what follows if the SpiderJob had a Job and has none any more.
func (d *decision) jobGone(o *observation, now time.Time) decision {
	p := currentPlan(o)
	switch last := o.lastPod; {
	case last == nil:
	case endSeen(o, last):
		if settled, wait := d.ownEnd(o, p, o.exited, now); !settled {
			return wait
		}
		return d.judgeWithoutJob(o, p, o.exited, now)
	}
	return d.interrupt(o, p, "its Job was deleted", now)
}

// closing requests the log of a Pod that is being stopped: the log is deleted with the Pod.
func (d *decision) closing(p plan, pod *podView) {
	mode := podlog.Follow
	if pod.ended() {
		mode = podlog.Final
	}
	d.demand(p, pod, mode)
}

// nextAttempt resets what the status says of the attempt that is now proven gone, and sets when the next may begin. The message
// of the stop stays until it does.
func (d *decision) nextAttempt(s *stop, now time.Time) {
	st := &d.status
	pause := pauseAfter(st, s.Reason)
	st.Stop, st.JobUID, st.RunningSince, st.FailingSince = nil, "", nil, nil
	st.AttemptFrom = &metav1.Time{Time: now.Add(pause).Truncate(time.Second)}
	d.forgetExpectations()
}

// pauseAfter returns the pause before the next attempt: it grows with the failures, or with the interruptions, so far.
func pauseAfter(st *v1alpha1.SpiderJobStatus, reason string) time.Duration {
	n := st.Interruptions - 1 + st.Unstarted
	if reason == v1alpha1.ReasonRetrying {
		n = st.Failures
	}
	if n <= 0 {
		return 0
	}
	return min(firstPause<<min(n-1, 10), maxPause)
}

// pauseLeft returns the time until the next attempt may begin. A clock that was set back does not make it longer than any
// pause.
func pauseLeft(st *v1alpha1.SpiderJobStatus, now time.Time) time.Duration {
	if st.AttemptFrom == nil {
		return 0
	}
	left := st.AttemptFrom.Sub(now)
	if left > maxPause {
		return 0
	}
	return left
}
