package spiderjob

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// observation is all that decide may know.
type observation struct {
	// sj is the SpiderJob.
	sj *v1alpha1.SpiderJob
	// spider is its Spider, nil where there is none.
	spider *v1alpha1.Spider
	// job is the Job of the SpiderJob's name, whoever owns it, nil where there is none.
	job *jobView
	// assumed says that no cache shows the Job yet: this process created it a moment ago. If somebody deletes it before any cache
	// has shown it, no event tells.
	assumed bool
	// pods are the Pods of this SpiderJob, of whichever attempt, the oldest first: those of its Jobs, and those that nobody
	// controls any more since somebody deleted their Job without them.
	pods []*podView
	// earlierPod is a Pod of an earlier SpiderJob of the same name that has not ended yet, nil where there is none. Its Job may
	// be gone already.
	earlierPod *podView
	// lastPod is the present one of the pods, or the one last seen when there is none any more; nil where none was ever seen.
	lastPod *podView
	// witness is a Pod as it was when this process saw it end undisturbed, nil where it saw no such end. Whatever happened to the
	// Pod later, its spider ended like that.
	witness *podView
	// exitSeen is when this process first saw that the spider of lastPod has ended; zero if it did not.
	exitSeen time.Time
	// exited is lastPod as it was when its spider was first seen to have ended without a trace of anything from outside, nil where
	// that was not seen: the Pod itself may not have ended.
	exited *podView
	// jobSeen and podSeen are when this process first saw the job and lastPod.
	jobSeen, podSeen time.Time
	// stopSeen is when it first saw that the Job controller is to stop lastPod.
	stopSeen time.Time
	// runningSeen is when this process first saw the spider of lastPod run, after it had seen the Pod without; zero if it did not.
	runningSeen time.Time
	// readings are what is known from the logs of the pods and of lastPod.
	readings map[types.UID]podlog.Reading
	// live says that sj, spider, job and pods were read from the API server just now. Otherwise they come from a cache, where
	// absent does not mean gone.
	live bool
	// words are what the Warning Events of the Job, or of its Pod, said last.
	words eventWords
	// killing says whether the kubelet has told of stopping the spider of the last Pod.
	killing stopTrace
	// refused is kube-apiserver's latest answer to the Job that was to be created, where it refused it.
	refused *refusedCreation
	// sinceLead says that this copy of the SpiderJob is from after this process began to lead.
	sinceLead bool
	// quota is whether the namespace's quota has room for another Job.
	quota quotaVerdict
	// earlier are the runs that this one is to be compared with.
	earlier earlierRuns
	// defaults are the operator's settings.
	defaults Defaults
}

// refusal is why something could not be created, for the status.
type refusal struct {
	reason  string
	message string
}

// eventWords are what the Warning Events of one object said.
type eventWords struct {
	// of is the object's UID, and at when they were asked; the zero time where they were not.
	of types.UID
	at time.Time
	// askAt is when to ask again where there was no answer, since too much was asked at once.
	askAt time.Time
	// said is the newest one's reason and message; empty where there is none that is new enough to matter. Its own text is raw, its
	// own time, by whichever clock, saidAt, and heardAt is when it was first read.
	said            refusal
	raw             string
	saidAt, heardAt time.Time
}

// due is how long what was said of an object stands, which is a trouble of that age by now; 0 where it has to be asked for. The wait
// was settled when it was asked last: one that grew with the trouble would never be over.
func (w eventWords) due(of types.UID, age time.Duration, now time.Time) time.Duration {
	next := w.at.Add(backOff(age - now.Sub(w.at)))
	switch {
	case w.of != of:
		return 0
	case !w.askAt.IsZero():
		next = w.askAt
	}
	return max(next.Sub(now), 0)
}

// stopTrace is what Events tell of the end of a Pod that is gone, or when to ask again where there was no answer.
type stopTrace struct {
	// of is the UID of the Pod that is meant, or of its Job where that is not known.
	of    types.UID
	found evidence
	askAt time.Time
}

// evidence is what Events tell of a Pod that is gone.
type evidence int

const (
	// evidenceUnknown says that nobody has asked.
	evidenceUnknown evidence = iota
	// evidenceOfStop says that the kubelet told of stopping the spider's container.
	evidenceOfStop
	// evidenceNone says that it did not, though the Event would still be there.
	evidenceNone
	// evidenceGone says that the Event would be gone by now, or could not be looked for.
	evidenceGone
)

// refusedCreation is a Job that kube-apiserver did not take.
type refusedCreation struct {
	// err is the answer, since is the time of the first in a row, and at that of the latest.
	err       error
	since, at time.Time
}

// quotaVerdict is what the quota gate says of a SpiderJob.
type quotaVerdict struct {
	// asked says that the gate was asked.
	asked bool
	// park says that no Job is to be made now, or that the one without a Pod is to be removed, and message why.
	park    bool
	message string
}

// jobIsOurs reports whether the Job belongs to this very SpiderJob, and not to an earlier one of its name.
func (o *observation) jobIsOurs() bool {
	return o.job != nil && o.job.controller != nil && o.job.controller.UID == o.sj.UID
}

// jobIsEarlier reports whether the Job belongs to an earlier SpiderJob of the same name.
func (o *observation) jobIsEarlier() bool {
	if o.job == nil || o.jobIsOurs() {
		return false
	}
	owner := o.job.controller
	return owner != nil && owner.Kind == "SpiderJob" && owner.Name == o.sj.Name &&
		owner.APIVersion == v1alpha1.GroupVersion.String()
}

