package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/internal/allowed"
	"github.com/scrapethis/spider-operator/internal/cron"
)

// observation is what is known of a schedule.
type observation struct {
	schedule *v1alpha1.SpiderSchedule
	// editedAt is when its spec was last changed, by kube-apiserver's clock.
	editedAt time.Time
	// runs are the SpiderJobs that the schedule may have started, by name. One that is not here is gone, or was never created.
	runs map[string]run
	// noSpider says why the Spider cannot be run; empty if it can.
	noSpider string
	// spiderTags are those that the Spider gives its runs.
	spiderTags []string
	// live says that all of this was read from kube-apiserver just now. Otherwise it comes from a cache, where absent does not
	// mean gone.
	live bool
}

// run is a SpiderJob that a schedule may have started.
type run struct {
	// ours says that it is a run of this schedule, and onTime that the schedule itself has started it: others do not count in
	// overlap.
	ours, onTime bool
	// phase is its state, and cancelled says that somebody has asked for its end.
	phase     v1alpha1.Phase
	cancelled bool
}

// unfinished reports whether something of the run may still run.
func (r run) unfinished() bool { return r.ours && r.onTime && !r.phase.Terminal() }

// decision is what decide makes of an observation.
type decision struct {
	// needLive says that everything has to be read from kube-apiserver first. Everything else is empty then.
	needLive bool
	// status is the status to record.
	status v1alpha1.SpiderScheduleStatus
	// create is the time to start a run for, zero for none. The status is that after the creation.
	create time.Time
	// cancel are the runs to cancel.
	cancel []string
	// missed are the times at which no run is started.
	missed []miss
	// after is when to look again if nothing happens meanwhile; zero for never.
	after time.Duration
	// class is the class in the work queue of that next look.
	class int
	// now is the time that conditions change at.
	now metav1.Time
}

// miss says that no run is started for some times.
type miss struct {
	reason, message string
	times           int64
}

// decide says what a schedule does now. It does no I/O and knows no time except now: wherever the process died before, and
// whatever its clock does, the same observation leads to the same decision.
//
// The name of a run holds its time, so kube-apiserver itself refuses a second run for a time. What decide adds is that no time is
// lost: lastScheduledAt advances to a time only together with the proof that its run exists, waits in queuedFor, or is left out
// for a reason.
func decide(o *observation, now time.Time) decision {
	d := &decision{status: *o.schedule.Status.DeepCopy(), class: queue.Routine, now: *apiTime(now)}
	st, spec := &d.status, &o.schedule.Spec
	st.ObservedGeneration = o.schedule.Generation
	if !d.countEnds(o) {
		return decision{needLive: true}
	}
	d.takeEdits(o, now)
	expression, err := cron.Parse(spec.Cron, spec.TimeZone)
	switch {
	case err != nil:
		return d.rest(v1alpha1.ReasonInvalidSchedule, err.Error())
	case spec.Suspend:
		return d.rest(v1alpha1.ReasonSuspended, "spec.suspend is set")
	case d.pause(spec):
		return d.rest(v1alpha1.ReasonTooManyFailures, fmt.Sprintf("%d runs in a row have failed; setting spec.resumedAt goes on",
			st.ConsecutiveFailures))
	}
	t := times{cron: expression, spec: spec, uid: o.schedule.UID}
	due := t.due(d.base(), now, func(at time.Time) bool { return o.runs[o.schedule.RunName(at)].ours })
	if (st.QueuedFor != nil || !due.last.IsZero()) && !o.live {
		return decision{needLive: true}
	}
	switch {
	case st.QueuedFor != nil && d.startQueued(o, now):
	case len(due.chosen) > 0:
		d.leaveOut(v1alpha1.ReasonMissed, "it was not started in time", due.missed)
		d.startOne(o, due.chosen[0])
	case !due.last.IsZero():
		d.leaveOut(v1alpha1.ReasonMissed, "it was not started in time", due.missed)
		st.LastScheduledAt = apiTime(due.last)
	}
	return d.plan(t, now)
}

// base returns the time after which times count.
func (d *decision) base() time.Time {
	return latest(timeOf(d.status.EffectiveSince), timeOf(d.status.LastScheduledAt))
}

