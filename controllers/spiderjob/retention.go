package spiderjob

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// forEver is the retention, in seconds, that never ends: ten years, the largest allowed value.
const forEver = allowed.MaxTTLSeconds

const (
	// proofKept is how long the SpiderJob of a scheduled run is kept at least: by its name kube-apiserver refuses to start the run
	// a second time, also if a controller asks for it that has lost its leadership without knowing it yet.
	proofKept = 10 * time.Minute
	// proofRecheck is when to look again whether a schedule still needs a run.
	proofRecheck = time.Minute
)

// retain deletes what an ended SpiderJob leaves behind when its time is over: first the Job with its Pods, and their logs;
// later the SpiderJob itself. Both times count from the recorded end, so nothing unrecorded is deleted. What still runs
// although the SpiderJob has ended is stopped.
func (d *decision) retain(o *observation, now time.Time) decision {
	d.room = roomUnwanted
	st := &o.sj.Status
	for _, pod := range o.alive() {
		if !pod.deleting {
			d.action = action{kind: deletePod, on: pod.objectRef, grace: graceOf(pod, nil)}
			d.after, d.class = recheck, queue.Stop
			return *d
		}
		d.after = recheck
	}
	if st.FinishedAt == nil || o.sj.DeletionTimestamp != nil {
		return *d // somebody else wrote this status: the controller never ends a SpiderJob without recording when
	}
	age := now.Sub(st.FinishedAt.Time)
	if keep := ttl(o); keep < forEver {
		left := time.Duration(keep)*time.Second - age
		if o.sj.Spec.ScheduledFor != nil {
			left = max(left, proofKept-age)
		}
		if left <= 0 && o.neededBySchedule {
			left = proofRecheck
		}
		if left <= 0 {
			d.action, d.after = action{kind: deleteSpiderJob}, recheck
			return *d
		}
		d.after = sooner(d.after, left)
	}
	if !o.jobIsOurs() || o.job.deleting {
		return d.retainOrphans(o, age)
	}
	left := time.Duration(planFromJob(o.job, o.defaults).RetentionSeconds)*time.Second - age
	if left > 0 && jobSettled(o) {
		d.after = sooner(d.after, left)
		return *d
	}
	d.action, d.after = action{kind: deleteJob, on: o.job.objectRef}, recheck
	return *d
}

// retainOrphans deletes ended Pods without a Job, when a Job's time would be over.
func (d *decision) retainOrphans(o *observation, age time.Duration) decision {
	pod := d.removable(o)
	if pod == nil {
		return *d
	}
	if left := o.defaults.PodRetention - age; left > 0 {
		d.after = sooner(d.after, left)
		return *d
	}
	d.action, d.after = action{kind: deletePod, on: pod.objectRef, grace: graceOf(pod, nil)}, recheck
	return *d
}

// jobSettled reports whether nothing of the Job can run any more. A Job that can still run although its SpiderJob has ended was
// created by a controller that had lost its leadership without knowing it yet.
func jobSettled(o *observation) bool {
	pods := o.podsOfJob()
	for _, pod := range pods {
		if !pod.ended() {
			return false
		}
	}
	return len(pods) > 0 || o.job.over() || o.sj.Status.JobUID == string(o.job.uid)
}

// ttl returns how long an ended SpiderJob is kept, in seconds: its own value, which may be changed, or the one resolved at its
// end. An earlier version resolved nothing.
func ttl(o *observation) int64 {
	switch {
	case o.sj.Spec.TTLSecondsAfterFinished != nil:
		return *o.sj.Spec.TTLSecondsAfterFinished
	case o.sj.Status.TTLSecondsAfterFinished != nil:
		return *o.sj.Status.TTLSecondsAfterFinished
	}
	return currentTTL(o)
}

// currentTTL returns how long Spider and operator currently keep an ended SpiderJob, in seconds. If the Spider is gone, its value
// when the Job was created applies.
func currentTTL(o *observation) int64 {
	if o.spider != nil {
		return ptr.Deref(o.spider.Spec.TTLSecondsAfterFinished, seconds(o.defaults.TTL))
	}
	if o.jobIsOurs() {
		return ptr.Deref(planFromJob(o.job, o.defaults).TTLSeconds, seconds(o.defaults.TTL))
	}
	return seconds(o.defaults.TTL)
}
