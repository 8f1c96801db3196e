package controllers

import (
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/controllers/quota"
)

// askQuota asks the gate whether a SpiderJob without a Pod may make its Job, or keep it. Other SpiderJobs are not its business.
func (r *Reconciler) askQuota(o *observation, now time.Time) quotaVerdict {
	switch {
	case o.sj.Status.Phase.Terminal() || wantedStop(o.sj) != nil || o.earlierPod != nil || len(o.pods) > 0:
	case o.job == nil && o.spider != nil && pauseLeft(&o.sj.Status, now) <= 0:
		v := r.quota.Wants(quotaJob(o), now)
		return quotaVerdict{asked: true, park: !v.Go, message: truncate(v.Message, maxMessage)}
	case o.jobIsOurs() && !o.job.deleting && !o.job.paused() && !o.job.over() && !o.job.started.IsZero():
		if !r.quota.MayKeep(quotaJob(o), now) {
			v := r.quota.Wants(quotaJob(o), now)
			return quotaVerdict{asked: true, park: true, message: truncate(v.Message, maxMessage)}
		}
	}
	return quotaVerdict{}
}

// tellQuota tells the gate what was found out about the room that there is for a SpiderJob's Pod.
func (r *Reconciler) tellQuota(o *observation, d decision, now time.Time) {
	key := client.ObjectKeyFromObject(o.sj)
	switch d.room {
	case roomRefused:
		at := o.words.saidAt
		if o.job == nil {
			at = o.refused.at
		}
		r.quota.Refused(quotaJob(o), d.status.Message, at, now)
	case roomFound:
		r.quota.Started(key, now)
	case roomUnwanted:
		r.quota.Gone(key, now)
	case roomUnknown:
		if o.quota.asked && !o.quota.park && o.job == nil && d.action.kind != createJob {
			r.quota.Gone(key, now) // it waits for something else
		}
	}
}

func quotaJob(o *observation) quota.Job {
	job := quota.Job{
		Key:      client.ObjectKeyFromObject(o.sj),
		Created:  o.sj.CreationTimestamp.Time,
		Shape:    o.sj.Spec.SpiderRef.Name,
		Recorded: recordedQuota(&o.sj.Status),
	}
	if o.spider != nil {
		job.Shape = fmt.Sprintf("%s/%d", o.spider.Name, o.spider.Generation)
	}
	return job
}
