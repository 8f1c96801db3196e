package spiderjob

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// observation is everything that decide may know.
type observation struct {
	// sj is the SpiderJob.
	sj *v1alpha1.SpiderJob
	// spider is its Spider, nil if there is none.
	spider *v1alpha1.Spider
	// neededBySchedule says that the schedule of the run still needs it as the proof that it was started.
	neededBySchedule bool
	// job is the Job of the SpiderJob's name, of any owner; nil if there is none.
	job *jobView
	// assumed says that no cache shows the Job yet: this process created it a moment ago. If somebody deletes it before any cache
	// has shown it, no event reports that.
	assumed bool
	// pods are the Pods of this SpiderJob, of any attempt, the oldest first: those of its Jobs, and those without an owner
	// because somebody deleted their Job without them.
	pods []*podView
	// earlierPod is a Pod of an earlier SpiderJob of the same name that has not ended yet, nil if there is none. Its Job may be
	// gone already.
	earlierPod *podView
	// lastPod is the current one of the pods, or the last one seen if there is none any more; nil if none was ever seen.
	lastPod *podView
	// witness is a Pod as it was when this process saw it end undisturbed, nil if it saw no such end. Whatever happened to the
	// Pod later, its spider ended like that.
	witness *podView
	// judged is the UID of the Pod of the latest attempt that this process itself has recorded as over.
	judged types.UID
	// exitSeen is when this process first saw that the spider of lastPod has ended; zero if it did not.
	exitSeen time.Time
	// exited is lastPod as it was when its spider was first seen to have ended without a trace of anything from outside, nil if
	// that was not seen: the Pod itself may not have ended.
	exited *podView
	// jobSeen and podSeen are when this process first saw the job and lastPod.
	jobSeen, podSeen time.Time
	// stopSeen is when it first saw that the Job controller is about to stop lastPod.
	stopSeen time.Time
	// runningSeen is when this process first saw the spider of lastPod run, after it had seen the Pod without; zero if it did
	// not.
	runningSeen time.Time
	// readings are what is known from the logs of the pods and of lastPod.
	readings map[types.UID]podlog.Reading
	// live says that sj, spider, job and pods were read from kube-apiserver just now. Otherwise they come from a cache, where
	// absent does not mean gone.
	live bool
	// words are the latest Warning Events of the Job, or of its Pod.
	words eventWords
	// killing says whether the kubelet has reported that it stopped the spider of the last Pod.
	killing stopTrace
	// refused is kube-apiserver's latest answer to the creation of the Job, if it refused it.
	refused *refusedCreation
	// sinceLead says that this copy of the SpiderJob is from after this process began to lead.
	sinceLead bool
	// quota is whether the namespace's quota has room for another Job.
	quota quotaVerdict
	// admission is whether the limits of the namespace have room for a run.
	admission admissionVerdict
	// earlier are the runs to compare this one with.
	earlier earlierRuns
	// defaults are the operator's settings.
	defaults Defaults
}

// refusal is why something could not be created, for the status.
type refusal struct {
	reason  string
	message string
}

// eventWords are the Warning Events of one object.
type eventWords struct {
	// of is the object's UID, and at when they were read; zero if they were not.
	of types.UID
	at time.Time
	// askAt is when to ask again if there was no answer, because too much was asked at once.
	askAt time.Time
	// said is the newest one's reason and message; empty if none is recent enough to matter. raw is its own text, saidAt its own
	// time, by whichever clock, and heardAt when it was first read.
	said            refusal
	raw             string
	saidAt, heardAt time.Time
}

// due returns how long the Events of an object are current, for a trouble of that age; 0 if they have to be read. The wait was
// fixed at the last read: one that grew with the trouble would never end.
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

// stopTrace is what Events say about the end of a Pod that is gone, or when to ask again if there was no answer.
type stopTrace struct {
	// of is the UID of the Pod, or of its Job if the Pod's is unknown.
	of    types.UID
	found evidence
	askAt time.Time
}

// evidence is what Events say about a Pod that is gone.
type evidence int

const (
	// evidenceUnknown says that Events were not read.
	evidenceUnknown evidence = iota
	// evidenceOfStop says that the kubelet reported that it stopped the spider's container.
	evidenceOfStop
	// evidenceNone says that it did not, although the Event would still exist.
	evidenceNone
	// evidenceGone says that the Event would no longer exist, or could not be read.
	evidenceGone
)

// refusedCreation is a Job that kube-apiserver refused.
type refusedCreation struct {
	// err is the answer, since is the time of the first in a row, and at that of the latest.
	err       error
	since, at time.Time
}

