package simulated

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// jobState is what the Job controller counts of a Job; in Kubernetes it is in the Job's status and the controller's memory.
type jobState struct {
	succeeded, failed int32
	counted           map[types.UID]bool
	inRow             int // failures in a row, for the pause before the next Pod
	lastFailed        time.Time
	refused           int // creations that failed in a row
	notBefore         time.Time
	made              int
}

func condition(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Type == kind && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// jobOver reports whether a Job is Complete or Failed.
func jobOver(job *batchv1.Job) bool {
	return condition(job, batchv1.JobComplete) != nil || condition(job, batchv1.JobFailed) != nil
}

func suspended(job *batchv1.Job) bool { return job.Spec.Suspend != nil && *job.Spec.Suspend }

func disrupted(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	})
}

// SyncJobs lets the Job controller come to each Job and each orphaned Pod once.
func (c *Cluster) SyncJobs() {
	c.as("the Job controller", func() {
		for _, job := range c.AllJobs() {
			c.syncJob(job)
		}
		for _, pod := range c.AllPods() {
			owner := metav1.GetControllerOf(pod)
			if owner == nil || c.Job(owner.UID) == nil || jobOver(c.Job(owner.UID)) {
				c.release(pod)
			}
		}
	})
}

// release takes the Job controller's finalizer off a Pod.
func (c *Cluster) release(pod *corev1.Pod) {
	if slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer) {
		set(c, Pods, pod, func(p *corev1.Pod) {
			p.Finalizers = slices.DeleteFunc(p.Finalizers, func(f string) bool { return f == batchv1.JobTrackingFinalizer })
		})
	}
}

// syncJob is syncJob of controller/job for Jobs with one completion.
func (c *Cluster) syncJob(job *batchv1.Job) {
	if jobOver(job) {
		return
	}
	state := c.jobs[job.UID]
	if state == nil {
		state = &jobState{counted: map[types.UID]bool{}}
		c.jobs[job.UID] = state
	}
	next := *job // of which only the status is changed, on a copy of its own
	next.Status.Conditions = slices.Clone(job.Status.Conditions)
	var active []*corev1.Pod
	terminating := 0
	failJob := ""
	for _, pod := range c.podsOf(job) {
		switch {
		case pod.Status.Phase == corev1.PodSucceeded:
			if !state.counted[pod.UID] {
				state.succeeded++
				state.inRow = 0
			}
			state.counted[pod.UID] = true
			c.release(pod)
		case pod.Status.Phase == corev1.PodFailed || pod.DeletionTimestamp != nil && !replacesFailedOnly(job):
			action := policyOn(job, pod)
			if action == batchv1.PodFailurePolicyActionFailJob {
				failJob = fmt.Sprintf("Pod %s/%s has condition DisruptionTarget matching FailJob rule at index 0", pod.Namespace, pod.Name)
			}
			if !state.counted[pod.UID] {
				if action != batchv1.PodFailurePolicyActionIgnore {
					state.failed++
				}
				state.inRow++
				state.lastFailed = time.Now()
			}
			state.counted[pod.UID] = true
			if failJob == "" || condition(job, batchv1.JobFailureTarget) != nil {
				c.release(pod) // the reason is recorded before the Pod can go
			}
		case pod.DeletionTimestamp != nil:
			terminating++
		default:
			active = append(active, pod)
		}
	}
	now := c.serverTime()
	if next.Status.StartTime == nil && !suspended(&next) {
		next.Status.StartTime = &now
	}
	finished := c.finishes(&next, state, failJob)
	switch {
	case finished != nil:
		terminating += c.deleteActive(active)
	case job.DeletionTimestamp != nil:
	case suspended(&next):
		terminating += c.deleteActive(active)
		if setCondition(&next, batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended", now) {
			c.event(job, "Job", "", corev1.EventTypeNormal, "Suspended", "Job suspended")
		}
		next.Status.StartTime = nil
	default:
		if condition(&next, batchv1.JobSuspended) != nil {
			setCondition(&next, batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed", now)
			next.Status.StartTime = &now
		}
		if state.succeeded == 0 && len(active) == 0 && (terminating == 0 || !replacesFailedOnly(job)) {
			c.createPod(&next, state)
		}
	}
	if finished == nil && state.succeeded > 0 && len(active) == 0 && job.DeletionTimestamp == nil {
		finished = &batchv1.JobCondition{Type: batchv1.JobSuccessCriteriaMet, Reason: "CompletionsReached",
			Message: "Reached expected number of succeeded pods"}
	}
	if finished != nil {
		c.finish(&next, *finished, terminating, now)
	}
	if !next.Status.StartTime.Equal(job.Status.StartTime) || !slices.Equal(next.Status.Conditions, job.Status.Conditions) {
		set(c, Jobs, job, func(j *batchv1.Job) { j.Status = next.Status })
	}
}

func replacesFailedOnly(job *batchv1.Job) bool {
	return job.Spec.PodFailurePolicy != nil ||
		job.Spec.PodReplacementPolicy != nil && *job.Spec.PodReplacementPolicy == batchv1.Failed
}

// policyOn is what the Job's podFailurePolicy says of a failed Pod; only rules on conditions are understood.
func policyOn(job *batchv1.Job, pod *corev1.Pod) batchv1.PodFailurePolicyAction {
	if job.Spec.PodFailurePolicy == nil {
		return batchv1.PodFailurePolicyActionCount
	}
	for _, rule := range job.Spec.PodFailurePolicy.Rules {
		for _, pattern := range rule.OnPodConditions {
			if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == pattern.Type && c.Status == pattern.Status
			}) {
				return rule.Action
			}
		}
	}
	return batchv1.PodFailurePolicyActionCount
}

