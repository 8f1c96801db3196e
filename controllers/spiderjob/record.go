package spiderjob

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// record writes the decided status: one update, refused if the object has changed meanwhile, and none if the status has not
// changed. Events, log lines and metrics follow only a successful write.
//
// A patch would cost kube-apiserver more: it has to encode the object, apply the patch, and decode the result.
func (r *Reconciler) record(ctx context.Context, o *observation, mem *jobMemory, next v1alpha1.SpiderJobStatus) error {
	if o.sj.Status.Phase.Terminal() || sameStatus(next, o.sj.Status) {
		return nil // an end never changes, and the cache does not hold all of it
	}
	sj := o.sj.DeepCopy()
	complete(&next, o.sj, metav1.Time{Time: r.clock.Now()})
	sj.Status = next
	err := r.client.Status().Update(ctx, sj)
	statusWrites.WithLabelValues(writeResult(err)).Inc()
	if err != nil {
		return fmt.Errorf("record the status of SpiderJob %s: %w", klog.KObj(sj), err)
	}
	mem.written = sj
	if next.Stop != nil || next.AttemptFrom != nil {
		mem.judged = types.UID(next.PodUID)
	}
	omitArguments(sj)
	advanceTo(o, &next).count()
	previous := &o.sj.Status
	r.emitViolation(sj, previous)
	if previous.Phase == next.Phase && previous.Reason == next.Reason {
		return nil
	}
	log.FromContext(ctx).Info("SpiderJob changed", "phase", next.Phase, "reason", next.Reason, "message", next.Message,
		"spider", sj.Spec.SpiderRef.Name, "attempts", next.Attempts, "items", items(&next))
	said := previous.Reason == next.Reason && previous.Message == next.Message
	if noteworthy(next.Reason) && !said {
		r.events.Eventf(sj, nil, corev1.EventTypeWarning, next.Reason, "Run", "%s", next.Message)
	}
	return nil
}

// emitViolation emits an Event for a broken rule if the reason of the status emits none: the broken rule is only reported.
func (r *Reconciler) emitViolation(sj *v1alpha1.SpiderJob, previous *v1alpha1.SpiderJobStatus) {
	met := apimeta.FindStatusCondition(sj.Status.Conditions, v1alpha1.ConditionExpectationsMet)
	known := previous.Stop == nil && apimeta.IsStatusConditionFalse(previous.Conditions, v1alpha1.ConditionExpectationsMet)
	if met == nil || met.Status != metav1.ConditionFalse || known || met.Reason == sj.Status.Reason || sj.Status.Stop != nil {
		return
	}
	r.events.Eventf(sj, nil, corev1.EventTypeWarning, met.Reason, "Run", "%s", met.Message)
}

// complete fills in what every recorded status has.
func complete(next *v1alpha1.SpiderJobStatus, sj *v1alpha1.SpiderJob, now metav1.Time) {
	if next.Phase == "" {
		next.Phase = v1alpha1.PhasePending
	}
	next.ID = sj.ID()
	next.ObservedGeneration = sj.Generation
	succeeded := metav1.ConditionUnknown
	switch next.Phase {
	case v1alpha1.PhaseFinished:
		succeeded = metav1.ConditionTrue
	case v1alpha1.PhaseError, v1alpha1.PhaseCancelled:
		succeeded = metav1.ConditionFalse
	case v1alpha1.PhasePending, v1alpha1.PhaseRunning:
	}
	reason := next.Reason
	if reason == "" {
		reason = v1alpha1.ReasonCreated
	}
	apimeta.SetStatusCondition(&next.Conditions, metav1.Condition{
		Type:               v1alpha1.ConditionSucceeded,
		Status:             succeeded,
		Reason:             reason,
		Message:            next.Message,
		ObservedGeneration: sj.Generation,
		LastTransitionTime: now,
	})
}

// noteworthy reports whether a reason deserves an Event: everything that somebody may have to act on, and no routine step.
func noteworthy(reason string) bool {
	switch reason {
	case "", v1alpha1.ReasonRunning, v1alpha1.ReasonCompleted, v1alpha1.ReasonCancelled, v1alpha1.ReasonQueued,
		v1alpha1.ReasonCreated, v1alpha1.ReasonStopping, v1alpha1.ReasonWaiting, v1alpha1.ReasonStoppedItself:
		return false
	}
	return true
}

func items(st *v1alpha1.SpiderJobStatus) int64 {
	if st.Stats == nil {
		return 0
	}
	return st.Stats.ItemsScraped
}

// sameStatus reports whether two statuses say the same, so that nothing is written if nothing changed.
func sameStatus(a, b v1alpha1.SpiderJobStatus) bool { return equality.Semantic.DeepEqual(a, b) }
