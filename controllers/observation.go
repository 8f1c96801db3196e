package controllers

import (
	"cmp"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
)

// observation is all that decide may know.
type observation struct {
	// sj is the SpiderJob.
	sj *v1alpha1.SpiderJob
	// spider is its Spider, nil where there is none.
	spider *v1alpha1.Spider
	// job is the Job of the SpiderJob's name, whoever owns it, nil where there is none.
	job *batchv1.Job
	// pods are the Pods of this SpiderJob's Jobs, of whichever attempt.
	pods []*corev1.Pod
	// earlierPod is a Pod of an earlier SpiderJob of the same name that has not ended yet, nil where there is none. Its Job may
	// be gone already.
	earlierPod *corev1.Pod
	// lastPod is the present one of the pods, or the one last seen when there is none any more; nil where none was ever seen.
	lastPod *corev1.Pod
	// reading is what is known from the log of lastPod.
	reading podlog.Reading
	// live says that sj, spider, job and pods were read from the API server just now. Otherwise they come from a cache, where
	// absent does not mean gone.
	live bool
	// events is what the Job's Warning Events say about a Pod that cannot be created, as of eventsAt; the zero time where they
	// were not read yet.
	events   *refusal
	eventsAt time.Time
	// createErr is the API server's answer to the Job that was just to be created, where it refused it.
	createErr error
	// sinceLead says that this copy of the SpiderJob is from after this process began to lead.
	sinceLead bool
	// defaults are the operator's settings.
	defaults Defaults
}

// refusal is a Warning Event that says why a Pod could not be created.
type refusal struct {
	reason  string
	message string
}

// jobIsOurs reports whether the Job belongs to this very SpiderJob, and not to an earlier one of its name.
func (o *observation) jobIsOurs() bool {
	return o.job != nil && metav1.IsControlledBy(o.job, o.sj)
}

// jobIsEarlier reports whether the Job belongs to an earlier SpiderJob of the same name.
func (o *observation) jobIsEarlier() bool {
	if o.job == nil || o.jobIsOurs() {
		return false
	}
	owner := metav1.GetControllerOf(o.job)
	return owner != nil && owner.Kind == "SpiderJob" && owner.Name == o.sj.Name &&
		owner.APIVersion == v1alpha1.GroupVersion.String()
}

// podsOfJob are the Pods of the Job that is there now, oldest first.
func (o *observation) podsOfJob() []*corev1.Pod {
	if o.job == nil {
		return nil
	}
	pods := make([]*corev1.Pod, 0, len(o.pods))
	for _, pod := range o.pods {
		if metav1.IsControlledBy(pod, o.job) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// presentPod is the Pod that everything rests on now: of the Job that is there, else of what is left of an earlier one.
func (o *observation) presentPod() *corev1.Pod {
	if pod := decisivePod(o.podsOfJob()); pod != nil {
		return pod
	}
	return decisivePod(o.pods)
}

// sortPods orders Pods by age, the oldest first.
func sortPods(pods []*corev1.Pod) {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// podEnded reports whether all containers of the Pod have ended for good.
func podEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// spiderState is the state of the spider's container; its fields are nil where the kubelet has not reported it yet.
func spiderState(pod *corev1.Pod) corev1.ContainerState {
	if status := spiderStatus(pod); status != nil {
		return status.State
	}
	return corev1.ContainerState{}
}

func spiderStatus(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == v1alpha1.ContainerName {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// spiderStarted is when the spider's process started in the Pod, the zero time if it has not.
func spiderStarted(pod *corev1.Pod) time.Time {
	switch state := spiderState(pod); {
	case state.Running != nil:
		return state.Running.StartedAt.Time
	case state.Terminated != nil:
		return state.Terminated.StartedAt.Time
	}
	return time.Time{}
}

// disturbance says how a Pod was disturbed from outside: the cause in a few words, empty if it was not.
func disturbance(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return "its Pod was disrupted (" + c.Reason + "): " + c.Message
		}
	}
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" && spiderState(pod).Terminated == nil {
		// The kubelet refused or evicted the Pod as a whole: Evicted, NodeAffinity, OutOfcpu, UnexpectedAdmissionError …
		return "its Pod was refused or evicted by the node (" + pod.Status.Reason + "): " + pod.Status.Message
	}
	if pod.Status.Reason == "Evicted" || pod.Status.Reason == "Preempting" || pod.Status.Reason == "Terminated" ||
		pod.Status.Reason == "NodeShutdown" || pod.Status.Reason == "NodeLost" {
		return "its Pod was evicted (" + pod.Status.Reason + "): " + pod.Status.Message
	}
	if pod.DeletionTimestamp != nil {
		return "its Pod was deleted"
	}
	return ""
}

func suspended(job *batchv1.Job) bool { return job.Spec.Suspend != nil && *job.Spec.Suspend }

// held reports whether the Job's time does not run: it is suspended, or was resumed so recently that the Job controller does
// not know of it yet, and has neither made a Pod nor set the new start.
func held(job *batchv1.Job) bool {
	return suspended(job) || jobCondition(job, batchv1.JobSuspended) != nil
}

// jobCondition returns the Job's condition of the type where it is true, else nil.
func jobCondition(job *batchv1.Job, conditionType batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		if c.Type == conditionType && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// jobFailing returns the condition that says that the Job has failed or is about to, else nil.
func jobFailing(job *batchv1.Job) *batchv1.JobCondition {
	if c := jobCondition(job, batchv1.JobFailed); c != nil {
		return c
	}
	return jobCondition(job, batchv1.JobFailureTarget)
}