// finishes is the condition that the Job is to end with, as far as it is decided before its Pods are managed.
func (c *Cluster) finishes(job *batchv1.Job, state *jobState, failJob string) *batchv1.JobCondition {
	if met := condition(job, batchv1.JobSuccessCriteriaMet); met != nil {
		return met
	}
	if target := condition(job, batchv1.JobFailureTarget); target != nil {
		return target
	}
	failure := func(reason, message string) *batchv1.JobCondition {
		return &batchv1.JobCondition{Type: batchv1.JobFailureTarget, Reason: reason, Message: message}
	}
	limit := job.Spec.ActiveDeadlineSeconds
	switch {
	case failJob != "":
		return failure(batchv1.JobReasonPodFailurePolicy, failJob)
	case state.failed > *job.Spec.BackoffLimit:
		return failure(batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	case limit != nil && !suspended(job) && job.Status.StartTime != nil &&
		c.serverTime().Sub(job.Status.StartTime.Time) >= time.Duration(*limit)*time.Second:
		return failure(batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
	}
	return nil
}

// finish writes the interim condition first, and the terminal one once no Pod is terminating any more.
func (c *Cluster) finish(job *batchv1.Job, finished batchv1.JobCondition, terminating int, now metav1.Time) {
	first := setCondition(job, finished.Type, corev1.ConditionTrue, finished.Reason, finished.Message, now)
	if terminating > 0 || first && finished.Reason == batchv1.JobReasonPodFailurePolicy {
		return
	}
	last := batchv1.JobFailed
	if finished.Type == batchv1.JobSuccessCriteriaMet {
		last = batchv1.JobComplete
	}
	setCondition(job, last, corev1.ConditionTrue, finished.Reason, finished.Message, now)
	c.tell("Job %s is %s (%s)", job.UID, last, finished.Reason)
}

func setCondition(
	job *batchv1.Job, kind batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string, now metav1.Time,
) bool {
	next := batchv1.JobCondition{
		Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: now, LastProbeTime: now,
	}
	for i := range job.Status.Conditions {
		if job.Status.Conditions[i].Type == kind {
			changed := job.Status.Conditions[i].Status != status
			if changed {
				job.Status.Conditions[i] = next
			}
			return changed
		}
	}
	job.Status.Conditions = append(job.Status.Conditions, next)
	return true
}

func (c *Cluster) deleteActive(pods []*corev1.Pod) int {
	for _, pod := range pods {
		c.tell("the Job controller deletes Pod %s", pod.Name)
		_ = c.Delete(Pods, pod.Namespace, pod.Name, metav1.DeleteOptions{})
	}
	n := 0
	for _, pod := range pods {
		if current := c.Pod(pod.UID); current != nil && !podEnded(current) {
			n++
		}
	}
	return n
}

// createPod makes the next Pod of a Job, unless it is refused or its time has not come.
func (c *Cluster) createPod(job *batchv1.Job, state *jobState) {
	now := time.Now()
	if state.inRow > 0 {
		pause := min(10*time.Second<<(min(state.inRow, 7)-1), 10*time.Minute)
		if now.Before(state.lastFailed.Add(pause)) {
			return
		}
	}
	if now.Before(state.notBefore) {
		return
	}
	state.made++
	name := fmt.Sprintf("%s-%s-%d", job.Name, job.UID, state.made)
	delay, err := c.Trouble("create", Pods, false, job.Namespace, name)
	if err == nil {
		err = c.quota(job.Namespace, name)
	}
	if err != nil {
		state.notBefore = now.Add(delay + min(time.Second<<min(state.refused, 6), time.Minute))
		state.refused++
		c.tell("the Job controller cannot create a Pod for Job %s: %v", job.UID, err)
		c.event(job, "Job", "", corev1.EventTypeWarning, "FailedCreate", "Error creating: "+err.Error())
		return
	}
	state.refused = 0
	pod := c.newPod(job, name)
	var script PodScript
	if c.Script != nil {
		script = c.Script(pod)
	}
	for _, extra := range script.Injected {
		container := corev1.Container{Name: extra.Name, Image: "injected:1"}
		switch extra.Kind {
		case Native:
			always := corev1.ContainerRestartPolicyAlways
			container.RestartPolicy = &always
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, container)
		case Init:
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, container)
		case Ordinary, Spider:
			pod.Spec.Containers = append(pod.Spec.Containers, container)
		}
	}
	c.tell("the Job controller makes Pod %s", name)
	c.insert(Pods, pod)
	c.scripts(pod, script)
}