// podsOfJob are the Pods of the Job that is there now, oldest first.
func (o *observation) podsOfJob() []*podView {
	var pods []*podView
	for _, pod := range o.pods {
		if pod.controlledBy(o.job) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// alive are the Pods of which something may run.
func (o *observation) alive() []*podView {
	var alive []*podView
	for _, pod := range o.pods {
		if !pod.ended() {
			alive = append(alive, pod)
		}
	}
	return alive
}

// presentPod is the Pod that everything rests on now: of the Job that is there, else of what is left of an earlier one.
func (o *observation) presentPod() *podView {
	if pod := decisivePod(o.podsOfJob()); pod != nil {
		return pod
	}
	return decisivePod(o.pods)
}

// reading is what is known from the log of a Pod. A program of one's own may have run more crawls than a read of its log's end has
// seen: the sum of several is believed to be final only where the log was read from its first line.
func (o *observation) reading(pod *podView) podlog.Reading {
	if pod == nil {
		return podlog.Reading{}
	}
	r := o.readings[pod.uid]
	if r.Counts.Crawls > 1 && !r.Whole && r.Counts.Final && o.plan().OwnCommand {
		r.Counts.Final = false
	}
	return r
}

// plan is that of the Job that is there, else the one that a Job would have now.
func (o *observation) plan() plan {
	if o.jobIsOurs() {
		return planFromJob(o.job, o.defaults)
	}
	return currentPlan(o)
}

// decisivePod is the Pod that the state of a Job rests on: one that succeeded, else one that has not ended, else the newest.
// The times of creation alone do not tell: clocks jump.
func decisivePod(pods []*podView) *podView {
	var decisive *podView
	for _, pod := range pods {
		if pod.phase == corev1.PodSucceeded {
			return pod
		}
		if decisive == nil || decisive.ended() || !pod.ended() {
			decisive = pod
		}
	}
	return decisive
}

func containsPod(pods []*podView, name string) bool {
	for _, pod := range pods {
		if pod.name == name {
			return true
		}
	}
	return false
}

// disturbance says how a Pod was disturbed from outside: the cause in a few words, empty if it was not.
func disturbance(pod *podView) string {
	exit := pod.exit()
	switch {
	case pod.disruption != nil:
		return "its Pod was disrupted (" + pod.disruption.reason + "): " + pod.disruption.message
	case outOfStorage(pod):
		return "" // its own doing
	case exit != nil && lostByNode(exit):
		return "its node lost the container (" + exit.Reason + ")"
	case pod.runs() && pod.spider.restarts > 0:
		return "its node lost the container, and started it again"
	case pod.phase == corev1.PodFailed && pod.reason != "" && exit == nil && pod.reason != podReasonDeadline && failedInit(pod) == nil:
		// The kubelet refused or evicted the Pod as a whole: Evicted, NodeAffinity, OutOfcpu, UnexpectedAdmissionError …
		return "its Pod was refused or evicted by the node (" + pod.reason + "): " + pod.message
	}
	switch pod.reason {
	case "Evicted", "Preempting", "Terminated", "NodeShutdown", "NodeLost":
		return "its Pod was evicted (" + pod.reason + "): " + pod.message
	}
	if pod.deleting {
		return "its Pod was deleted"
	}
	return ""
}

// lostByNode reports whether an end is made up: the container runtime (reason Unknown, exit code 255) or the kubelet (reason
// ContainerStatusUnknown, 137) gives it to a container that it no longer knows, as after a reboot.
func lostByNode(exit *corev1.ContainerStateTerminated) bool {
	return exit.Reason == "Unknown" || exit.Reason == "ContainerStatusUnknown"
}

// podReasonDeadline is the reason of a Pod that the kubelet ended for its activeDeadlineSeconds.
const podReasonDeadline = "DeadlineExceeded"

// outOfStorage reports whether the kubelet evicted a Pod for the storage limits of its own. An eviction for the node's sake
// bears the condition DisruptionTarget. The words are those of the kubelet's eviction manager (helpers.go there).
func outOfStorage(pod *podView) bool {
	if pod.reason != "Evicted" || pod.disruption != nil {
		return false
	}
	for _, words := range []string{
		"exceeds the limit", "exceeds the total limit of containers", "exceeded its local ephemeral storage limit",
	} {
		if strings.Contains(pod.message, words) {
			return true
		}
	}
	return false
}

// failedInit is the init container that kept a Pod's spider from starting, nil if none did.
func failedInit(pod *podView) *containerView {
	for i := range pod.inits {
		exit := pod.inits[i].state.Terminated
		if exit != nil && exit.ExitCode != 0 && !lostByNode(exit) && pod.started().IsZero() {
			return &pod.inits[i]
		}
	}
	return nil
}

// endedUndisturbed reports whether the Pod has ended and nothing outside had touched its spider before. The copy of the Pod is one
// moment of it: an end that it shows without a deletion came before the deletion. It has to be the Pod's end: a kubelet that
// evicts a Pod shows its containers' ends at once, but why it ended them only together with the Pod's terminal phase (mergePodStatus
// in its status manager).
func endedUndisturbed(pod *podView) bool {
	return pod.ended() && pod.exit() != nil && !pod.exit().StartedAt.IsZero() && disturbance(pod) == "" && pod.reason != podReasonDeadline
}

// ageOf is for how long something has been there: since it was made, by the clock of kube-apiserver, or seen, by our own, whichever is
// longer. Clocks may be minutes apart.
func ageOf(made, seen, now time.Time) time.Duration {
	age := max(now.Sub(made), 0)
	if !seen.IsZero() {
		age = max(age, now.Sub(seen))
	}
	return age
}
