package controllers

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
)

const (
	// spiderPatience is how long a missing Spider is waited for, so that both can be applied in one go in any order.
	spiderPatience = 5 * time.Second
	// recheck is when to look again for what no watch reports, such as the outcome of an action of the past.
	recheck = 5 * time.Second
)

// decision is what decide makes of an observation.
type decision struct {
	// need is what has to be observed before anything can be decided. All else is empty then.
	need need
	// status is the status to record.
	status v1alpha1.SpiderJobStatus
	// action is what to do first, at most one thing.
	action action
	// log is the log that has to be read, and how.
	log logDemand
	// after is when to look again if nothing happens meanwhile; zero for never.
	after time.Duration
}

// need is a costly observation, made only when decide asks for it.
type need int

const (
	needNothing need = iota
	// needLive asks for everything to be read from the API server itself.
	needLive
	// needEvents asks for the Job's Events.
	needEvents
)

type actionKind int

const (
	doNothing actionKind = iota
	createJob
	deletePod
	deleteJob
	deleteSpiderJob
)

// action is one write to the API server.
type action struct {
	kind actionKind
	// job is the Job to create or delete.
	job *batchv1.Job
	// pod is the Pod to delete.
	pod *corev1.Pod
	// grace is the Pod's grace period in seconds, nil for the Pod's own.
	grace *int64
}

// logDemand asks for the log of a Pod to be read.
type logDemand struct {
	pod  *corev1.Pod
	mode podlog.Mode
}

// decide is the lifecycle of a SpiderJob. It does no I/O and knows no time but now: whatever order events arrive in, and
// wherever the process died before, the same observation leads to the same decision.
//
//	being deleted            nothing: the garbage collector stops the Job, the record is gone with the SpiderJob
//	has ended                remove the Job, later the SpiderJob, when their time is over (retention.go)
//	is to be stopped         stop the Pod, remove the Job, prove that they are gone, then end or try again (teardown.go)
//	its Job is there         follow the Pods: pending (pending.go), running, or ended with a verdict (verdict.go)
//	another's Job is there   wait if it is an earlier SpiderJob's, else an error
//	no Job, never had one    create it, once no Pod of an earlier SpiderJob of the name runs
//	no Job, but had one      an interruption: somebody else removed it
func decide(o *observation, now time.Time) decision {
	d := decision{status: *o.sj.Status.DeepCopy()}
	switch stop := stopOf(o.sj); {
	case o.sj.DeletionTimestamp != nil:
		return d
	case o.sj.Status.Phase.Terminal():
		return d.retain(o, now)
	case stop != nil && !stopDone(o, stop):
		return d.tearDown(o, stop, now)
	case o.jobIsOurs():
		d.status.Stop = nil
		return d.run(o, now)
	case o.jobIsEarlier():
		d.pending(v1alpha1.ReasonWaiting, fmt.Sprintf("Job %s of an earlier SpiderJob of this name has to be gone first", o.job.Name))
		d.after = recheck
		return d
	case o.job != nil:
		if !o.live {
			return decision{need: needLive}
		}
		return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonNameConflict,
			fmt.Sprintf("a Job named %s exists that does not belong to this SpiderJob", o.job.Name), now)
	default:
		return d.begin(o, now)
	}
}

// begin creates the Job, where none is there and none has to be gone first.
func (d decision) begin(o *observation, now time.Time) decision {
	// Nobody else acts while this process leads, and what it did itself it knows. A copy that may be older is not to be
	// trusted: a cache that lags behind must not run what has run and gone.
	fresh := o.sinceLead && o.sj.Status.ObservedGeneration == 0
	if !fresh && !o.live {
		return decision{need: needLive}
	}
	if d.status.JobUID != "" {
		return d.interrupt(o, planNow(o), "its Job was deleted")
	}
	if len(o.pods) > 0 {
		return d.clearPods(o, nil)
	}
	if o.earlierPod != nil {
		d.pending(v1alpha1.ReasonWaiting, fmt.Sprintf("Pod %s of an earlier SpiderJob of this name has to end first", o.earlierPod.Name))
		d.after = recheck
		return d
	}
	if o.spider == nil {
		if !o.live {
			return decision{need: needLive}
		}
		message := fmt.Sprintf("there is no Spider %s in namespace %s", o.sj.Spec.SpiderRef.Name, o.sj.Namespace)
		if wait := spiderPatience - now.Sub(o.sj.CreationTimestamp.Time); wait > 0 {
			d.pending(v1alpha1.ReasonSpiderNotFound, message)
			d.after = wait
			return d
		}
		return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonSpiderNotFound, message, now)
	}
	sj := *o.sj
	sj.Status = d.status // what was counted of earlier attempts, recorded or not yet
	p, err := makePlan(&sj, o.spider, o.defaults)
	if err != nil {
		return d.invalid(o, err, now)
	}
	switch {
	case apierrors.IsInvalid(o.createErr) || apierrors.IsBadRequest(o.createErr):
		return d.invalid(o, o.createErr, now)
	case o.createErr != nil:
		cause := explain(o.createErr.Error())
		d.pending(cause.reason, cause.message)
		d.after = backOff(now.Sub(o.sj.CreationTimestamp.Time))
		return d
	}
	job, err := buildJob(&sj, o.spider, p, o.defaults)
	if err != nil {
		return d.invalid(o, err, now)
	}
	d.action = action{kind: createJob, job: job}
	return d
}

