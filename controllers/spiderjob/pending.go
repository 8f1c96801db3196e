package spiderjob

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/quota"
)

const (
	// explainAfter is how long the status stays silent while a Pod is being scheduled, which is rarely instant.
	explainAfter = 2 * time.Second
	// refusalPatience is how long a Job that the Job controller has seen may have no Pod before Events are read. The Job
	// controller tries to create the Pod before it reports that the Job has started, so most Jobs without a Pod were refused one.
	// The sooner a namespace's first refusal is known, the fewer Jobs are created, and retried after 1, 2 and 4 s, that have to
	// wait.
	refusalPatience = 2 * time.Second
	// podPatience is how long a Pod may have no running spider before Events are read.
	podPatience = 5 * time.Second
	// startPatience is how long containers may take to be created before the status says so.
	startPatience = 15 * time.Second
	// jobPatience is how long the Job controller may take to see a Job before the status says so.
	jobPatience = time.Minute
	// maxBackOff bounds the time between two looks at why there is no Pod.
	maxBackOff = time.Minute
)

// queued reports that an admission system holds the Job back. It suspends and resumes the Job as it sees fit; the controller
// does not interfere.
func (d *decision) queued() decision {
	d.pending(v1alpha1.ReasonQueued, "its Job is suspended, and waits to be resumed by the queue that admits it")
	d.after, d.room = 0, roomUnwanted
	return *d
}

// takenBack records that a queue has suspended the Job of a running Pod. The Job stays, and keeps its place in the queue: the
// Job controller does not count a Pod that it stops for this, and creates another one when the Job is resumed. Only a Job that
// was interrupted too often before, or may not run again, is deleted.
func (d *decision) takenBack(o *observation, p plan, now time.Time) decision {
	if !p.triesAgain(d.status.Interruptions + 1) {
		return d.interrupt(o, p, "its Job was suspended", now)
	}
	if pod := o.lastPod; pod != nil && pod.name == d.status.PodName {
		d.status.Stats = currentStats(o, p, pod, true, &d.status)
	}
	d.status.Interruptions++
	d.status.RunningSince, d.status.FailingSince = nil, nil
	return d.queued()
}

// preempted handles a Pod that has ended after its Job was suspended, whatever its exit code: only its counts are kept.
func (d *decision) preempted(o *observation, p plan, pod *podView, now time.Time) decision {
	st := &d.status
	counted := st.Phase == v1alpha1.PhasePending && st.JobUID == string(o.job.uid) && st.PodName == pod.name
	if counted || pod.started().IsZero() {
		return d.queued()
	}
	if _, known := finalCounts(o, p, pod, now); !known {
		return d.awaitCounts(p, pod)
	}
	d.describeRun(o, p, pod, now)
	return d.takenBack(o, p, now)
}

// withoutPod handles a Job that has no Pod: not yet, not now, or no more.
func (d *decision) withoutPod(o *observation, p plan, now time.Time) decision {
	ran := d.status.JobUID == string(o.job.uid) && d.status.PodName != "" && d.status.Phase == v1alpha1.PhaseRunning
	switch {
	case o.job.over():
		return d.podGone(o, p, now)
	case o.job.paused() && ran:
		return d.takenBack(o, p, now)
	case o.job.paused():
		return d.queued()
	case ran:
		return d.interrupt(o, p, "its Pod was deleted", now)
	}
	if o.quota.park {
		// The Job controller would keep trying to create a Pod that cannot be: an older SpiderJob's Job does so for all.
		d.pending(v1alpha1.ReasonQuotaExceeded, o.quota.message)
		d.action, d.after = action{kind: deleteJob, on: o.job.objectRef}, recheck
		return *d
	}
	if left, limited := startLeft(o, &d.status, p, now); limited {
		if left <= 0 {
			return d.stopJob(o, v1alpha1.ReasonStartDeadlineExceeded, startDeadlineMessage(p, &d.status), now)
		}
		d.after = left
	}
	return d.explainNoPod(o, now)
}

