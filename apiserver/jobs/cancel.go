package jobs

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// cancelAttempts bounds how often a cancellation that meets a newer state of the job is retried with that state.
const cancelAttempts = 8

// Condition reports whether a job still has the state that its caller expects. Nil holds for every job.
type Condition func(*view.Job) bool

// Cancel records a cancellation on a state of the job that has not ended, so that a job that ends at the same moment is either
// cancelled or ended, never both. If the job is cancelled already, it shortens the grace period. It does so only if the
// condition holds, and returns the resulting job.
func (s *Jobs) Cancel(
	ctx context.Context, caller auth.Identity, id string, gracePeriod *int64, condition Condition,
) (*view.Job, error) {
	ctx, stop := kube.Detached(ctx)
	defer stop()
	job, err := s.Find(ctx, caller, id)
	if err != nil {
		return nil, cancelFailure(err)
	}
	exchange.Of(ctx).Object = job.Namespace + "/" + job.Name
	requestedAt := metav1.NewTime(s.now())
	failures := 0
	recorded := false // whether a failed attempt may have been recorded
	live := false     // whether the job was read from Kubernetes, not only from the view
	for range cancelAttempts {
		if job.UserID != caller.UserID { // Deleted, and recreated under its name by another user.
			return nil, failure.NotFound("This job")
		}
		needed, refused := cancelNeeded(job, gracePeriod)
		switch holds := condition == nil || condition(job); {
		case holds && refused != nil:
			return nil, refused
		case refused == nil && needed == nothingToCancel && (holds || recorded):
			return s.asShown(job), nil
		case holds:
			cancellation := v1alpha1.Cancellation{GracePeriodSeconds: gracePeriod}
			if needed == firstCancel { // A shorter grace period keeps who asked first, and when.
				cancellation.RequestedBy, cancellation.RequestedAt = caller.String(), &requestedAt
			}
			object, err := s.kubernetes.Cancel(ctx, job.Namespace, job.Name, job.ResourceVersion, cancellation)
			if err == nil {
				return s.view.Written(object)
			}
			if !apierrors.IsConflict(err) { // Transient errors are retried, as for a start.
				if failures++; !kube.TryAgain(ctx, failures, err) {
					return nil, cancelFailure(err)
				}
				recorded = true
				continue
			}
		case live:
			return nil, failure.PreconditionFailed("This job")
		}
		newer, err := s.reread(ctx, job)
		if err == nil {
			job, live = newer, true
			continue
		}
		if failures++; !kube.TryAgain(ctx, failures, err) {
			return nil, cancelFailure(err)
		}
	}
	return nil, cancelFailure(errors.New("the job kept changing"))
}

// asShown returns a job from Kubernetes as the view shows it: with the names of its spider.
func (s *Jobs) asShown(job *view.Job) *view.Job {
	if known := s.view.Get(job.Namespace, job.ID); known != nil && known.ResourceVersion == job.ResourceVersion {
		return known
	}
	return job
}

// cancelStep is what a cancel has to record on a job.
type cancelStep int

const (
	nothingToCancel cancelStep = iota // The job is already cancelled like this.
	firstCancel                       // The whole cancellation.
	shorterGrace                      // Only the grace period of the existing cancellation.
)

// cancelNeeded returns what a cancel with this grace period, or none, has to record on a job, or why it is refused.
func cancelNeeded(job *view.Job, gracePeriod *int64) (cancelStep, error) {
	switch {
	case job.Status != view.Cancelled && job.Ended:
		return 0, failure.Conflict("job_ended", fmt.Sprintf("The job has ended already: its status is %s.", job.Status))
	case job.Status != view.Cancelled:
		return firstCancel, nil
	case job.Ended, gracePeriod == nil:
		return nothingToCancel, nil
	case job.CancelGrace < 0:
		return shorterGrace, nil
	}
	// 0 means 1, so that neither is shorter than the other.
	switch asked, has := max(*gracePeriod, 1), max(int64(job.CancelGrace), 1); {
	case asked < has:
		return shorterGrace, nil
	case asked > has:
		return 0, failure.Conflict("grace_period_longer", fmt.Sprintf(
			"The job was cancelled with grace_period_seconds %d, which can be lowered but not raised.", job.CancelGrace))
	default:
		return nothingToCancel, nil
	}
}

// reread reads the job from Kubernetes.
func (s *Jobs) reread(ctx context.Context, job *view.Job) (*view.Job, error) {
	object, err := s.kubernetes.Get(ctx, job.Namespace, job.Name)
	if err != nil {
		return nil, err
	}
	return s.took(object)
}

// took puts a job that was read from Kubernetes into the view, and returns it as it was read.
func (s *Jobs) took(object *v1alpha1.SpiderJob) (*view.Job, error) {
	if _, err := s.view.Put(object); err != nil {
		return nil, err
	}
	return view.FromSpiderJob(object)
}

// cancelFailure is the answer to a cancel that could not be recorded. A missing job is not such a failure.
func cancelFailure(err error) *failure.Error {
	if apierrors.IsNotFound(err) {
		return failure.NotFound("This job")
	}
	if failure.Is(err, failure.KindNotFound) {
		return failure.Of(err)
	}
	failed := &failure.Error{Kind: failure.KindInternal, Code: "cancel_failed", Message: "Failed to cancel job", Cause: err}
	if kube.IsTransient(err) {
		failed.RetryAfter = failure.RetryUnavailable
	}
	return failed
}