// invalid ends a SpiderJob that cannot be run as it stands.
func (d decision) invalid(o *observation, err error, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonInvalidJob, err.Error(), now)
}

// run follows the SpiderJob's own Job.
func (d decision) run(o *observation, now time.Time) decision {
	p := planOf(o.job, o.defaults)
	pods := o.podsOfJob()
	pod := decisivePod(pods)
	switch {
	case o.job.DeletionTimestamp != nil:
		return d.interrupt(o, p, "its Job was deleted")
	case pod == nil:
		return d.withoutPod(o, p, now)
	case podEnded(pod):
		return d.judge(o, p, pod, now)
	case suspended(o.job) || jobFailing(o.job) != nil:
		// The Job controller is about to stop the Pod. How it ends is judged when it has ended.
		d.log = demand(p, pod, podlog.Follow)
		return d
	}
	if cause := disturbance(pod); cause != "" {
		return d.interrupt(o, p, cause)
	}
	started := spiderStarted(pod)
	if !started.IsZero() {
		d.running(o, p, pod, started)
	}
	if left, limited := timeLeft(o.job, p, now); limited {
		if left <= 0 {
			return d.stopFor(o, v1alpha1.ReasonDeadlineExceeded, deadlineMessage(p, &d.status))
		}
		d.after = left
	}
	if started.IsZero() {
		return d.explainPod(o, pod, now)
	}
	d.log = demand(p, pod, podlog.Sample)
	return d
}

// withoutPod is for a Job that has no Pod: not yet, not now, or no more.
func (d decision) withoutPod(o *observation, p plan, now time.Time) decision {
	failing := jobFailing(o.job)
	vanished := d.status.JobUID == string(o.job.UID) && d.status.PodName != ""
	switch {
	case failing != nil || jobCondition(o.job, batchv1.JobComplete) != nil:
		if !o.live {
			return decision{need: needLive}
		}
		if failing != nil {
			return d.end(o, v1alpha1.PhaseError, failedJobReason(failing), "its Job failed: "+failing.Message, now)
		}
		return d.interrupt(o, p, "its Pod is gone, which alone could prove that it succeeded")
	case held(o.job) && vanished && d.status.Phase == v1alpha1.PhaseRunning:
		return d.takenBack(o, p)
	case held(o.job):
		return d.queued()
	case vanished && d.status.Phase == v1alpha1.PhaseRunning:
		if !o.live {
			return decision{need: needLive}
		}
		return d.interrupt(o, p, "its Pod was deleted")
	}
	if left, limited := timeLeft(o.job, p, now); limited {
		if left <= 0 {
			return d.stopFor(o, v1alpha1.ReasonDeadlineExceeded, deadlineMessage(p, &d.status))
		}
		d.after = left
	}
	return d.explainNoPod(o, now)
}

// running says that the spider's process runs.
func (d *decision) running(o *observation, p plan, pod *corev1.Pod, started time.Time) {
	st := &d.status
	st.Phase, st.Reason, st.Message = v1alpha1.PhaseRunning, v1alpha1.ReasonRunning, ""
	d.describeRun(o, p, pod, started)
}

// describeRun notes which Pod of which Job runs which image.
func (d *decision) describeRun(o *observation, p plan, pod *corev1.Pod, started time.Time) {
	st := &d.status
	d.countAttempts(o, p)
	d.rememberStart(started)
	st.JobUID = string(o.job.UID)
	st.PodName = pod.Name
	st.Spider = p.snapshot()
	if len(o.job.Spec.Template.Spec.Containers) > 0 {
		st.Spider.Image = truncate(o.job.Spec.Template.Spec.Containers[0].Image, 512)
	}
	if status := spiderStatus(pod); status != nil {
		st.Spider.ImageID = truncate(status.ImageID, 1024)
	}
	st.Stats = currentStats(o, p, pod, spiderState(pod).Terminated != nil, st)
}