// countEnds takes note of the runs that have ended. It reports false if a run is not in the cache, which proves nothing.
func (d *decision) countEnds(o *observation) bool {
	st := &d.status
	var active []string
	for _, name := range st.Active {
		r, found := o.runs[name]
		switch {
		case !found && !o.live:
			return false
		case !found, !r.ours:
			continue // deleted before its end was seen
		case r.phase.Terminal():
			d.countEnd(r)
		default:
			active = append(active, name)
		}
	}
	st.Active = active
	return true
}

// countEnd takes note of the end of one run.
func (d *decision) countEnd(r run) {
	d.status.LastResult = r.phase
	switch r.phase {
	case v1alpha1.PhaseError:
		d.status.ConsecutiveFailures++
	case v1alpha1.PhaseFinished:
		d.status.ConsecutiveFailures = 0
	case v1alpha1.PhasePending, v1alpha1.PhaseRunning, v1alpha1.PhaseCancelled:
	}
}

// takeEdits lets what was due before an edit pass. An edit that was not seen when it was made counts from its time. If the spec
// was changed more than once since it was last seen, it may have been suspended meanwhile, so that counts from the last change.
func (d *decision) takeEdits(o *observation, now time.Time) {
	st, spec := &d.status, &o.schedule.Spec
	is, edited := timing(spec), latest(o.editedAt, o.schedule.CreationTimestamp.Time)
	paused := apimeta.IsStatusConditionTrue(st.Conditions, v1alpha1.ConditionPaused)
	resumes := paused && (spec.PauseAfterFailures == 0 || resumed(st.Timing, is))
	if resumes {
		st.ConsecutiveFailures = 0
		d.condition(v1alpha1.ConditionPaused, metav1.ConditionFalse, v1alpha1.ReasonResumed, "")
	}
	if st.Timing != is {
		if timeOf(st.LastScheduledAt).After(now) {
			st.LastScheduledAt = nil // the clock was ahead; an edit goes on from here
		}
		st.Timing, st.EffectiveSince, st.QueuedFor = is, apiTime(edited), nil
	}
	if unseen := o.schedule.Generation - o.schedule.Status.ObservedGeneration; unseen > 1 || resumes {
		st.EffectiveSince = apiTime(latest(edited, timeOf(st.EffectiveSince)))
	}
}

// pause reports whether too many runs in a row have failed. It lasts until somebody resumes the schedule.
func (d *decision) pause(spec *v1alpha1.SpiderScheduleSpec) bool {
	if apimeta.IsStatusConditionTrue(d.status.Conditions, v1alpha1.ConditionPaused) {
		return true
	}
	if spec.PauseAfterFailures == 0 || d.status.ConsecutiveFailures < spec.PauseAfterFailures {
		return false
	}
	d.condition(v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonTooManyFailures,
		fmt.Sprintf("%d runs in a row have failed", d.status.ConsecutiveFailures))
	return true
}

// rest says that no run is due, and why. What waits is given up.
func (d *decision) rest(reason, message string) decision {
	d.status.NextAt, d.status.QueuedFor = nil, nil
	d.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	return *d
}

// startQueued starts the run that waits for the end of an earlier one, if that has ended. It reports whether that is all for now.
func (d *decision) startQueued(o *observation, now time.Time) bool {
	st, at := &d.status, d.status.QueuedFor.Time
	if at.After(now) {
		return false // the clock was ahead when it was queued
	}
	name := o.schedule.RunName(at)
	policy := o.schedule.Spec.OnOverlap()
	if active := d.unfinished(o, name); len(active) > 0 && policy != v1alpha1.OverlapAllow {
		if policy == v1alpha1.OverlapReplace {
			d.replace(o, active)
		}
		return false
	}
	st.QueuedFor = nil
	d.start(o, at)
	return true
}

