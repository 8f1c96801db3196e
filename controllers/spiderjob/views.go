package spiderjob

import (
	"cmp"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// The lifecycle reads Jobs and Pods only through these narrow types. What they lack is dropped from the caches (cache.go), so a
// decision cannot depend on a field that exists in a test but never in production: it would not compile.

// objectRef identifies one object for good: its name may be used again, its UID is not.
type objectRef struct {
	namespace, name string
	uid             types.UID
}

// jobView is what the lifecycle knows of a Job.
type jobView struct {
	objectRef
	created time.Time
	// controller is the owner that controls the Job, nil for none.
	controller *metav1.OwnerReference
	deleting   bool
	// held says that a foreign finalizer keeps the Job from disappearing.
	held bool
	// note is the plan as it was written on the Job, and image the spider's image.
	note, image string
	// suspended is the Job's spec.suspend; suspension is what the Job controller reports, and resumed when it last resumed the
	// Job.
	suspended, suspension bool
	resumed               time.Time
	// started is when the Job controller first handled the Job, or did so again when it was resumed; zero if it has not yet.
	started time.Time
	// failing says that the Job has failed or is about to, nil if it does not; complete that it has succeeded, as of completed.
	failing   *jobFailure
	complete  bool
	completed time.Time
	// backoffLimit is how many Pods the Job controller replaces by itself: 0, except for Jobs created by an earlier version.
	backoffLimit int32
	// limited says that the Job has a time limit of its own, which the Job controller enforces: an earlier version set it, or a
	// policy.
	limited bool
	// managedBy names a controller other than Kubernetes' own that runs the Job, empty for none.
	managedBy string
}

// jobFailure is why a Job fails, in the Job controller's words.
type jobFailure struct{ reason, message string }

// podView is what the lifecycle knows of a Pod.
type podView struct {
	objectRef
	created time.Time
	// spiderJob is the UID of the SpiderJob in the Pod's label.
	spiderJob types.UID
	// controller is the owner that controls the Pod, nil for none: somebody deleted its Job and left the Pod.
	controller *metav1.OwnerReference
	deleting   bool
	// held says that a foreign finalizer keeps the Pod from disappearing.
	held bool
	// deletionGrace is the grace period of the current deletion, in seconds, and ownGrace that of the Pod's spec.
	deletionGrace, ownGrace int64
	// deadline is the Pod's activeDeadlineSeconds, 0 for none.
	deadline int64
	// node is where it runs, empty before it was scheduled.
	node            string
	phase           corev1.PodPhase
	reason, message string
	// unscheduled is the scheduler's message that there is no node for it, empty if there is one.
	unscheduled string
	// disruption is why Kubernetes says that it disrupts the Pod, nil if it does not.
	disruption *disruption
	// memoryLimit is the spider's memory limit, empty for none.
	memoryLimit string
	// spider is the spider's container, nil if the kubelet has not reported it yet.
	spider *containerView
	// others are the Pod's other containers, and inits its init containers, of which native sidecars keep running.
	others, inits []containerView
}

// disruption is the Pod condition DisruptionTarget.
type disruption struct{ reason, message string }

// containerView is what the lifecycle knows of a container.
type containerView struct {
	name, imageID string
	restarts      int32
	state         corev1.ContainerState
}

// viewJob returns the view of a Job, nil for nil.
func viewJob(job *batchv1.Job) *jobView {
	if job == nil {
		return nil
	}
	v := &jobView{
		objectRef:    objectRef{job.Namespace, job.Name, job.UID},
		created:      job.CreationTimestamp.Time,
		controller:   metav1.GetControllerOfNoCopy(job),
		deleting:     job.DeletionTimestamp != nil,
		held:         len(othersFinalizers(job.Finalizers)) > 0,
		note:         job.Annotations[v1alpha1.AnnotationPlan],
		suspended:    ptr.Deref(job.Spec.Suspend, false),
		backoffLimit: ptr.Deref(job.Spec.BackoffLimit, 6), // Kubernetes' default
		limited:      job.Spec.ActiveDeadlineSeconds != nil,
		managedBy:    ptr.Deref(job.Spec.ManagedBy, ""),
	}
	if v.managedBy == batchv1.JobControllerName {
		v.managedBy = ""
	}
	if containers := job.Spec.Template.Spec.Containers; len(containers) > 0 {
		v.image = containers[0].Image
	}
	if job.Status.StartTime != nil {
		v.started = job.Status.StartTime.Time
	}
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		yes := c.Status == corev1.ConditionTrue
		switch {
		case c.Type == batchv1.JobSuspended && yes:
			v.suspension = true
		case c.Type == batchv1.JobSuspended:
			v.resumed = c.LastTransitionTime.Time
		case c.Type == batchv1.JobComplete && yes:
			v.complete, v.completed = true, c.LastTransitionTime.Time
		case (c.Type == batchv1.JobFailed || c.Type == batchv1.JobFailureTarget && v.failing == nil) && yes:
			v.failing = &jobFailure{c.Reason, c.Message}
		}
	}
	return v
}

