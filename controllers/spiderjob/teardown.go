package spiderjob

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

const (
	// streamPatience is how long a Pod's deletion waits until its log is followed.
	streamPatience = 2 * time.Second
	// countsPatience is how long an end waits for its final counts, from the start of their read.
	countsPatience = 10 * time.Second
	// stopMargin is how much longer than its grace period a stop may take before the message says what it waits for.
	stopMargin = 30 * time.Second
	// lingerMargin is how much longer than the Pod's own grace period containers may outlive the spider's before the Pod is
	// deleted.
	lingerMargin = 10 * time.Second
	// endedDeadline is the activeDeadlineSeconds that makes the kubelet end a Pod's remaining containers.
	endedDeadline = 1
)

// stop is a reason to stop the current Job.
type stop struct {
	v1alpha1.Stop
	// grace is the requested grace period in seconds, nil for the Pod's own.
	grace *int64
}

// wantedStop returns why a SpiderJob has to be stopped, nil if it does not. A cancellation outranks all other reasons: it is a
// promise to the caller. A verdict outranks a deletion, which a foreign finalizer delays.
func wantedStop(sj *v1alpha1.SpiderJob) *stop {
	recorded := sj.Status.Stop
	switch c := sj.Spec.Cancellation; {
	case c != nil:
		message := "cancelled"
		if c.RequestedBy != "" {
			message += " by " + c.RequestedBy
		}
		return &stop{Stop: v1alpha1.Stop{Reason: v1alpha1.ReasonCancelled, Message: message}, grace: c.GracePeriodSeconds}
	case recorded != nil && recorded.Phase != "":
		return &stop{Stop: *recorded}
	case sj.DeletionTimestamp != nil:
		return &stop{Stop: v1alpha1.Stop{Reason: v1alpha1.ReasonCancelled, Message: "cancelled, since its SpiderJob is being deleted"}}
	case recorded != nil:
		return &stop{Stop: *recorded}
	}
	return nil
}

// stopDone reports whether the Job of the next attempt has already followed the one to be stopped.
func stopDone(o *observation, s *stop) bool {
	return s.Retry && o.jobIsOurs() && string(o.job.uid) != s.JobUID
}

// tearDown stops the current attempt: first its Pods, with the requested grace period and their logs followed, then the Job. It
// ends the attempt only on proof that nothing runs any more.
func (d *decision) tearDown(o *observation, s *stop, now time.Time) decision {
	d.class, d.room = queue.Stop, roomUnwanted
	job, p := o.job, planFromJob(o.job, o.defaults)
	if !o.jobIsOurs() {
		job, p = nil, currentPlan(o) // somebody else has deleted it; its Pods still have logs
	}
	if s.Phase != "" {
		return d.finish(o, s, p, now)
	}
	alive := o.alive()
	if nothingRuns(o, s, job) {
		return d.afterTearDown(o, s, now)
	}
	d.noteStop(o, s, job, alive, p, now)
	for _, pod := range alive {
		followed := !d.demand(p, pod, podlog.Follow) || isFollowed(o, pod, now)
		if !needsDeletion(pod, s.grace) || job != nil && job.replacesPods() && !job.deleting {
			continue
		}
		if !followed {
			d.after = sooner(d.after, streamPatience)
			continue
		}
		if d.action.kind == doNothing {
			d.action = action{kind: deletePod, on: pod.objectRef, grace: graceOf(pod, s.grace)}
		}
	}
	switch {
	case job == nil && len(alive) == 0:
		return d.clearPods(o)
	case job == nil || job.deleting || d.action.kind != doNothing:
	case len(alive) == 0 && !d.finalRead(o, p, now):
		d.after = sooner(d.after, time.Second)
	case allDeleting(alive), job.replacesPods() && allFollowed(o, p, alive, now):
		// A Job of an earlier version, which would replace its Pod, goes first.
		d.action = action{kind: deleteJob, on: job.objectRef}
	}
	return *d
}

func allDeleting(pods []*podView) bool {
	for _, pod := range pods {
		if !pod.deleting {
			return false
		}
	}
	return true
}

