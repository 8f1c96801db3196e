package spiderjob

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/earlier"
)

// spiderPatience is how long to wait for a missing Spider, so that both can be applied together in any order.
const spiderPatience = 5 * time.Second

// begin creates the Job, if there is none and none has to be deleted first.
func (d *decision) begin(o *observation, now time.Time) decision {
	if wait, waits := d.waitsToCreate(o, now); waits {
		return wait
	}
	// Only the leading process acts, and it knows what it did itself. A copy from before it led is not to be trusted: with a
	// cache that lags, a job that has already run could run again.
	untried := o.sj.Status.ObservedGeneration == 0 || o.refused != nil && d.status.JobUID == "" && d.status.AttemptFrom == nil
	if fresh := o.sinceLead && untried; (!fresh || argumentsOmitted(o.sj)) && !o.live {
		return decision{need: needLive}
	}
	if pod := endedWithoutJob(o, &d.status); pod != nil {
		return d.judgeWithoutJob(o, currentPlan(o), pod, now)
	}
	if d.status.JobUID != "" || endedUnrecorded(o, &d.status) {
		return d.jobGone(o, now)
	}
	if alive := o.alive(); len(alive) > 0 {
		return d.afterLost(o, alive[0])
	}
	if d.removable(o) != nil {
		return d.clearPods(o)
	}
	if o.earlierPod != nil {
		return d.afterEarlier(o)
	}
	if o.spider == nil {
		return d.withoutSpider(o, now)
	}
	sj := *o.sj
	sj.Status = d.status // the counts of earlier attempts, recorded or not yet
	p, err := newPlan(&sj, o.spider, o.defaults)
	if err != nil {
		return d.invalid(o, err, now)
	}
	left, limited := startLeft(o, &d.status, p, now)
	if limited && left <= 0 {
		if !o.live {
			return decision{need: needLive}
		}
		return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonStartDeadlineExceeded, startDeadlineMessage(p, &d.status), now)
	}
	d.after = left
	if o.refused != nil && now.Before(o.refused.due()) {
		return d.refusedJob(o, now)
	}
	p.ComparisonKey = earlier.KeyOf(o.spider.UID, sj.User(), sj.Spec.Arguments)
	job, err := buildJob(&sj, o.spider, p, o.defaults)
	if err != nil {
		return d.invalid(o, err, now)
	}
	d.action = action{kind: createJob, create: job}
	return *d
}

// afterLost waits for the end of a Pod whose Job was deleted without it, and stops the Pod.
func (d *decision) afterLost(o *observation, pod *podView) decision {
	d.pending(v1alpha1.ReasonWaiting, "Pod "+pod.name+", which has lost its Job, has to end first")
	if d.status.Reason == v1alpha1.ReasonRunning {
		d.status.Reason = v1alpha1.ReasonStopping
	}
	return d.clearPods(o)
}

// waitsToCreate says what delays the creation of a Job: a Pod that is being stopped, or belongs to an earlier SpiderJob, a
// pause, room in a quota, or the time of the next try after a refusal. None of that needs a live read.
func (d *decision) waitsToCreate(o *observation, now time.Time) (wait decision, waits bool) {
	over := d.status.JobUID == "" || o.lastPod != nil && endSeen(o, o.lastPod)
	if alive := o.alive(); len(alive) > 0 && d.removable(o) == nil && over {
		return d.afterLost(o, alive[0]), true
	}
	next := *d // nothing of it stays if nothing is to be waited for
	if next.status.JobUID != "" || len(o.pods) > 0 || o.spider == nil {
		return next, false
	}
	if o.admission.parked && pauseLeft(&next.status, now) <= 0 {
		return next.parked(o, now), true
	}
	d.admitted(now)
	next = *d
	if p, err := newPlan(o.sj, o.spider, o.defaults); err == nil {
		left, limited := startLeft(o, &next.status, p, now)
		if limited && left <= 0 {
			return next, false
		}
		next.after = left
	}
	switch pause := pauseLeft(&next.status, now); {
	case o.earlierPod != nil:
		next = next.afterEarlier(o)
	case pause > 0:
		next.after, next.class = sooner(next.after, pause), queue.Create
	case o.quota.park:
		next.pending(v1alpha1.ReasonQuotaExceeded, o.quota.message)
	case o.refused != nil && now.Before(o.refused.due()) && !wrongInItself(o.refused.err):
		next = next.refusedJob(o, now)
	default:
		return next, false
	}
	return next, true
}

// afterEarlier waits for a Pod of an earlier SpiderJob to end.
func (d *decision) afterEarlier(o *observation) decision {
	d.pending(v1alpha1.ReasonWaiting, fmt.Sprintf("Pod %s of an earlier SpiderJob of this name has to end first", o.earlierPod.name))
	d.after = sooner(d.after, recheck)
	return *d
}

// withoutSpider waits a moment for the Spider, and then ends.
func (d *decision) withoutSpider(o *observation, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	message := fmt.Sprintf("there is no Spider %s in namespace %s", o.sj.Spec.SpiderRef.Name, o.sj.Namespace)
	if wait := spiderPatience - now.Sub(o.sj.CreationTimestamp.Time); wait > 0 {
		d.pending(v1alpha1.ReasonSpiderNotFound, message)
		d.after = wait
		return *d
	}
	return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonSpiderNotFound, message, now)
}

// invalid ends a SpiderJob that cannot run as it is.
func (d *decision) invalid(o *observation, err error, now time.Time) decision {
	if !o.live {
		return decision{need: needLive}
	}
	return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonInvalidJob, err.Error(), now)
}

// endedUnrecorded reports whether this process saw the spider of a Pod end whose Job was deleted before anything of that was
// recorded.
func endedUnrecorded(o *observation, st *v1alpha1.SpiderJobStatus) bool {
	return o.lastPod != nil && endSeen(o, o.lastPod) && string(o.lastPod.uid) != st.PodUID
}

// endedWithoutJob returns a Pod that ended undisturbed, and was not judged before somebody deleted its Job; nil if there is
// none.
func endedWithoutJob(o *observation, st *v1alpha1.SpiderJobStatus) *podView {
	judged := types.UID("") // of an attempt that is over
	if st.JobUID == "" {
		judged = types.UID(st.PodUID)
	}
	for _, pod := range o.pods {
		if pod.controller == nil && pod.uid != judged && endedUndisturbed(pod) {
			return pod
		}
	}
	if o.witness != nil && (o.witness.uid != judged || successOverlooked(o, st)) &&
		o.lastPod != nil && o.lastPod.uid == o.witness.uid {
		return o.witness
	}
	return nil
}

// successOverlooked reports whether this process saw a spider succeed whose attempt is recorded as interrupted, and not by this
// process: another led for a while, and saw nothing any more of the Pod or its Job.
func successOverlooked(o *observation, st *v1alpha1.SpiderJobStatus) bool {
	return st.Reason == v1alpha1.ReasonInterrupted && o.judged != o.witness.uid && !spiderFailed(o.witness)
}
