package spiderjob

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// recheck is when to look again for something that no watch reports, such as the effect of an earlier action.
const recheck = 5 * time.Second

// decision is what decide makes of an observation.
type decision struct {
	// need is what has to be observed before anything can be decided. Everything else is empty then.
	need need
	// status is the status to record.
	status v1alpha1.SpiderJobStatus
	// action is what to do first, at most one thing.
	action action
	// logs are the logs that have to be read, and how.
	logs []logDemand
	// after is when to look again if nothing happens meanwhile; zero for never.
	after time.Duration
	// class is the class in the work queue of that next look, one of package queue.
	class int
	// room is the news for the quota gate.
	room roomNews
	// compare selects the earlier runs that needEarlierRuns asks for.
	compare comparison
}

// need is a costly observation, made only when decide asks for it.
type need int

const (
	needNothing need = iota
	// needLive asks for everything to be read from kube-apiserver itself.
	needLive
	// needJobEvents and needPodEvents ask for the Warning Events of the Job, or of its Pod.
	needJobEvents
	needPodEvents
	// needKilling asks whether the kubelet has reported that it stopped the last Pod's spider.
	needKilling
	// needEarlierRuns asks for the runs to compare this one with.
	needEarlierRuns
)

type actionKind int

const (
	doNothing actionKind = iota
	createJob
	// endPod makes the kubelet end the containers that outlive the spider: Pod and log stay.
	endPod
	deletePod
	deleteJob
	deleteSpiderJob
)

// action is one write to kube-apiserver.
type action struct {
	kind actionKind
	// create is the Job to create.
	create *batchv1.Job
	// on is the Job or Pod to delete, or the Pod to end.
	on objectRef
	// grace is a deleted Pod's grace period in seconds, at least 1: with 0, kube-apiserver would forget the Pod without asking its
	// node whether it still runs.
	grace int64
}

// logDemand asks for the log of a Pod to be read.
type logDemand struct {
	pod  *podView
	mode podlog.Mode
}

// roomNews is what a decision says about the room that the namespace's quota has for a SpiderJob's Pod.
type roomNews int

const (
	roomUnknown roomNews = iota
	// roomRefused says that the Pod was refused for quota.
	roomRefused
	// roomFound says that the Pod exists.
	roomFound
	// roomUnwanted says that no Pod is wanted now.
	roomUnwanted
)

// limitPatience is how long to wait until a Job with its own time limit says that this is why its Pod is being deleted. The Job
// controller deletes Pods first, and writes the Job's status afterwards.
const limitPatience = 2 * time.Second

// decide is the lifecycle of a SpiderJob. It does no I/O and knows no time except now: in whatever order events arrive, and
// wherever the process died before, the same observation leads to the same decision.
//
//	has ended                stop what still runs; delete the Job, later the SpiderJob, when their time is over (retention.go)
//	has to be stopped        stop the Pods, delete the Job, prove that nothing runs, then end or try again (teardown.go)
//	its Job exists           follow the Pods: pending (pending.go), running, or ended with a verdict (verdict.go)
//	another's Job exists     wait if it is an earlier SpiderJob's, otherwise an error
//	no Job, never had one    create it, once no Pod of an earlier SpiderJob of the name runs (begin.go)
//	no Job, but had one      an interruption: somebody else deleted it (attempts.go)
func decide(o *observation, now time.Time) decision {
	d := decision{status: *o.sj.Status.DeepCopy(), class: queue.Routine}
	switch stop := wantedStop(o.sj); {
	case o.sj.Status.Phase.Terminal():
		return d.retain(o, now)
	case stop != nil && !stopDone(o, stop):
		return d.tearDown(o, stop, now)
	case o.jobIsOurs() && attemptOver(o) && !o.live:
		return decision{need: needLive}
	case o.jobIsOurs():
		d.status.Stop = nil
		return d.run(o, now)
	case o.jobIsEarlier():
		d.pending(
			v1alpha1.ReasonWaiting,
			fmt.Sprintf("Job %s of an earlier SpiderJob of this name has to be deleted first", o.job.name),
		)
		d.after = recheck
		return d
	case o.job != nil:
		if !o.live {
			return decision{need: needLive}
		}
		return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonNameConflict,
			fmt.Sprintf("a Job named %s exists that does not belong to this SpiderJob", o.job.name), now)
	default:
		return d.begin(o, now)
	}
}

// attemptOver reports whether the Job belongs to an attempt that was recorded as over, and proven gone: a lagging cache still
// shows it, and its end would be counted twice.
func attemptOver(o *observation) bool {
	st := &o.sj.Status
	return st.JobUID == "" && st.AttemptFrom != nil &&
		slices.ContainsFunc(o.podsOfJob(), func(pod *podView) bool { return string(pod.uid) == st.PodUID })
}