// nothingRuns reports whether nothing of the SpiderJob can run any more, as far as has been observed. An end need not wait for
// what a foreign finalizer holds: an ended Pod runs nothing, and a Job that is being deleted creates no Pods.
func nothingRuns(o *observation, s *stop, job *jobView) bool {
	if len(o.alive()) > 0 {
		return false
	}
	held := len(o.pods) > 0
	for _, pod := range o.pods {
		held = held && pod.held
	}
	switch {
	case job == nil:
		return len(o.pods) == 0 || held
	case s.Retry || !job.deleting:
		return false // the next attempt's Job needs the name
	default:
		return held || job.held && len(o.pods) == 0
	}
}

// noteStop records that the stop has begun and, once it takes longer than it should, what it waits for.
func (d *decision) noteStop(o *observation, s *stop, job *jobView, alive []*podView, p plan, now time.Time) {
	st := &d.status
	recorded := st.Stop
	if recorded == nil || recorded.Reason != s.Reason {
		recorded = &v1alpha1.Stop{Reason: s.Reason, Message: s.Message, JobUID: st.JobUID}
		if job != nil {
			recorded.JobUID = string(job.uid)
		}
		st.Stop = recorded
		st.Reason, st.Message = v1alpha1.ReasonStopping, s.Message
	}
	if st.Phase == "" {
		st.Phase = v1alpha1.PhasePending
	}
	if recorded.Since == nil {
		recorded.Since = &metav1.Time{Time: now}
	}
	grace := p.GraceSeconds
	if s.grace != nil {
		grace = *s.grace
	}
	for _, pod := range alive {
		grace = max(grace, pod.deletionGrace)
	}
	d.after = recheck
	if recorded.Since.Add(time.Duration(grace)*time.Second + stopMargin).After(now) {
		return
	}
	if what := waitsFor(job, alive, o.pods); what != "" {
		st.Reason, st.Message = v1alpha1.ReasonStopping, truncate(s.Message+"; "+what, maxMessage)
	}
}

// waitsFor says what an overdue stop waits for, and what users can do about it.
func waitsFor(job *jobView, alive, pods []*podView) string {
	if len(alive) > 0 {
		pod := alive[0]
		if pod.node == "" {
			return fmt.Sprintf("Pod %s is still there", pod.name)
		}
		return fmt.Sprintf(
			"node %s has not confirmed the end of Pod %s. If the node is gone for good, delete its Node object, or taint it "+
				"with node.kubernetes.io/out-of-service; deleting only the Pod by force would leave its process running there",
			pod.node,
			pod.name,
		)
	}
	for _, pod := range pods {
		if pod.held {
			return fmt.Sprintf("a finalizer on Pod %s holds it: its owner has to remove it", pod.name)
		}
	}
	if job != nil && job.held {
		return fmt.Sprintf("a finalizer on Job %s holds it: its owner has to remove it", job.name)
	}
	return ""
}

// needsDeletion reports whether a Pod still has to be deleted, or to get less time than it has.
func needsDeletion(pod *podView, grace *int64) bool {
	return !pod.deleting || grace != nil && max(*grace, 1) < pod.deletionGrace
}

// graceOf returns the grace period of a Pod's deletion in seconds: the requested one or, without one, the Pod's own; at least
// 1.
func graceOf(pod *podView, grace *int64) int64 {
	return max(ptr.Deref(grace, pod.ownGrace), 1)
}

// finalRead reports whether the last of an ended Pod's counts are known, and requests them if they are not.
func (d *decision) finalRead(o *observation, p plan, now time.Time) (known bool) {
	pod := o.lastPod
	if pod == nil || !pod.ended() || len(o.pods) == 0 {
		return true
	}
	d.demand(p, pod, podlog.Final)
	_, known = finalCounts(o, p, pod, now)
	return known
}