// podGone judges a Job that has ended, and whose Pod somebody has deleted before its end was seen.
func (d *decision) podGone(o *observation, p plan, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	pod := o.lastPod
	if pod != nil && !pod.controlledBy(o.job) {
		pod = nil
	}
	switch {
	case o.job.failing != nil && o.job.failing.reason == jobReasonPodFailurePolicy:
		d.assumeRan(pod, now)
		return d.interrupt(o, p, "its Job failed: "+o.job.failing.message, now)
	case pod != nil && disturbance(pod) != "":
		return d.interrupt(o, p, disturbance(pod), now)
	case pod != nil && pod.started().IsZero():
		return d.interrupt(o, p, "its Pod was deleted before it had started", now)
	case o.killing.found == evidenceUnknown && !o.killing.askAt.After(now):
		return decision{need: needKilling}
	case o.killing.found == evidenceUnknown:
		d.after, d.class = o.killing.askAt.Sub(now), queue.End
		return *d
	case o.killing.found == evidenceOfStop:
		d.assumeRan(pod, now)
		return d.interrupt(o, p, "its Pod was stopped, and deleted before its end was seen", now)
	}
	d.status.JobUID = string(o.job.uid)
	d.status.Attempts = max(d.status.Attempts, p.EarlierAttempts+1)
	if pod != nil {
		d.rememberStart(pod.started())
		d.status.Stats = currentStats(o, p, pod, true, &d.status)
	}
	if failing := o.job.failing; failing != nil {
		message := "its Job failed, and its Pod was deleted before its end was seen: " + failing.message
		if !o.job.replacesPods() && d.failures() < p.Retries {
			d.status.Failures = d.failures() + 1
			return d.stop(v1alpha1.Stop{Reason: v1alpha1.ReasonRetrying, Message: message + "; trying again", Retry: true},
				v1alpha1.ReasonRetrying, now)
		}
		return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonJobFailed, message, now)
	}
	message := "its Job is complete, but its Pod was deleted before its end was seen; there is no sign of a stop from outside"
	if o.killing.found == evidenceGone {
		message += ", and Events of that time are gone"
	}
	unverified := ending{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, message: message}
	e, unsettled := d.expected(o, p, unverified, 0, "", now)
	switch {
	case unsettled != nil:
		return *unsettled
	case e.retries && !o.job.replacesPods() && d.failures() < p.Retries:
		return d.retry(e.reason, e.message, now)
	}
	return d.end(o, e.phase, e.reason, e.message, now)
}

// assumeRan counts an attempt whose Pod was never seen as one that ran.
func (d *decision) assumeRan(pod *podView, now time.Time) {
	if pod == nil && d.status.RunningSince == nil {
		d.status.RunningSince = &metav1.Time{Time: now}
	}
}

// jobReasonPodFailurePolicy is the Job controller's reason for a Job that failed by a rule of its podFailurePolicy: in ours
// that its Pod was disrupted.
const jobReasonPodFailurePolicy = "PodFailurePolicy"

// explainPod says why the spider of a Pod has not started yet, once that takes longer than usual. A failure that can be
// repaired, but rarely resolves itself, ends the job when patience with it is over, counted from when it was first seen; a Pod
// without a node waits as long as the start deadline allows.
func (d *decision) explainPod(o *observation, pod *podView, now time.Time) decision {
	age := ageOf(pod.created, o.podSeen, now)
	if pod.unscheduled != "" {
		if age < explainAfter {
			d.after = sooner(d.after, explainAfter-age)
			return *d
		}
		d.pending(v1alpha1.ReasonUnschedulable, pod.unscheduled)
		return *d
	}
	cause := waiting(pod)
	if cause.reason == "" {
		if age < podPatience {
			d.after = sooner(d.after, podPatience-age)
			return d.begins(pod, age)
		}
		wait := o.words.due(pod.uid, age, now)
		if wait == 0 {
			return decision{need: needPodEvents}
		}
		d.after = sooner(d.after, wait)
		cause = o.words.said
	}
	st := &d.status
	if cause.reason == "" {
		st.FailingSince = nil
		if age < startPatience {
			d.after = sooner(d.after, startPatience-age)
			return d.begins(pod, age)
		}
		d.pending(v1alpha1.ReasonCreated, startingMessage(pod))
		return *d
	}
	if st.FailingSince == nil {
		st.FailingSince = &metav1.Time{Time: now}
	}
	left := st.FailingSince.Add(o.defaults.ImagePatience).Sub(now)
	if left <= 0 {
		return d.stopJob(o, cause.reason, cause.message, now)
	}
	d.after = sooner(d.after, left)
	d.pending(cause.reason, cause.message)
	return *d
}