// run follows the SpiderJob's own Job.
func (d *decision) run(o *observation, now time.Time) decision {
	p := planFromJob(o.job, o.defaults)
	if stray := strayPod(o); stray != nil {
		return d.afterLost(o, stray)
	}
	pods := o.podsOfJob()
	pod := decisivePod(pods)
	switch {
	case completedByAnother(o, pod) && o.job.suspended:
		return d.interrupt(o, p, "its Job was suspended", now)
	case completedByAnother(o, pod):
		unseen := *o
		unseen.lastPod = nil
		return d.podGone(&unseen, p, now)
	case o.witness != nil && o.witness.controlledBy(o.job) && (pod == nil || pod.uid == o.witness.uid || !spiderFailed(o.witness)) &&
		!(o.job.timedOut() && spiderFailed(o.witness)):
		return d.judge(o, p, o.witness, now)
	case disturbedAfterExit(o, pod):
		return d.judge(o, p, o.exited, now)
	case o.job.managedBy != "":
		return d.stopJob(o, v1alpha1.ReasonConfiguration, fmt.Sprintf(
			"managedBy of its Job was set to %s: spiders need Kubernetes' own Job controller", o.job.managedBy), now)
	case o.job.timedOut():
		return d.stopJob(o, v1alpha1.ReasonDeadlineExceeded, "its Job failed: "+o.job.failing.message, now)
	case o.job.deleting && pod != nil && endSeen(o, pod):
		return d.judge(o, p, pod, now) // the spider ended before its Pod was deleted
	case o.job.deleting:
		return d.interrupt(o, p, "its Job was deleted", now)
	case pod == nil:
		return d.withoutPod(o, p, now)
	}
	d.room = roomFound
	switch {
	case undisturbedPods(pods) > 1:
		return d.interrupt(o, p, "two of its Pods ran at once", now)
	case o.job.limited && !o.job.over() && !o.job.suspended && pod.deleting && now.Sub(o.stopSeen) < limitPatience:
		d.demand(p, pod, podlog.Follow)
		d.after, d.class = limitPatience-now.Sub(o.stopSeen), queue.Stop
		return *d
	case pod.exit() != nil || pod.ended():
		return d.judge(o, p, pod, now)
	case o.job.suspended || o.job.failing != nil:
		// The Job controller is about to stop the Pod. Its end is judged when it has ended.
		d.demand(p, pod, podlog.Follow)
		return d.beingStopped(o, pod, now)
	}
	if cause := disturbance(pod); cause != "" {
		return d.interrupt(o, p, cause, now)
	}
	if pod.started().IsZero() {
		if left, limited := startLeft(o, &d.status, p, now); limited {
			if left <= 0 {
				return d.stopJob(o, v1alpha1.ReasonStartDeadlineExceeded, startDeadlineMessage(p, &d.status), now)
			}
			d.after = left
		}
		return d.explainPod(o, pod, now)
	}
	d.running(o, p, pod, now)
	if left, limited := timeLeft(&d.status, p, now); limited {
		if left <= 0 {
			return d.stopJob(o, v1alpha1.ReasonDeadlineExceeded, deadlineMessage(p), now)
		}
		d.after, d.class = left, queue.End
	}
	d.demand(p, pod, podlog.Sample)
	return d.watchProgress(o, p, pod, now)
}

// beingStopped reports, once it takes longer than usual, that the Job controller stops a Pod.
func (d *decision) beingStopped(o *observation, pod *podView, now time.Time) decision {
	if wait := explainAfter + time.Duration(pod.ownGrace)*time.Second - now.Sub(o.stopSeen); wait > 0 {
		d.after = wait
		return *d
	}
	message := "its Job was suspended, and its Pod " + pod.name + " is being stopped"
	if o.job.failing != nil {
		message = "its Job failed, and its Pod " + pod.name + " is being stopped: " + o.job.failing.message
	}
	d.status.Reason, d.status.Message = v1alpha1.ReasonStopping, truncate(message, maxMessage)
	return *d
}

// disturbedAfterExit reports whether the Job's Pod was deleted or disrupted after this process had seen its spider end: Events
// then have to show whether something had stopped the spider before.
func disturbedAfterExit(o *observation, pod *podView) bool {
	if o.exited == nil || !o.exited.controlledBy(o.job) {
		return false
	}
	if pod == nil {
		return o.lastPod != nil && endSeen(o, o.lastPod)
	}
	return endSeen(o, pod) && (disrupted(pod) || pod.deleting)
}

// endSeen reports whether this process saw a Pod's spider end before anything had been done to the Pod. What happened since
// came too late to be the cause, unless the kubelet reports that it had stopped the spider: then the Pod's own end says why.
func endSeen(o *observation, pod *podView) bool {
	return o.exited != nil && o.exited.uid == pod.uid && (o.killing.found != evidenceOfStop || !disrupted(pod) && !pod.ended())
}

