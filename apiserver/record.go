package apiserver

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// recordAttempts is how often a write is tried, and recordPause how long after a failure the next attempt begins.
const (
	recordAttempts = 3
	recordPause    = 100 * time.Millisecond
)

// nameTakenError says that an object of the name of a new one exists already.
type nameTakenError struct {
	// perhapsByUs says that an attempt before failed in a way in which it may have made the object.
	perhapsByUs bool
}

func (e *nameTakenError) Error() string { return "an object of this name exists" }

// record calls create, which records a new object, until Kubernetes has answered it: with a failure that may have happened
// after the object was recorded it is called again. So no object is made twice, and none is made that the caller is not told
// of. Errors are a nameTakenError, or a failure.
func record[T any](ctx context.Context, what string, create func(context.Context) (T, error)) (T, error) {
	var none T
	var last error
	for attempt := range recordAttempts {
		if attempt > 0 && !pause(ctx, recordPause) {
			break
		}
		created, err := create(ctx)
		switch {
		case err == nil:
			return created, nil
		case apierrors.IsAlreadyExists(err):
			return none, &nameTakenError{perhapsByUs: last != nil}
		case !mayPass(err):
			return none, refusal(err, what)
		}
		last = err
	}
	return none, failure.Unavailable(last, "Kubernetes cannot be reached, so the "+what+" could not be recorded.")
}
