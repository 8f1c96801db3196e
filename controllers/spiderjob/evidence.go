package spiderjob

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/quota"
)

const (
	// wordsLife is how long a Warning Event that is not repeated counts as current. Kubelets retry a volume within about two
	// minutes. The time counts from the first read: the clocks of nodes are not to be trusted.
	wordsLife = 3 * time.Minute
	// killingLife is how long the absence of an Event proves anything: kube-apiserver keeps Events for an hour by default.
	killingLife = 50 * time.Minute
)

// readWords reads the Warning Events of the Job, or of its Pod, and remembers them.
func (r *Reconciler) readWords(ctx context.Context, o *observation, mem *jobMemory, what need) error {
	words := eventWords{of: o.job.uid, at: r.clock.Now()}
	if what == needPodEvents {
		words.of = o.lastPod.uid
	}
	answer, err := r.warnings.Warnings(ctx, o.sj.Namespace, words.of)
	if err != nil {
		return err
	}
	before := mem.words
	if before.of != words.of {
		before = eventWords{}
	}
	switch w := answer.warning; {
	case !answer.askAt.IsZero(): // no answer yet
		before.of, before.at, before.askAt = words.of, words.at, answer.askAt
		words = before
	case w != nil:
		words.raw, words.saidAt, words.heardAt = w.message, w.at, words.at
		if w.at.Equal(before.saidAt) {
			words.heardAt = before.heardAt
		}
		if words.at.Sub(words.heardAt) < wordsLife {
			words.said = explainEvent(w, what)
		}
	}
	mem.words, o.words = words, words
	return nil
}

// explainEvent derives the reason from a Warning Event. Whatever prevents an existing Pod from starting counts as
// configuration: a Secret that cannot be mounted, a volume that cannot be attached, a network that is not set up.
func explainEvent(w *eventWarning, what need) refusal {
	switch {
	case what == needPodEvents && w.reason == "FailedScheduling":
		return refusal{} // the Pod's own condition says so while it is true
	case what == needPodEvents:
		return refusal{v1alpha1.ReasonConfiguration, truncate(w.reason+": "+w.message, maxMessage)}
	}
	cause := explain(w.message)
	if cause.reason == v1alpha1.ReasonQuotaExceeded {
		cause.message = truncate(quota.Message(w.message), maxMessage)
	}
	return cause
}

// readKilling looks for the kubelet's Event of having stopped the last Pod's spider, and remembers it.
func (r *Reconciler) readKilling(ctx context.Context, o *observation, mem *jobMemory) error {
	found := stopTrace{of: killingOf(o), found: evidenceGone}
	now := r.clock.Now()
	if now.Sub(lastSign(o)) < killingLife || o.lastPod != nil && o.lastPod.runs() {
		found.found = evidenceNone
	}
	answer, err := r.warnings.Killing(ctx, client.ObjectKeyFromObject(o.sj), lastPodUID(o))
	switch {
	case err != nil:
		return err
	case !answer.askAt.IsZero():
		found.found, found.askAt = evidenceUnknown, answer.askAt
	case answer.killing:
		found.found = evidenceOfStop
	}
	mem.killing, o.killing = found, found
	return nil
}

// lastSign returns when the last Pod is known to have existed.
func lastSign(o *observation) time.Time {
	sign := o.exitSeen
	if o.job != nil {
		sign = latest(sign, latest(o.job.completed, o.job.created))
	}
	return sign
}

// lastPodUID returns the UID of the last Pod if it is known, and "" otherwise.
func lastPodUID(o *observation) types.UID {
	switch {
	case o.lastPod != nil && (o.job == nil || o.lastPod.controlledBy(o.job)):
		return o.lastPod.uid
	case o.job != nil && o.sj.Status.JobUID == string(o.job.uid):
		return types.UID(o.sj.Status.PodUID)
	}
	return ""
}

// killingOf identifies the end for which evidence is sought.
func killingOf(o *observation) types.UID {
	uid := lastPodUID(o)
	if uid == "" && o.job != nil {
		return o.job.uid
	}
	return uid
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// recordedQuota returns the message of a status about a quota, empty for any other.
func recordedQuota(st *v1alpha1.SpiderJobStatus) string {
	if st.Reason == v1alpha1.ReasonQuotaExceeded {
		return st.Message
	}
	return ""
}
