package controllers

import "time"

// retain removes what an ended SpiderJob leaves behind when its time is over: first the Job with its Pods, and their logs;
// later the SpiderJob itself. Both times count from the recorded end, so nothing goes that nobody has noted.
func (d decision) retain(o *observation, now time.Time) decision {
	st := &o.sj.Status
	if st.FinishedAt == nil {
		return d // not our writing: the controller never ends a SpiderJob without noting when
	}
	age := now.Sub(st.FinishedAt.Time)
	left := ttl(o) - age
	if left <= 0 {
		d.action, d.after = action{kind: deleteSpiderJob}, recheck
		return d
	}
	d.after = left
	if !o.jobIsOurs() || o.job.DeletionTimestamp != nil {
		return d
	}
	left = time.Duration(planOf(o.job, o.defaults).RetentionSeconds)*time.Second - age
	if left > 0 && jobSettled(o) {
		d.after = sooner(d.after, left)
		return d
	}
	d.action, d.after = action{kind: deleteJob, job: o.job}, recheck
	return d
}

// jobSettled reports whether nothing of the Job can run any more. A Job that can still run though its SpiderJob has ended was
// created by a controller that had lost its lead without knowing it yet.
func jobSettled(o *observation) bool {
	pods := o.podsOfJob()
	for _, pod := range pods {
		if !podEnded(pod) {
			return false
		}
	}
	return len(pods) > 0 || len(o.job.Status.Conditions) > 0 || o.sj.Status.JobUID == string(o.job.UID)
}

func ttl(o *observation) time.Duration {
	switch {
	case o.sj.Spec.TTLSecondsAfterFinished != nil:
		return time.Duration(*o.sj.Spec.TTLSecondsAfterFinished) * time.Second
	case o.spider != nil && o.spider.Spec.TTLSecondsAfterFinished != nil:
		return time.Duration(*o.spider.Spec.TTLSecondsAfterFinished) * time.Second
	default:
		return o.defaults.TTL
	}
}
