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

// firstRefusal is how soon a Job that was refused is tried again; then after about as long as it has been refused already, and
// once a minute at the least.
const firstRefusal = 2 * time.Second

// refusedJob is for a Job that kube-apiserver did not take. Only a Job that is wrong in itself is an error of the SpiderJob:
// whatever else refuses it may be mended, and then the Job is made.
func (d decision) refusedJob(o *observation, now time.Time) decision {
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
	return d
}

// due is when the creation is to be tried again: what was only slow, at once.
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

// explainRefusal is why a Job was not taken, in the words of who refused it.
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

// isRefusal reports whether kube-apiserver answered that it does not take the Job as it is, or not now: the SpiderJob has to say why.
// What got no answer is tried again like any failed call. Nothing is created in a namespace that is going.
func isRefusal(err error) bool {
	_, answered := errors.AsType[*apierrors.StatusError](err)
	return (answered || errors.Is(err, errSlowCreation)) && !apierrors.IsAlreadyExists(err) &&
		!apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// unwrapStatus is kube-apiserver's own answer within err, which is what people should read.
func unwrapStatus(err error) error {
	if errors.Is(err, errSlowCreation) {
		return errSlowCreation
	}
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return status
	}
	return err
}

// slowCreation is how long kube-apiserver may take to answer to the first try of a creation. A webhook may take up to 30 seconds, and
// what it lets through then is a Job like any other.
const slowCreation = 3 * time.Second

// errSlowCreation says that kube-apiserver has not answered within slowCreation.
var errSlowCreation = fmt.Errorf(
	"kube-apiserver has not answered for %s to its creation: an admission webhook may be slow, or hang", slowCreation)