// rememberStart notes when the spider's process first started.
func (d *decision) rememberStart(started time.Time) {
	if d.status.StartedAt == nil && !started.IsZero() {
		d.status.StartedAt = &metav1.Time{Time: started}
	}
}

// countAttempts counts the Pods that were ever made for the SpiderJob. One that is gone without a record of how is an
// interrupted attempt that the Job controller has replaced by itself.
func (d *decision) countAttempts(o *observation, p plan) {
	st := &d.status
	pods := o.podsOfJob()
	attempts := p.EarlierAttempts + int32(len(pods)) //nolint:gosec // a Job has at most 101 attempts
	if len(pods) > 0 && st.JobUID == string(o.job.UID) && st.PodName != "" && !containsPod(pods, st.PodName) {
		if o.sj.Status.Phase == v1alpha1.PhaseRunning { // else it was counted when a queue took the Job back
			st.Interruptions++
		}
		attempts = st.Attempts + 1
	}
	st.Attempts = max(st.Attempts, attempts)
}

// decisivePod is the Pod that the state of a Job rests on: one that succeeded, else one that has not ended, else the newest.
// The times of creation alone do not tell: clocks jump.
func decisivePod(pods []*corev1.Pod) *corev1.Pod {
	var decisive *corev1.Pod
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodSucceeded {
			return pod
		}
		if decisive == nil || podEnded(decisive) || !podEnded(pod) {
			decisive = pod
		}
	}
	return decisive
}

func containsPod(pods []*corev1.Pod, name string) bool {
	for _, pod := range pods {
		if pod.Name == name {
			return true
		}
	}
	return false
}

// pending says what a SpiderJob waits for. One that has run before is still Running between two attempts; only a queue that
// holds the next one back makes it Pending again.
func (d *decision) pending(reason, message string) {
	st := &d.status
	if st.Phase == v1alpha1.PhaseRunning && reason != v1alpha1.ReasonQueued {
		st.Message = truncate(message, maxMessage)
		return
	}
	st.Phase, st.Reason, st.Message = v1alpha1.PhasePending, reason, truncate(message, maxMessage)
}

// end writes a terminal phase. The caller has the proof that it is true.
func (d decision) end(o *observation, phase v1alpha1.Phase, reason, message string, now time.Time) decision {
	st := &d.status
	st.Phase, st.Reason, st.Message = phase, reason, truncate(message, maxMessage)
	st.Stop = nil
	d.after = 0
	st.FinishedAt = &metav1.Time{Time: now}
	if st.StartedAt != nil {
		st.Duration = max(now.Sub(st.StartedAt.Time), 0).Round(time.Second).String()
	}
	if o.lastPod != nil {
		st.PodName = o.lastPod.Name
		// A kubelet gives a container that never ran exit code 137, and no time of start.
		if ended := spiderState(o.lastPod).Terminated; ended != nil && !ended.StartedAt.IsZero() {
			code := ended.ExitCode
			st.ExitCode = &code
		}
	}
	if st.Stats == nil {
		st.Stats = &v1alpha1.Stats{Source: v1alpha1.OriginNone}
	}
	return d
}

// timeLeft is the time until the run's timeout, counted from the start of its Job, and whether it has one.
func timeLeft(job *batchv1.Job, p plan, now time.Time) (left time.Duration, limited bool) {
	if p.TimeoutSeconds <= 0 || held(job) {
		return 0, false
	}
	start := job.CreationTimestamp.Time
	if job.Status.StartTime != nil {
		start = job.Status.StartTime.Time
	}
	// Times of the API server are cut to whole seconds: no run is given less than it was promised.
	return start.Add(time.Duration(p.TimeoutSeconds)*time.Second + time.Second).Sub(now), true
}

func deadlineMessage(p plan, st *v1alpha1.SpiderJobStatus) string {
	message := fmt.Sprintf("not finished within its timeout of %s", time.Duration(p.TimeoutSeconds)*time.Second)
	if st.Phase == v1alpha1.PhasePending && st.Message != "" {
		message += "; it waited: " + st.Message
	}
	return message
}

// demand asks for a Pod's log, if the plan says that there is something to be read in it.
func demand(p plan, pod *corev1.Pod, mode podlog.Mode) logDemand {
	if p.StatsSource != v1alpha1.StatsFromScrapy || spiderStarted(pod).IsZero() {
		return logDemand{}
	}
	return logDemand{pod: pod, mode: mode}
}