// disrupted reports whether something has ended a Pod as a whole, other than a deletion.
func disrupted(pod *podView) bool { return pod.disruption != nil || pod.reason != "" }

// completedByAnother reports whether the Job is complete although the newest of its remaining Pods failed: in a Job of an
// earlier version the Pod that completed it came later, and somebody has deleted that.
func completedByAnother(o *observation, pod *podView) bool {
	return o.job.replacesPods() && o.job.complete && o.job.failing == nil && pod != nil && pod.ended() && spiderFailed(pod)
}

// strayPod returns a Pod of this SpiderJob that may run although its Job is not the current one, nil if there is none.
func strayPod(o *observation) *podView {
	for _, pod := range o.alive() {
		if !pod.controlledBy(o.job) {
			return pod
		}
	}
	return nil
}

// undisturbedPods counts the Pods that run, or are about to, and that nothing stops.
func undisturbedPods(pods []*podView) int {
	n := 0
	for _, pod := range pods {
		if !pod.ended() && !pod.deleting {
			n++
		}
	}
	return n
}

// running reports that the spider's process runs.
func (d *decision) running(o *observation, p plan, pod *podView, now time.Time) {
	st := &d.status
	st.Phase, st.Reason, st.Message = v1alpha1.PhaseRunning, v1alpha1.ReasonRunning, ""
	d.describeRun(o, p, pod, now)
}

// describeRun records which Pod of which Job runs which image, and since when.
func (d *decision) describeRun(o *observation, p plan, pod *podView, now time.Time) {
	st := &d.status
	d.countAttempts(o, p, pod)
	started := pod.started()
	d.rememberStart(started)
	st.JobUID = string(o.job.uid)
	st.PodName, st.PodUID = pod.name, string(pod.uid)
	st.Spider = p.snapshot()
	st.Spider.Image = truncate(o.job.image, allowed.MaxImage)
	if pod.spider != nil {
		st.Spider.ImageID = truncate(pod.spider.imageID, allowed.MaxImageID)
	}
	if p.SumAttempts {
		st.EarlierStats = earlierStats(st)
	}
	if !started.IsZero() {
		st.Unstarted, st.FailingSince = 0, nil
		if st.RunningSince == nil {
			st.RunningSince = &metav1.Time{Time: runningSince(o, pod, now)}
		}
	}
	st.Stats = currentStats(o, p, pod, pod.exit() != nil, st)
}

// runningSince returns when the spider's process began to run, by this process's own clock. The node's clock, which may be
// minutes off, counts only if the start was not seen.
func runningSince(o *observation, pod *podView, now time.Time) time.Time {
	started := pod.started()
	if o.lastPod != nil && o.lastPod.uid == pod.uid && !o.runningSeen.IsZero() {
		started = o.runningSeen
	}
	if started.After(now) {
		return now
	}
	return started
}

// rememberStart records when the spider's process first started.
func (d *decision) rememberStart(started time.Time) {
	if d.status.StartedAt == nil && !started.IsZero() {
		d.status.StartedAt = &metav1.Time{Time: started}
	}
}

// countAttempts counts the Pods that were ever created for the SpiderJob. A Pod that is gone without a record of its end, while
// its Job still exists, was taken back by a queue, or replaced by the Job controller in a Job of an earlier version.
func (d *decision) countAttempts(o *observation, p plan, pod *podView) {
	st := &d.status
	pods := o.podsOfJob()
	attempts := p.EarlierAttempts + int32(max(len(pods), 1)) //nolint:gosec // a Job has at most 101 attempts
	if len(pods) > 0 && st.JobUID == string(o.job.uid) && st.PodName != "" && !containsPod(pods, st.PodName) {
		if o.sj.Status.Phase == v1alpha1.PhaseRunning { // otherwise it was counted when a queue took the Job back
			st.Interruptions++
		}
		attempts = st.Attempts + 1
		st.RunningSince = nil
	}
	if replacedByJobController(o, st, pod) {
		attempts = max(attempts, st.Attempts+1)
	}
	st.Attempts = max(st.Attempts, attempts)
}

// replacedByJobController reports whether a Pod is the next one after the recorded Pod, which failed, in a Job of an earlier
// version.
// Earlier Pods of such a Job may be gone, so that their number alone says too little.
func replacedByJobController(o *observation, st *v1alpha1.SpiderJobStatus, pod *podView) bool {
	if o.job.backoffLimit == 0 || st.JobUID != string(o.job.uid) || string(pod.uid) == st.PodUID ||
		pod.phase == corev1.PodFailed {
		return false
	}
	return slices.ContainsFunc(o.podsOfJob(), func(recorded *podView) bool {
		return string(recorded.uid) == st.PodUID && recorded.phase == corev1.PodFailed
	})
}

