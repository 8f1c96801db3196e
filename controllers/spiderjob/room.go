package spiderjob

import (
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/quota"
)

// askQuota asks the gate whether a SpiderJob without a Pod may create its Job, or keep it. Other SpiderJobs do not concern the
// gate.
func (r *Reconciler) askQuota(o *observation, now time.Time) quotaVerdict {
	switch {
	case o.sj.Status.Phase.Terminal() || wantedStop(o.sj) != nil || o.earlierPod != nil || len(o.pods) > 0:
	case o.spider != nil && o.spider.Spec.QueueName != "": // its Job would lose its place in that queue
	case o.job == nil && o.spider != nil && pauseLeft(&o.sj.Status, now) <= 0:
		v := r.quota.Wants(quotaJob(o), now)
		return quotaVerdict{asked: true, park: !v.Go, message: truncate(v.Message, maxMessage)}
	case o.jobIsOurs() && !o.job.deleting && !o.job.paused() && !o.job.over():
		if r.quota.MayKeep(quotaJob(o), now) {
			return quotaVerdict{asked: true}
		}
		return quotaVerdict{asked: true, park: true, message: parkedMessage}
	}
	return quotaVerdict{}
}

// reportToGate reports to the gate what is known about the room for a SpiderJob's Pod.
func (r *Reconciler) reportToGate(o *observation, d decision, now time.Time) {
	key := client.ObjectKeyFromObject(o.sj)
	switch d.room {
	case roomRefused:
		message, at := o.words.raw, o.words.saidAt
		if o.job == nil {
			message, at = o.refused.err.Error(), o.refused.at
		}
		r.quota.Refused(quotaJob(o), message, at, now)
	case roomFound:
		r.quota.Started(key, now)
	case roomUnwanted:
		r.quota.Gone(key, now)
	case roomUnknown:
		unexplained := o.jobIsOurs() && d.status.Reason != v1alpha1.ReasonPodForbidden &&
			d.status.Reason != v1alpha1.ReasonServiceAccountNotFound
		if !o.quota.asked || !o.quota.park && d.action.kind != createJob && !unexplained {
			r.quota.Gone(key, now) // it waits for something else
		}
	}
}

// parkedMessage is the message of a SpiderJob whose Job is deleted because it would only be refused again, until the gate's own
// message follows.
const parkedMessage = "the namespace's quota has no room, and older SpiderJobs wait for it"

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