// finish waits for the end of what outlives the spider, in an attempt whose verdict is recorded: other containers, or the
// process of a spider that has closed. The kubelet ends native sidecars, the Pod's own deadline everything else, so that Pod
// and log stay.
func (d *decision) finish(o *observation, s *stop, p plan, now time.Time) decision {
	alive := o.alive()
	if len(alive) == 0 {
		if len(o.pods) == 0 && !o.live {
			return decision{need: needLive}
		}
		return d.end(o, s.Phase, s.Reason, s.Message, now)
	}
	d.after = recheck
	var since time.Time
	if s.Since != nil {
		since = s.Since.Time
	}
	for _, pod := range alive {
		d.closing(p, pod)
		known := string(pod.uid) == d.status.PodUID
		livesOn := known && pod.runs() && pod.spider.restarts == 0 // its spider has closed, its process has not exited
		judged := known && !pod.runs() || livesOn
		ordinary, _ := pod.lingering()
		overdue := now.Sub(since) > time.Duration(max(pod.ownGrace, 1))*time.Second+lingerMargin
		switch {
		case pod.deleting:
		case !judged || overdue:
			d.action = action{kind: deletePod, on: pod.objectRef, grace: graceOf(pod, nil)}
			return *d
		case (len(ordinary) > 0 || livesOn) && pod.deadline != endedDeadline:
			d.action = action{kind: endPod, on: pod.objectRef}
			return *d
		}
	}
	if since.Add(time.Duration(p.GraceSeconds)*time.Second + stopMargin).Before(now) {
		if what := waitsFor(nil, alive, o.pods); what != "" {
			d.status.Message = truncate(s.Message+"; "+what, maxMessage)
		}
	}
	return *d
}

// removable returns a Pod that has ended and that nothing controls or deletes, nil if there is none.
func (d *decision) removable(o *observation) *podView {
	for _, pod := range o.pods {
		if !pod.deleting && !pod.controlledBy(o.job) {
			return pod
		}
	}
	return nil
}

// clearPods deletes Pods without a Job.
func (d *decision) clearPods(o *observation) decision {
	d.after, d.class = recheck, queue.Stop
	if pod := d.removable(o); pod != nil {
		d.action = action{kind: deletePod, on: pod.objectRef, grace: graceOf(pod, nil)}
	}
	return *d
}

// afterTearDown ends the SpiderJob or begins its next attempt, once nothing of the current one can exist any more.
func (d *decision) afterTearDown(o *observation, s *stop, now time.Time) decision {
	if r := o.reading(o.lastPod); !r.Since.IsZero() && !r.Done && now.Sub(r.Since) < followBound(o.lastPod) {
		d.after = time.Second
		return *d
	}
	if !o.live {
		return decision{need: needLive}
	}
	if pod := o.lastPod; pod != nil {
		if pod.name != d.status.PodName {
			d.status.Attempts++ // the Pod was created and deleted before anything of it was recorded
		}
		d.rememberStart(pod.started())
		d.status.Stats = lastStats(o, &d.status)
	}
	if s.Retry {
		d.nextAttempt(s, now)
		return d.begin(o, now)
	}
	phase := v1alpha1.PhaseError
	if s.Reason == v1alpha1.ReasonCancelled {
		phase = v1alpha1.PhaseCancelled
	}
	return d.end(o, phase, s.Reason, s.Message, now)
}

// isFollowed reports whether the Pod's log is being followed, or could not be opened within streamPatience.
func isFollowed(o *observation, pod *podView, now time.Time) bool {
	r := o.reading(pod)
	return r.Opened || r.Done || r.Err != nil || (!r.Since.IsZero() && now.Sub(r.Since) >= streamPatience)
}

func allFollowed(o *observation, p plan, pods []*podView, now time.Time) bool {
	for _, pod := range pods {
		var d decision
		if d.demand(p, pod, podlog.Follow) && !isFollowed(o, pod, now) {
			return false
		}
	}
	return true
}

// followBound is how long to wait for the rest of a log after its Pod was stopped.
func followBound(pod *podView) time.Duration {
	bound := countsPatience
	if pod != nil {
		bound += time.Duration(pod.deletionGrace) * time.Second
	}
	return bound
}