// quotaVerdict is what the quota gate says about a SpiderJob.
type quotaVerdict struct {
	// asked says that the gate was asked.
	asked bool
	// park says that no Job may be created now, or that the one without a Pod has to be deleted, and message why.
	park    bool
	message string
}

// jobIsOurs reports whether the Job belongs to this very SpiderJob, not to an earlier one of its name.
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

// podsOfJob returns the Pods of the current Job, oldest first.
func (o *observation) podsOfJob() []*podView {
	var pods []*podView
	for _, pod := range o.pods {
		if pod.controlledBy(o.job) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// alive returns the Pods of which something may run.
func (o *observation) alive() []*podView {
	var alive []*podView
	for _, pod := range o.pods {
		if !pod.ended() {
			alive = append(alive, pod)
		}
	}
	return alive
}

// presentPod returns the Pod that decisions rest on now: of the current Job or, without one, of what is left of an earlier one.
func (o *observation) presentPod() *podView {
	if pod := decisivePod(o.podsOfJob()); pod != nil {
		return pod
	}
	return decisivePod(o.pods)
}

// reading returns what is known from the log of a Pod. A program with its own command may have run more crawls than a read of
// its log's end has seen: the sum of several is final only if the log was read from its first line.
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

// plan returns the plan of the current Job or, without one, the plan that a Job would have now.
func (o *observation) plan() plan {
	if o.jobIsOurs() {
		return planFromJob(o.job, o.defaults)
	}
	return currentPlan(o)
}

// decisivePod returns the Pod that the state of a Job rests on: one that succeeded, or one that has not ended, or the newest,
// in this order. The times of creation are not enough: clocks jump.
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

// disturbance returns how a Pod was disturbed from outside, in a few words; empty if it was not.
func disturbance(pod *podView) string {
	exit := pod.exit()
	switch {
	case pod.disruption != nil:
		return "its Pod was disrupted (" + pod.disruption.reason + "): " + pod.disruption.message
	case outOfStorage(pod):
		return "" // the Pod itself caused it
	case exit != nil && lostByNode(exit):
		return "its node lost the container (" + exit.Reason + ")"
	case pod.runs() && pod.spider.restarts > 0:
		return "its node lost the container, and started it again"
	case pod.phase == corev1.PodFailed && pod.reason != "" && exit == nil && pod.reason != podReasonDeadline &&
		failedInit(pod) == nil:
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

// lostByNode reports whether an end is invented: the container runtime (reason Unknown, exit code 255) or the kubelet (reason
// ContainerStatusUnknown, 137) reports it for a container that it no longer knows, as after a reboot.
func lostByNode(exit *corev1.ContainerStateTerminated) bool {
	return exit.Reason == "Unknown" || exit.Reason == "ContainerStatusUnknown"
}

// podReasonDeadline is the reason of a Pod that the kubelet ended for its activeDeadlineSeconds.
const podReasonDeadline = "DeadlineExceeded"

// outOfStorage reports whether the kubelet evicted a Pod because of the Pod's own storage limits. An eviction because of the
// node has the condition DisruptionTarget. The words are those of the kubelet's eviction manager (helpers.go there).
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

// failedInit returns the init container that prevented a Pod's spider from starting, nil for none.
func failedInit(pod *podView) *containerView {
	for i := range pod.inits {
		exit := pod.inits[i].state.Terminated
		if exit != nil && exit.ExitCode != 0 && !lostByNode(exit) && pod.started().IsZero() {
			return &pod.inits[i]
		}
	}
	return nil
}

// endedUndisturbed reports whether the Pod has ended and nothing outside had touched its spider before. The copy of the Pod is
// one moment of it: an end that it shows without a deletion came before the deletion. It has to be the Pod's end: a kubelet
// that evicts a Pod reports its containers' ends at once, but why it ended them only together with the Pod's terminal phase
// (mergePodStatus in its status manager).
func endedUndisturbed(pod *podView) bool {
	return pod.ended() && pod.exit() != nil && !pod.exit().StartedAt.IsZero() && disturbance(pod) == "" &&
		pod.reason != podReasonDeadline
}

// ageOf returns how long something has existed: since its creation, by the clock of kube-apiserver, or since it was first seen,
// by our own, whichever is longer. Clocks may be minutes apart.
func ageOf(made, seen, now time.Time) time.Duration {
	age := max(now.Sub(made), 0)
	if !seen.IsZero() {
		age = max(age, now.Sub(seen))
	}
	return age
}
