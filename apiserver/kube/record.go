package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// WriteTimeout bounds how long one request may wait for Kubernetes to record something, and ReadTimeout for a read.
const (
	WriteTimeout = 10 * time.Second
	ReadTimeout  = 5 * time.Second
)

// SeenToItsEnd returns a context for what is not given up once it was begun, though the caller may have gone.
func SeenToItsEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), WriteTimeout)
}

// WriteAttempts is how often a write that fails is tried, and writePause how long after a failure the next attempt begins.
const (
	WriteAttempts = 3
	writePause    = 100 * time.Millisecond
)

// TryAgain reports whether to try again what has failed so often, this time with err, and waits a little before that. What time may
// heal is tried again, as long as there is time.
func TryAgain(ctx context.Context, failures int, err error) bool {
	if failures >= WriteAttempts || !MayPass(err) {
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

// NameTakenError says that an object of the name of a new one exists already.
type NameTakenError struct {
	// PerhapsByUs says that an attempt before failed in a way in which it may have made the object.
	PerhapsByUs bool
}

// Error implements error.
func (e *NameTakenError) Error() string { return "an object of this name exists" }

// Record calls create, which records a new object, until Kubernetes has answered it: with a failure that may have happened
// after the object was recorded it is called again. So no object is made twice, and none is made that the caller is not told
// of. Errors are a NameTakenError, or a failure.
func Record[T any](ctx context.Context, what string, create func(context.Context) (T, error)) (T, error) {
	var none T
	for failures := 0; ; {
		created, err := create(ctx)
		switch {
		case err == nil:
			return created, nil
		case apierrors.IsAlreadyExists(err):
			return none, &NameTakenError{PerhapsByUs: failures > 0}
		case !MayPass(err):
			return none, Refusal(err, what)
		}
		if failures++; !TryAgain(ctx, failures, err) {
			return none, failure.Unavailable(err, "Kubernetes cannot be reached, so the "+what+" could not be recorded.")
		}
	}
}
