package spiderjob

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/admission"
	"github.com/scrapethis/spider-operator/internal/order"
)

// admissionGate says which SpiderJobs may have a Job where SpiderQuotas or Spiders limit how many run. See admission.Gate.
type admissionGate interface {
	Wants(namespace string, run order.Run, now time.Time) admission.Verdict
	Runs(namespace string, run order.Run)
	Gone(key types.NamespacedName, now time.Time)
}

// admissionVerdict is what the gate says about a SpiderJob that wants to create its Job.
type admissionVerdict struct {
	// parked says that it has to wait, and message what for.
	parked  bool
	message string
}

// askAdmission asks the gate whether a SpiderJob without a Job may create it, and reports to it what others do. A SpiderJob keeps
// its places until its next attempt begins, unless there is a pause before that.
func (r *Reconciler) askAdmission(o *observation, now time.Time) admissionVerdict {
	key := client.ObjectKeyFromObject(o.sj)
	st := &o.sj.Status
	switch {
	case st.Phase.Terminal():
		r.admission.Gone(key, now)
	case o.jobIsOurs() || len(o.alive()) > 0 || st.JobUID != "":
		r.admission.Runs(key.Namespace, admission.RunOf(o.sj, o.spider))
	case wantedStop(o.sj) != nil || o.job != nil || o.earlierPod != nil || o.spider == nil || o.quota.park || pauseLeft(st, now) > 0:
		r.admission.Gone(key, now) // it waits for something else
	default:
		v := r.admission.Wants(key.Namespace, admission.RunOf(o.sj, o.spider), now)
		return admissionVerdict{parked: !v.Go, message: truncate(v.Message, maxMessage)}
	}
	return admissionVerdict{}
}

// parked waits for the gate, which enqueues the SpiderJob when it is admitted. What it waits for is recorded once: who waits
// costs one write.
func (d *decision) parked(o *observation, now time.Time) decision {
	if most := o.sj.Spec.MaxWaitSeconds; most != nil {
		limit := time.Duration(*most) * time.Second
		left := limit - now.Sub(o.sj.CreationTimestamp.Time)
		if left <= 0 && !o.live {
			return decision{need: needLive}
		}
		if left <= 0 {
			return d.end(o, v1alpha1.PhaseError, v1alpha1.ReasonMaxWaitExceeded,
				fmt.Sprintf("not admitted within its maxWaitSeconds of %s; it %s", limit, o.admission.message), now)
		}
		d.after, d.class = left, queue.End
	}
	told := d.status.Reason == v1alpha1.ReasonQueued && d.status.Message != admission.SettlingMessage
	if !told && o.admission.message != "" {
		d.pending(v1alpha1.ReasonQueued, o.admission.message)
	}
	return *d
}

// admitted notes that a SpiderJob has waited for its admission: the time until then does not count as waiting for its start.
func (d *decision) admitted(now time.Time) {
	if d.status.Reason == v1alpha1.ReasonQueued && d.status.JobUID == "" {
		d.pending(v1alpha1.ReasonCreated, "")
		d.status.AttemptFrom = &metav1.Time{Time: now.Truncate(time.Second)}
	}
}
