package controllers

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
)

const (
	// streamPatience is how long a Pod's deletion waits for its log to be followed.
	streamPatience = 2 * time.Second
	// countsPatience is how long an end waits for its final counts.
	countsPatience = 10 * time.Second
)

// stop is a reason to stop the current Job.
type stop struct {
	v1alpha1.Stop
	// grace is the grace period asked for in seconds, nil for the Pod's own.
	grace *int64
}

// stopOf is why a SpiderJob is to be stopped, nil if it is not. A cancellation outranks all other reasons: it is a promise
// to the one who asked.
func stopOf(sj *v1alpha1.SpiderJob) *stop {
	if c := sj.Spec.Cancellation; c != nil {
		message := "cancelled"
		if c.RequestedBy != "" {
			message += " by " + c.RequestedBy
		}
		return &stop{Stop: v1alpha1.Stop{Reason: v1alpha1.ReasonCancelled, Message: message}, grace: c.GracePeriodSeconds}
	}
	if sj.Status.Stop != nil {
		return &stop{Stop: *sj.Status.Stop}
	}
	return nil
}

// stopDone reports whether the Job to be stopped has already been followed by that of the next attempt.
func stopDone(o *observation, s *stop) bool {
	return s.Retry && o.jobIsOurs() && string(o.job.UID) != s.JobUID
}

// stopFor decides to stop the current Job. Nothing is deleted before the decision is recorded.
func (d decision) stopFor(o *observation, reason, message string) decision {
	message = truncate(message, maxMessage)
	d.status.Stop = &v1alpha1.Stop{JobUID: string(o.job.UID), Reason: reason, Message: message}
	d.status.JobUID = string(o.job.UID)
	d.status.Reason, d.status.Message = v1alpha1.ReasonStopping, message
	d.after = 0
	return d
}

// interrupt decides that the current attempt was disturbed from outside and proves nothing. Its Job is removed; then comes
// a new attempt, or the end if there were too many. The caches are not enough for that: they may show that a Pod is being
// deleted before they show that its Job was suspended, which is why.
func (d decision) interrupt(o *observation, p plan, cause string) decision {
	if !o.live {
		return decision{need: needLive}
	}
	st := &d.status
	if o.job != nil {
		st.JobUID = string(o.job.UID)
	}
	st.Interruptions++
	message := "interrupted: " + cause
	retry := p.triesAgain(st.Interruptions)
	if !retry && p.Interruptions == v1alpha1.InterruptionRetry {
		message = fmt.Sprintf("interrupted %d times, more than %d; lastly %s", st.Interruptions, p.MaxInterruptions, cause)
	}
	message = truncate(message, maxMessage)
	st.Stop = &v1alpha1.Stop{JobUID: st.JobUID, Reason: v1alpha1.ReasonInterrupted, Message: message, Retry: retry}
	st.Reason, st.Message = v1alpha1.ReasonInterrupted, message
	if pod := o.lastPod; pod != nil && o.job != nil && metav1.IsControlledBy(pod, o.job) {
		if started := spiderStarted(pod); !started.IsZero() {
			st.Phase = v1alpha1.PhaseRunning
			d.describeRun(o, p, pod, started)
		}
		d.log = closing(p, pod)
	}
	d.after = 0
	return d
}

// closing asks for what a stopped Pod says last: its log is gone with it.
func closing(p plan, pod *corev1.Pod) logDemand {
	if podEnded(pod) {
		return demand(p, pod, podlog.Final)
	}
	return demand(p, pod, podlog.Follow)
}

// tearDown stops the current Job: first the Pod, with the grace period asked for and its log followed, then the Job, and the
// end only when both are proven gone.
func (d decision) tearDown(o *observation, s *stop, now time.Time) decision {
	job, p := o.job, planOf(o.job, o.defaults)
	if !o.jobIsOurs() {
		job, p = nil, planNow(o) // somebody else has removed it; its Pods still have logs
	}
	if job == nil && len(o.pods) == 0 {
		return d.afterTearDown(o, s, now)
	}
	d.after = recheck
	for _, pod := range o.pods {
		if podEnded(pod) {
			continue
		}
		d.log = demand(p, pod, podlog.Follow)
		shorter := s.grace != nil && pod.DeletionGracePeriodSeconds != nil && *s.grace < *pod.DeletionGracePeriodSeconds
		if pod.DeletionTimestamp == nil || shorter {
			if d.log.pod != nil && !followed(o, now) {
				d.after = streamPatience
				return d.withoutRecord(o)
			}
			d.action = action{kind: deletePod, pod: pod, grace: s.grace}
			return d.withoutRecord(o)
		}
	}
	if job == nil {
		return d.clearPods(o, s).withoutRecord(o)
	}
	if job.DeletionTimestamp == nil {
		if pod := o.lastPod; pod != nil && podEnded(pod) && len(o.pods) > 0 {
			d.log = demand(p, pod, podlog.Final)
			if _, known := finalCounts(o, p, pod, now); !known {
				d.after = countsPatience
				return d.withoutRecord(o)
			}
		}
		d.action = action{kind: deleteJob, job: job}
	}
	return d.withoutRecord(o)
}

// clearPods removes Pods that no Job holds any more.
func (d decision) clearPods(o *observation, s *stop) decision {
	d.after = recheck
	for _, pod := range o.pods {
		if pod.DeletionTimestamp == nil {
			d.action = action{kind: deletePod, pod: pod}
			if s != nil {
				d.action.grace = s.grace
			}
			return d
		}
	}
	return d
}

// withoutRecord keeps the status as it is recorded: a stop on its way is not worth a write.
func (d decision) withoutRecord(o *observation) decision {
	d.status = *o.sj.Status.DeepCopy()
	return d
}

// afterTearDown ends the SpiderJob or begins its next attempt, once nothing of it can be there any more.
func (d decision) afterTearDown(o *observation, s *stop, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	if r := o.reading; !r.Since.IsZero() && !r.Done && now.Sub(r.Since) < followBound(o.lastPod) {
		d.after = time.Second
		return d.withoutRecord(o)
	}
	if o.lastPod != nil {
		if o.lastPod.Name != d.status.PodName {
			d.status.Attempts++ // the Pod came and went before anything of it was recorded
		}
		d.rememberStart(spiderStarted(o.lastPod))
		d.status.Stats = lastStats(o, &d.status)
	}
	if s.Retry {
		d.status.Stop, d.status.JobUID = nil, ""
		return d.begin(o, now)
	}
	phase := v1alpha1.PhaseError
	if s.Reason == v1alpha1.ReasonCancelled {
		phase = v1alpha1.PhaseCancelled
	}
	return d.end(o, phase, s.Reason, s.Message, now)
}

// followed reports whether the Pod's log is being followed, or has been asked for in vain for long enough.
func followed(o *observation, now time.Time) bool {
	r := o.reading
	return r.Opened || r.Done || r.Err != nil || (!r.Since.IsZero() && now.Sub(r.Since) >= streamPatience)
}

// followBound is how long the rest of a log is waited for after the stop of its Pod.
func followBound(pod *corev1.Pod) time.Duration {
	bound := countsPatience
	if pod != nil && pod.DeletionGracePeriodSeconds != nil {
		bound += time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	}
	return bound
}