// pending reports what a SpiderJob waits for. A SpiderJob that has run before is still Running between two attempts; only a
// queue that holds the next one back makes it Pending again.
func (d *decision) pending(reason, message string) {
	st := &d.status
	if st.Phase == v1alpha1.PhaseRunning && reason != v1alpha1.ReasonQueued {
		st.Message = truncate(message, maxMessage)
		return
	}
	st.Phase, st.Reason, st.Message = v1alpha1.PhasePending, reason, truncate(message, maxMessage)
}

// end sets a terminal phase. The caller has the proof for it.
func (d *decision) end(o *observation, phase v1alpha1.Phase, reason, message string, now time.Time) decision {
	st := &d.status
	judged := st.Stop != nil && st.Stop.Phase != "" && st.Stop.Phase == phase
	st.Phase, st.Reason, st.Message = phase, reason, truncate(message, maxMessage)
	st.Stop, st.RunningSince, st.FailingSince, st.AttemptFrom = nil, nil, nil, nil
	d.after, d.logs, d.room = 0, nil, roomUnwanted
	st.FinishedAt = &metav1.Time{Time: now}
	if st.StartedAt != nil {
		st.Duration = max(now.Sub(st.StartedAt.Time), 0).Round(time.Second).String()
	}
	if pod := d.judgedPod(o); pod != nil && !judged {
		st.PodName, st.PodUID = pod.name, string(pod.uid)
		d.noteExit(pod)
	}
	if st.Stats == nil {
		st.Stats = &v1alpha1.Stats{Source: v1alpha1.OriginNone}
	}
	ttl := currentTTL(o)
	st.TTLSecondsAfterFinished = &ttl
	d.settleExpectations(o, now)
	return *d
}

// judgedPod returns the last Pod, as it was when its spider was seen to end, if it was seen.
func (d *decision) judgedPod(o *observation) *podView {
	if o.witness != nil && (o.lastPod == nil || o.witness.uid == o.lastPod.uid) {
		return o.witness
	}
	return o.lastPod
}

// noteExit records the exit code of a spider that ran. A kubelet reports 137, and no start time, for one that never ran.
func (d *decision) noteExit(pod *podView) {
	if exit := pod.exit(); exit != nil && !exit.StartedAt.IsZero() {
		code := exit.ExitCode
		d.status.ExitCode = &code
	}
}

// timeLeft returns the time until the attempt's timeout, and whether it has one.
func timeLeft(st *v1alpha1.SpiderJobStatus, p plan, now time.Time) (left time.Duration, limited bool) {
	if p.TimeoutSeconds <= 0 || st.RunningSince == nil {
		return 0, false
	}
	// Times in the API are cut to whole seconds: no run gets less than it was promised.
	return st.RunningSince.Add(time.Duration(p.TimeoutSeconds)*time.Second + time.Second).Sub(now), true
}

func deadlineMessage(p plan) string {
	return fmt.Sprintf("not finished within its timeout of %s", time.Duration(p.TimeoutSeconds)*time.Second)
}

// startLeft returns the time until the attempt must have started, and whether that is limited. It counts from the creation,
// from the last time that a queue resumed the Job, or from the earliest time of a further attempt.
func startLeft(o *observation, st *v1alpha1.SpiderJobStatus, p plan, now time.Time) (left time.Duration, limited bool) {
	if p.StartDeadlineSeconds <= 0 || o.jobIsOurs() && o.job.paused() {
		return 0, false
	}
	from := o.sj.CreationTimestamp.Time
	if st.AttemptFrom != nil && st.AttemptFrom.After(from) {
		from = st.AttemptFrom.Time
	}
	if o.jobIsOurs() && o.job.resumed.After(from) {
		from = o.job.resumed
	}
	return from.Add(time.Duration(p.StartDeadlineSeconds)*time.Second + time.Second).Sub(now), true
}

func startDeadlineMessage(p plan, st *v1alpha1.SpiderJobStatus) string {
	message := fmt.Sprintf("not started within its start deadline of %s", time.Duration(p.StartDeadlineSeconds)*time.Second)
	if st.Message != "" {
		message += "; it waited: " + st.Message
	}
	return message
}

// demand requests a Pod's log, if the plan says that there is something to read in it.
func (d *decision) demand(p plan, pod *podView, mode podlog.Mode) (wanted bool) {
	if p.StatsSource != v1alpha1.StatsFromScrapy || pod.started().IsZero() {
		return false
	}
	d.logs = append(d.logs, logDemand{pod: pod, mode: mode})
	return true
}
