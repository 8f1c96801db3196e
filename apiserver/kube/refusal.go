package kube

import (
	"errors"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// IsTransient reports whether an error of Kubernetes is transient: of the connection, a time-out, overload. Such a write may
// nevertheless have been recorded.
func IsTransient(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
}

// WriteError translates, for the caller, the error of a write of a spider or a schedule that Kubernetes did not record; nil for
// none. What was refused before Kubernetes was asked stays as it is.
func WriteError(err error, what string) error {
	_, answered := errors.AsType[*failure.Error](err)
	switch {
	case err == nil, answered:
		return err
	case apierrors.IsNotFound(err):
		return failure.NotFound("This " + what)
	case IsTransient(err):
		return failure.Unavailable(err, "Kubernetes cannot be reached, so the "+what+" may not have been written.")
	default:
		return Refusal(err, what)
	}
}

// Refusal translates Kubernetes' refusal of a job, a spider or a schedule for the caller.
func Refusal(err error, what string) *failure.Error {
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return failure.Denied(err, "namespace_terminating", "The namespace is being deleted.")
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return failure.Denied(err, "quota_exceeded", "The namespace's quota does not allow another "+what+".")
	case apierrors.IsForbidden(err):
		return failure.Denied(err, "forbidden",
			"The cluster does not allow this "+what+". Its administrators find the reason in the server's log, under this request id.")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		message, field := causesOf(err, what)
		return &failure.Error{Kind: failure.KindInvalid, Code: "invalid_request", Message: message, Field: field, Cause: err}
	case apierrors.IsRequestEntityTooLargeError(err):
		return failure.TooLarge(err, "body_too_large", "The "+what+" is too large.")
	default:
		return failure.Internal(err)
	}
}

// causesOf names the fields that Kubernetes found wrong, as in "spec.arguments: too long", and, if there is only one, its name
// in the contract.
func causesOf(err error, what string) (message, field string) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return "Kubernetes does not accept this " + what + ".", ""
	}
	causes := status.Status().Details.Causes
	texts := make([]string, 0, len(causes))
	for _, cause := range causes {
		texts = append(texts, cause.Field+": "+cause.Message)
	}
	if len(causes) == 1 {
		field = failure.FieldName(strings.TrimPrefix(causes[0].Field, "spec."))
	}
	return strings.Join(texts, "; "), field
}
