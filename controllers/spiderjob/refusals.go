package spiderjob

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/quota"
)

// firstRefusal is how soon a refused Job is retried; then after about as long as it has been refused already, and at least once
// a minute.
const firstRefusal = 2 * time.Second

// refusedJob handles a Job that kube-apiserver refused. Only a Job that is itself invalid is an error of the SpiderJob: any
// other cause may be repaired, and then the Job is created.
func (d *decision) refusedJob(o *observation, now time.Time) decision {
	r := o.refused
	if wrongInItself(r.err) {
		return d.invalid(o, r.err, now)
	}
	cause := explainRefusal(r.err)
	d.pending(cause.reason, cause.message)
	if cause.reason == v1alpha1.ReasonQuotaExceeded {
		d.room = roomRefused
	}
	d.after, d.class = sooner(d.after, r.due().Sub(now)), queue.CreateAgain
	return *d
}

// due returns when to retry the creation: at once if it was only slow.
func (r *refusedCreation) due() time.Time {
	if errors.Is(r.err, errSlowCreation) {
		return r.at.Add(time.Millisecond)
	}
	return r.at.Add(min(max(r.at.Sub(r.since), firstRefusal), maxBackOff))
}

// wrongInItself reports whether kube-apiserver's own validation refuses the object: each of its causes names a field. A policy
// answers 422, too, but names none, or says that it denies; and a webhook may answer anything.
func wrongInItself(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) {
		return false
	}
	details := status.Status().Details
	if details == nil || len(details.Causes) == 0 || explain(err.Error()).reason == v1alpha1.ReasonPodForbidden {
		return false
	}
	for _, cause := range details.Causes {
		if cause.Field == "" {
			return false
		}
	}
	return true
}

// explainRefusal returns why a Job was refused, in the words of what refused it.
func explainRefusal(err error) refusal {
	cause := explain(err.Error())
	switch cause.reason {
	case v1alpha1.ReasonQuotaExceeded:
		cause.message = truncate(quota.Message(err.Error()), maxMessage)
		return cause
	case v1alpha1.ReasonPodNotCreated:
	default:
		return cause
	}
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		cause.reason = v1alpha1.ReasonPodForbidden
	}
	cause.message = truncate("its Job could not be created: "+cause.message, maxMessage)
	return cause
}

// isRefusal reports whether kube-apiserver answered that it does not accept the Job as it is, or not now: the SpiderJob has to
// say why. A call without an answer is retried like any failed call. Nothing is created in a namespace that is being deleted.
func isRefusal(err error) bool {
	_, answered := errors.AsType[*apierrors.StatusError](err)
	return (answered || errors.Is(err, errSlowCreation)) && !apierrors.IsAlreadyExists(err) &&
		!apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// unwrapStatus returns kube-apiserver's own answer within err, which is what users should read.
func unwrapStatus(err error) error {
	if errors.Is(err, errSlowCreation) {
		return errSlowCreation
	}
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return status
	}
	return err
}

// slowCreation is how long kube-apiserver may take to answer the first try of a creation. A webhook may take up to 30 seconds,
// and what it then admits is a Job like any other.
const slowCreation = 3 * time.Second

// errSlowCreation means that kube-apiserver has not answered within slowCreation.
var errSlowCreation = fmt.Errorf(
	"kube-apiserver has not answered for %s to its creation: an admission webhook may be slow, or hang", slowCreation)