// begins reports that a Pod exists if the status still says what had prevented it; not in the first moment, in which most
// spiders start.
func (d *decision) begins(pod *podView, age time.Duration) decision {
	st := &d.status
	switch {
	case st.Phase != v1alpha1.PhasePending || st.Reason == "" || st.Reason == v1alpha1.ReasonCreated:
	case age < explainAfter:
		d.after = sooner(d.after, explainAfter-age)
	default:
		d.pending(v1alpha1.ReasonCreated, startingMessage(pod))
	}
	return *d
}

func startingMessage(pod *podView) string {
	if pod.node == "" {
		return fmt.Sprintf("its Pod %s waits for a node", pod.name)
	}
	for i := range pod.inits {
		if c := &pod.inits[i]; c.state.Running != nil {
			return fmt.Sprintf("its Pod %s is being started on node %s; init container %s runs", pod.name, pod.node, c.name)
		}
	}
	return fmt.Sprintf("its Pod %s is being started on node %s", pod.name, pod.node)
}

// waiting returns why the kubelet cannot start a Pod's spider, in the words of the container or init container that fails;
// empty if nothing is wrong.
func waiting(pod *podView) refusal {
	for i := range pod.inits {
		c := &pod.inits[i]
		if cause := waitingContainer(c); cause.reason != "" {
			cause.message = "init container " + c.name + ": " + cause.message
			return cause
		}
	}
	if pod.spider != nil {
		return waitingContainer(pod.spider)
	}
	return refusal{}
}

func waitingContainer(c *containerView) refusal {
	state := c.state.Waiting
	if state == nil {
		return refusal{}
	}
	message := oneLine(state.Message)
	switch state.Reason {
	case "ErrImagePull",
		"ImagePullBackOff",
		"ErrImageNeverPull",
		"ImageInspectError",
		"RegistryUnavailable",
		"SignatureValidationFailed":
		return refusal{v1alpha1.ReasonImagePull, message}
	case "InvalidImageName":
		return refusal{v1alpha1.ReasonInvalidImage, message}
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff", "PostStartHookError":
		return refusal{v1alpha1.ReasonConfiguration, message}
	}
	return refusal{}
}

// explainNoPod says why a Job has no Pod, in the words of its Events. It does not read them while the Job controller has not
// even seen the Job, as in a burst: there is nothing to read then.
func (d *decision) explainNoPod(o *observation, now time.Time) decision {
	if o.job.started.IsZero() {
		age := ageOf(o.job.created, o.jobSeen, now)
		if age < jobPatience {
			d.after = sooner(d.after, jobPatience-age)
			return *d
		}
		d.pending(v1alpha1.ReasonPodNotCreated, fmt.Sprintf("the Job controller has not handled Job %s yet", o.job.name))
		return *d
	}
	age := ageOf(o.job.started, o.jobSeen, now)
	if age < refusalPatience {
		d.after = sooner(d.after, refusalPatience-age)
		return *d
	}
	wait := o.words.due(o.job.uid, age, now)
	if wait == 0 {
		return decision{need: needJobEvents}
	}
	d.after = sooner(d.after, wait)
	switch said := o.words.said; {
	case said.reason != "":
		d.pending(said.reason, said.message)
		if said.reason == v1alpha1.ReasonQuotaExceeded {
			d.room = roomRefused
		}
	case age >= startPatience:
		d.pending(v1alpha1.ReasonPodNotCreated, "the Job controller has created no Pod for its Job yet, and gives no reason")
	}
	return *d
}

// explain derives the reason from what admission or the Job controller said about a Job or Pod that could not be created.
func explain(message string) refusal {
	text := strings.ToLower(message)
	reason := v1alpha1.ReasonPodNotCreated
	switch {
	case quota.Exceeded(text):
		reason = v1alpha1.ReasonQuotaExceeded
	case strings.Contains(text, "serviceaccount") && strings.Contains(text, "not found"):
		reason = v1alpha1.ReasonServiceAccountNotFound
	case strings.Contains(text, "forbidden") || strings.Contains(text, "denied the request") ||
		strings.Contains(text, "denied request"):
		reason = v1alpha1.ReasonPodForbidden
	}
	return refusal{reason: reason, message: truncate(oneLine(message), maxMessage)}
}

// backOff returns the time until the next look at something that has lasted for age: about as long again, within bounds.
func backOff(age time.Duration) time.Duration {
	return min(max(age, podPatience), maxBackOff)
}

// sooner returns the shorter of two waits, where zero means no wait at all.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
