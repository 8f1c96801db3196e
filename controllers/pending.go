package controllers

import (
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
)

const (
	// explainAfter is how long a Pod may take to start before it is worth a word: a scheduler that needs a moment is not.
	explainAfter = 2 * time.Second
	// podPatience is how long a Job may have no Pod before its Events are asked why.
	podPatience = 5 * time.Second
	// maxBackOff bounds the time between two looks at why there is no Pod.
	maxBackOff = time.Minute
)

// queued says that an admission system holds the Job back. It suspends and resumes the Job as it sees fit; nobody here
// interferes.
func (d decision) queued() decision {
	d.pending(v1alpha1.ReasonQueued, "its Job is suspended, and waits to be resumed by the queue that admits it")
	d.after = 0
	return d
}

// takenBack counts that a queue has taken the Job back from under a Pod that ran. The Job stays where it is, and keeps its
// place in the queue: the Job controller does not count a Pod that it stops for this, and makes another one when the Job is
// resumed. Only a Job that had been interrupted too often before, or is not to be run again, is removed.
func (d decision) takenBack(o *observation, p plan) decision {
	if !p.triesAgain(d.status.Interruptions + 1) {
		return d.interrupt(o, p, "its Job was suspended")
	}
	if pod := o.lastPod; pod != nil && pod.Name == d.status.PodName {
		d.status.Stats = currentStats(o, p, pod, true, &d.status)
	}
	d.status.Interruptions++
	return d.queued()
}

// preempted follows a Pod that has ended since its Job was suspended, whatever its exit code: its counts are worth keeping.
func (d decision) preempted(o *observation, p plan, pod *corev1.Pod, now time.Time) decision {
	st := &d.status
	counted := st.Phase == v1alpha1.PhasePending && st.JobUID == string(o.job.UID) && st.PodName == pod.Name
	if counted || spiderStarted(pod).IsZero() {
		return d.queued()
	}
	if _, known := finalCounts(o, p, pod, now); !known {
		d.log = demand(p, pod, podlog.Final)
		d.after = time.Second
		return d
	}
	d.describeRun(o, p, pod, spiderStarted(pod))
	return d.takenBack(o, p)
}

// explainPod says why the spider of a Pod has not started yet, once that takes longer than usual. A container that cannot
// be made ends the job when patience with it is over; a Pod that finds no node waits for as long as the timeout allows.
func (d decision) explainPod(o *observation, pod *corev1.Pod, now time.Time) decision {
	reason, message, since := waiting(pod)
	if reason == "" {
		return d
	}
	if wait := explainAfter - now.Sub(since); wait > 0 {
		d.after = sooner(d.after, wait)
		return d
	}
	if reason != v1alpha1.ReasonUnschedulable {
		left := o.defaults.ImagePatience - now.Sub(since)
		if left <= 0 {
			return d.stopFor(o, reason, message)
		}
		d.after = sooner(d.after, left)
	}
	d.pending(reason, message)
	return d
}

// waiting is what a Pod whose spider has not started waits for, and since when; an empty reason where nothing is wrong.
func waiting(pod *corev1.Pod) (reason, message string, since time.Time) {
	since = pod.CreationTimestamp.Time
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodScheduled {
			continue
		}
		since = c.LastTransitionTime.Time
		if c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return v1alpha1.ReasonUnschedulable, c.Message, since
		}
	}
	state := spiderState(pod).Waiting
	if state == nil {
		return "", "", since
	}
	switch state.Reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		return v1alpha1.ReasonImagePull, printable(state.Message), since
	case "InvalidImageName":
		return v1alpha1.ReasonInvalidImage, printable(state.Message), since
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return v1alpha1.ReasonConfiguration, printable(state.Message), since
	}
	return "", "", since
}

// explainNoPod says why a Job has no Pod, in the words of its Events. To list Events is to have all of the namespace's read,
// so it is left alone while the Job controller has not even come to the Job, as in a burst: there is nothing to be read then,
// and when it comes to the Job it says so there.
func (d decision) explainNoPod(o *observation, now time.Time) decision {
	since := waitingSince(o.job)
	if since.IsZero() {
		return d
	}
	age := now.Sub(since)
	if age < podPatience {
		d.after = sooner(d.after, podPatience-age)
		return d
	}
	wait := backOff(age)
	if o.eventsAt.IsZero() || now.Sub(o.eventsAt) >= wait {
		return decision{need: needEvents}
	}
	d.after = sooner(d.after, wait-now.Sub(o.eventsAt))
	if o.events != nil {
		d.pending(o.events.reason, o.events.message)
	}
	return d
}

// waitingSince is when the Job controller first saw to the Job, or did so again when it was resumed; zero if it has not yet.
func waitingSince(job *batchv1.Job) time.Time {
	if job.Status.StartTime == nil {
		return time.Time{}
	}
	return job.Status.StartTime.Time
}

// explain finds the reason in what admission or the Job controller said about a Pod that could not be created.
func explain(message string) refusal {
	text := strings.ToLower(message)
	reason := v1alpha1.ReasonPodNotCreated
	switch {
	case strings.Contains(text, "exceeded quota") || strings.Contains(text, "failed quota"):
		reason = v1alpha1.ReasonQuotaExceeded
	case strings.Contains(text, "serviceaccount") && strings.Contains(text, "not found"):
		reason = v1alpha1.ReasonServiceAccountNotFound
	case strings.Contains(text, "forbidden"):
		reason = v1alpha1.ReasonPodForbidden
	}
	return refusal{reason: reason, message: truncate(printable(message), maxMessage)}
}

// backOff is the time until the next look, for what has lasted for age: about as long again, within bounds.
func backOff(age time.Duration) time.Duration {
	return min(max(age, podPatience), maxBackOff)
}

// sooner is the shorter of two waits, where zero is no wait at all.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