// startOne starts the run of a time, has it wait, or leaves it out.
func (d *decision) startOne(o *observation, at time.Time) {
	st := &d.status
	st.LastScheduledAt = apiTime(at)
	name := o.schedule.RunName(at)
	if _, exists := o.runs[name]; exists {
		d.start(o, at)
		return
	}
	policy := o.schedule.Spec.OnOverlap()
	active := d.unfinished(o, name)
	waits := st.QueuedFor != nil
	switch {
	case policy == v1alpha1.OverlapAllow || len(active) == 0 && !waits:
		d.start(o, at)
	case policy == v1alpha1.OverlapReplace:
		if waits {
			d.leaveOut(v1alpha1.ReasonOverlap, "a later run replaces it before it could start", 1)
		}
		st.QueuedFor = apiTime(at)
		d.replace(o, active)
	case policy == v1alpha1.OverlapQueue && !waits:
		st.QueuedFor = apiTime(at)
	case len(active) == 0:
		d.leaveOut(v1alpha1.ReasonOverlap, "an earlier run waits to start", 1)
	default:
		d.leaveOut(v1alpha1.ReasonOverlap, "run "+active[0]+" has not ended", 1)
	}
}

// start starts the run of a time, or takes note that it exists.
func (d *decision) start(o *observation, at time.Time) {
	st, name := &d.status, o.schedule.RunName(at)
	existing, exists := o.runs[name]
	switch {
	case exists && !existing.ours:
		d.refuse(v1alpha1.ReasonNameConflict, fmt.Sprintf("a SpiderJob named %s exists that is no run of this schedule", name))
		return
	case !exists && o.noSpider != "":
		d.refuse(v1alpha1.ReasonSpiderNotFound, o.noSpider)
		return
	case !exists:
		d.create = at
	}
	switch {
	case exists && existing.phase.Terminal():
		d.countEnd(existing)
	case (!exists || existing.onTime) && !slices.Contains(st.Active, name):
		st.Active = append(st.Active, name)
	}
	if n := len(st.Active) - allowed.MaxActiveRuns; n > 0 {
		st.Active = st.Active[n:]
	}
	st.LastJob = &v1alpha1.ScheduledRun{Name: name, ScheduledFor: *apiTime(at)}
	d.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonScheduled, "")
}

// refuse leaves out a run that cannot be, which the condition says until another can.
func (d *decision) refuse(reason, message string) {
	d.leaveOut(reason, message, 1)
	d.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
}

// leaveOut counts times at which no run is started.
func (d *decision) leaveOut(reason, message string, times int64) {
	if times > 0 {
		d.status.Missed += times
		d.missed = append(d.missed, miss{reason, message, times})
	}
}

// replace cancels runs that a newer one replaces.
func (d *decision) replace(o *observation, active []string) {
	for _, name := range active {
		if !o.runs[name].cancelled && !slices.Contains(d.cancel, name) {
			d.cancel = append(d.cancel, name)
		}
	}
}

// unfinished returns the names of the schedule's runs that have not ended, without that of one time.
func (d *decision) unfinished(o *observation, except string) []string {
	var names []string
	for name, r := range o.runs {
		if r.unfinished() && name != except {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return names
}

// plan says when the next run is due, and when to look again.
func (d *decision) plan(t times, now time.Time) decision {
	st := &d.status
	next := t.next(d.base())
	st.NextAt = apiTime(next)
	if next.IsZero() {
		message := "no time is left"
		if t.spec.EndAt != nil {
			message += " before spec.endAt"
		}
		d.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonEnded, message)
		return *d
	}
	look := t.start(next)
	if q := st.QueuedFor; q != nil && q.After(now) && q.Time.Before(look) {
		look = q.Time
	}
	d.after, d.class = max(look.Sub(now), time.Nanosecond), queue.Create
	ready := apimeta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReady)
	if ready == nil || !lasting(ready.Reason) {
		d.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonScheduled, "")
	}
	return *d
}

// lasting reports whether a reason of the condition Ready stays until a run could be started.
func lasting(reason string) bool {
	return reason == v1alpha1.ReasonNameConflict || reason == v1alpha1.ReasonSpiderNotFound || reason == v1alpha1.ReasonRunNotCreated
}

// condition sets a condition.
func (d *decision) condition(kind string, status metav1.ConditionStatus, reason, message string) {
	apimeta.SetStatusCondition(&d.status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: d.status.ObservedGeneration,
		LastTransitionTime: d.now,
	})
}

// refused says that kube-apiserver did not accept a run.
func (d *decision) refused(err error) {
	d.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRunNotCreated, oneLine(err))
}
