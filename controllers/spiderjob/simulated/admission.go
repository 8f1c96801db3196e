package simulated

import (
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Answer is how admission troubles a request.
type Answer int

// The answers.
const (
	Slow    Answer = iota // it takes two seconds, and is let through
	Hangs                 // the webhook's ten seconds pass, then 500
	Fails                 // 500 at once: the webhook is down
	TooMany               // 429
	TooBig                // 413
	Denied400
	Denied403
	Denied422   // as a ValidatingAdmissionPolicy does: no cause names a field
	DeniedField // as kube-apiserver's own validation does: each cause names a field
	answers     = iota
)

// Answers is how many there are.
const Answers = int(answers)

// String says what happens.
func (a Answer) String() string {
	return [...]string{
		"is slow", "hangs", "is down", "says 429", "says 413", "denies with 400", "denies with 403", "denies with 422",
		"calls a field invalid",
	}[a]
}

// Admission is something that stands between a request and what it wants to write.
type Admission struct {
	// Verb is create, delete or update, and Kind what of; Status says that the status subresource is meant.
	Verb   string
	Kind   Kind
	Status bool
	// Namespace is the one that is troubled, empty for all.
	Namespace string
	Answer    Answer
}

// Trouble is how long admission takes over a request, and what it answers then.
func (c *Cluster) Trouble(verb string, kind Kind, status bool, namespace, name string) (time.Duration, error) {
	for _, a := range c.Admission {
		if a.Verb == verb && a.Kind == kind && a.Status == status && (a.Namespace == "" || a.Namespace == namespace) {
			return a.Answer.to(kind, name)
		}
	}
	return 0, nil
}

func (a Answer) to(kind Kind, name string) (time.Duration, error) {
	resource := resourceOf(kind)
	switch a {
	case Slow:
		return 2 * time.Second, nil
	case Hangs:
		return 10 * time.Second, apierrors.NewInternalError(fmt.Errorf(callFailed, "context deadline exceeded"))
	case Fails:
		return 0, apierrors.NewInternalError(fmt.Errorf(callFailed, `service "check" not found`))
	case TooMany:
		return 0, apierrors.NewTooManyRequests("too many requests, please try again later", 1)
	case TooBig:
		return 0, apierrors.NewRequestEntityTooLargeError("limit is 3145728")
	case Denied400:
		return 0, denial(http.StatusBadRequest, metav1.StatusReasonBadRequest)
	case Denied403:
		return 0, apierrors.NewForbidden(resource, name, fmt.Errorf("a policy says no"))
	case Denied422:
		err := denial(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
		err.ErrStatus.Message = fmt.Sprintf(
			`%s %q is forbidden: ValidatingAdmissionPolicy 'no' with binding 'no' denied request: failed expression: false`, resource,
			name,
		)
		err.ErrStatus.Details = &metav1.StatusDetails{Name: name, Group: resource.Group, Kind: resource.Resource,
			Causes: []metav1.StatusCause{{Message: err.ErrStatus.Message}}}
		return 0, err
	case DeniedField:
		err := denial(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
		err.ErrStatus.Message = fmt.Sprintf(`%s %q is invalid: spec.template.spec.containers[0].image: Required value`, kind, name)
		err.ErrStatus.Details = &metav1.StatusDetails{
			Name:  name,
			Group: resource.Group,
			Kind:  kind.String(),
			Causes: []metav1.StatusCause{{
				Type: metav1.CauseTypeFieldValueRequired, Field: "spec.template.spec.containers[0].image", Message: "Required value",
			}},
		}
		return 0, err
	}
	return 0, nil
}

func denial(code int32, reason metav1.StatusReason) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: `admission webhook "check.example" denied the request: no`,
	}}
}

// quota is kube-apiserver's refusal of another Pod where the namespace's ResourceQuota is used up.
func (c *Cluster) quota(namespace, name string) error {
	most, limited := c.Quotas[namespace]
	if !limited {
		return nil
	}
	used := 0
	for _, obj := range c.objects[Pods] {
		if obj.GetNamespace() == namespace && !podEnded(obj.(*corev1.Pod)) { //nolint:forcetypeassert // A kind holds one type.
			used++
		}
	}
	if used < most {
		return nil
	}
	return apierrors.NewForbidden(resourceOf(Pods), name,
		fmt.Errorf("exceeded quota: pods, requested: pods=1, used: pods=%d, limited: pods=%d", used, most))
}

// callFailed is what kube-apiserver says of a webhook that it cannot call.
const callFailed = `failed calling webhook "check.example": failed to call webhook: ` +
	`Post "https://check.demo.svc:443/?timeout=10s": %s`