// over reports whether the Job has ended, or is about to.
func (j *jobView) over() bool { return j.complete || j.failing != nil }

// timedOut reports whether the Job controller ends the Job for the Job's own time limit.
func (j *jobView) timedOut() bool {
	return j.failing != nil && j.failing.reason == batchv1.JobReasonDeadlineExceeded
}

// paused reports whether a queue holds the Job back: it is suspended, or was resumed so recently that the Job controller does
// not know yet, and has neither created a Pod nor set the new start.
func (j *jobView) paused() bool { return j.suspended || j.suspension }

// replacesPods reports whether the Job controller creates a new Pod for one that is gone: only in Jobs of an earlier version.
func (j *jobView) replacesPods() bool { return j.backoffLimit > 0 }

// viewPod returns the view of a Pod.
func viewPod(pod *corev1.Pod) *podView {
	v := &podView{
		objectRef:     objectRef{pod.Namespace, pod.Name, pod.UID},
		created:       pod.CreationTimestamp.Time,
		spiderJob:     types.UID(pod.Labels[v1alpha1.LabelSpiderJobUID]),
		controller:    metav1.GetControllerOfNoCopy(pod),
		deleting:      pod.DeletionTimestamp != nil,
		held:          len(othersFinalizers(pod.Finalizers)) > 0,
		deletionGrace: ptr.Deref(pod.DeletionGracePeriodSeconds, 0),
		ownGrace:      ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds),
		deadline:      ptr.Deref(pod.Spec.ActiveDeadlineSeconds, 0),
		node:          pod.Spec.NodeName,
		phase:         pod.Status.Phase,
		reason:        pod.Status.Reason,
		message:       pod.Status.Message,
		inits:         viewContainers(pod.Status.InitContainerStatuses),
	}
	for i := range pod.Status.Conditions {
		switch c := &pod.Status.Conditions[i]; {
		case c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue:
			v.disruption = &disruption{c.Reason, c.Message}
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable:
			v.unscheduled = cmp.Or(c.Message, "no node has room")
		}
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == v1alpha1.ContainerName {
			v.memoryLimit = quantity(c.Resources.Limits, corev1.ResourceMemory)
		}
	}
	for _, c := range viewContainers(pod.Status.ContainerStatuses) {
		if c.name == v1alpha1.ContainerName {
			v.spider = &c
		} else {
			v.others = append(v.others, c)
		}
	}
	return v
}

func viewContainers(statuses []corev1.ContainerStatus) []containerView {
	if len(statuses) == 0 {
		return nil
	}
	views := make([]containerView, 0, len(statuses))
	for i := range statuses {
		s := &statuses[i]
		views = append(views, containerView{name: s.Name, imageID: s.ImageID, restarts: s.RestartCount, state: s.State})
	}
	return views
}

func quantity(list corev1.ResourceList, name corev1.ResourceName) string {
	if q, ok := list[name]; ok {
		return q.String()
	}
	return ""
}

// othersFinalizers returns the finalizers of anybody except Kubernetes itself, for which an object that is being deleted waits.
func othersFinalizers(finalizers []string) []string {
	var others []string
	for _, name := range finalizers {
		switch name {
		case metav1.FinalizerDeleteDependents, metav1.FinalizerOrphanDependents, batchv1.JobTrackingFinalizer:
		default:
			others = append(others, name)
		}
	}
	return others
}

// ended reports whether nothing in the Pod runs any more, for good.
func (p *podView) ended() bool { return p.phase == corev1.PodSucceeded || p.phase == corev1.PodFailed }

// exit returns how the spider's container ended, nil while it has not.
func (p *podView) exit() *corev1.ContainerStateTerminated {
	if p.spider == nil {
		return nil
	}
	return p.spider.state.Terminated
}

// runs reports whether the spider's process runs, as far as the kubelet has reported.
func (p *podView) runs() bool { return p.spider != nil && p.spider.state.Running != nil && !p.ended() }

// started returns when the spider's process started, by the clock of its node; zero if it has not.
func (p *podView) started() time.Time {
	switch {
	case p.spider == nil:
	case p.spider.state.Running != nil:
		return p.spider.state.Running.StartedAt.Time
	case p.spider.state.Terminated != nil:
		return p.spider.state.Terminated.StartedAt.Time
	}
	return time.Time{}
}

// lingering returns the ordinary containers that still run, or may yet run; native reports whether a native sidecar does.
func (p *podView) lingering() (ordinary []string, native bool) {
	if p.ended() {
		return nil, false
	}
	for i := range p.others {
		if p.others[i].state.Terminated == nil {
			ordinary = append(ordinary, p.others[i].name)
		}
	}
	native = slices.ContainsFunc(p.inits, func(c containerView) bool { return c.state.Running != nil })
	return ordinary, native
}

// controlledBy reports whether the Job controls the Pod.
func (p *podView) controlledBy(job *jobView) bool {
	return job != nil && p.controller != nil && p.controller.UID == job.uid
}

// sortPods orders Pods by age, the oldest first.
func sortPods(pods []*podView) {
	slices.SortFunc(pods, func(a, b *podView) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name, b.name))
	})
}
