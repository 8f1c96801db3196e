package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// writeTimeout bounds how long one request may wait for Kubernetes to record something, and ReadTimeout for a read.
const (
	writeTimeout = 10 * time.Second
	ReadTimeout  = 5 * time.Second
)

// Detached returns a context for work that has to be completed once begun, even if the caller has gone.
func Detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
}

// WriteAttempts is how often a write is attempted, and writePause the pause after a failure.
const (
	WriteAttempts = 3
	writePause    = 100 * time.Millisecond
)

// TryAgain reports whether to retry what has failed this often, the last time with err, and pauses before that. Transient
// errors are retried while there is time.
func TryAgain(ctx context.Context, failures int, err error) bool {
	if failures >= WriteAttempts || !IsTransient(err) {
		return false
	}
	timer := time.NewTimer(writePause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// NameTakenError means that an object with the name of a new one exists already.
type NameTakenError struct {
	// MaybeOurs says that an earlier attempt failed in a way in which it may have created the object.
	MaybeOurs bool
}

// Error implements error.
func (e *NameTakenError) Error() string { return "an object of this name exists" }

// Record calls create, which creates a new object, until Kubernetes has answered: after a failure that may have happened after
// the object was recorded it calls it again. So no object is created twice, and none without the caller's knowledge. Errors are
// a NameTakenError, or a failure.
func Record[T any](ctx context.Context, what string, create func(context.Context) (T, error)) (T, error) {
	var none T
	for failures := 0; ; {
		created, err := create(ctx)
		switch {
		case err == nil:
			return created, nil
		case apierrors.IsAlreadyExists(err):
			return none, &NameTakenError{MaybeOurs: failures > 0}
		case !IsTransient(err):
			return none, Refusal(err, what)
		}
		if failures++; !TryAgain(ctx, failures, err) {
			return none, failure.Unavailable(err, "Kubernetes cannot be reached, so the "+what+" could not be recorded.")
		}
	}
}
