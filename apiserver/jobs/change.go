package jobs

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Change is a change of a job. Nil fields were not given.
type Change struct {
	// Tags are all tags of the job from then on. Like the note they can be changed whether or not the job has ended.
	Tags *[]string
	// Note is empty if it is to be removed.
	Note *string
	// Priority can be changed until the job has a Job.
	Priority *int32
}

func (c *Change) check() error {
	if c.Tags != nil {
		if err := allowed.Tags(*c.Tags); err != nil {
			return refusedRun(err)
		}
	}
	if c.Note != nil {
		return refusedRun(allowed.Note(*c.Note))
	}
	return nil
}

// patch returns the change as a JSON merge patch of the SpiderJob; empty if there is nothing to change.
func (c *Change) patch(job *v1alpha1.SpiderJob) map[string]any {
	metadata := map[string]any{}
	if labels := c.labels(job); len(labels) > 0 {
		metadata["labels"] = labels
	}
	if note := job.Annotations[v1alpha1.AnnotationNote]; c.Note != nil && *c.Note != note {
		metadata["annotations"] = map[string]any{v1alpha1.AnnotationNote: *c.Note}
		if *c.Note == "" {
			metadata["annotations"] = map[string]any{v1alpha1.AnnotationNote: nil}
		}
	}
	patch := map[string]any{}
	if len(metadata) > 0 {
		patch["metadata"] = metadata
	}
	if c.changesPriority(job) {
		patch["spec"] = map[string]any{"priority": *c.Priority}
	}
	return patch
}

func (c *Change) changesPriority(job *v1alpha1.SpiderJob) bool {
	return c.Priority != nil && *c.Priority != job.Spec.Priority
}

// checkPriority returns what is wrong with a change of a job's priority.
func (s *Jobs) checkPriority(job *v1alpha1.SpiderJob, change *Change) error {
	switch {
	case !change.changesPriority(job):
		return nil
	case !queued(job):
		return failure.Conflict("not_queued", "The job no longer waits for its start, so its priority cannot be changed.")
	default:
		return s.CheckPriority(job.Namespace, job.Spec.Priority, *change.Priority)
	}
}

// labels returns the labels to set and, nil, those to remove. The job may have more tags than the view shows.
func (c *Change) labels(job *v1alpha1.SpiderJob) map[string]any {
	if c.Tags == nil {
		return nil
	}
	labels, present := map[string]any{}, job.Tags()
	for _, tag := range present {
		if !slices.Contains(*c.Tags, tag) {
			labels[v1alpha1.LabelTagPrefix+tag] = nil
		}
	}
	for _, tag := range *c.Tags {
		if !slices.Contains(present, tag) {
			labels[v1alpha1.LabelTagPrefix+tag] = ""
		}
	}
	return labels
}

// changeAttempts bounds how often a change that meets a newer state of the job is retried with that state.
const changeAttempts = 8

// Change records a change of the caller's job if the condition holds, and returns the resulting job. It starts from what
// Kubernetes has, so that tags that are not in the view are replaced as well.
func (s *Jobs) Change(
	ctx context.Context, caller auth.Identity, id string, change *Change, condition Condition,
) (*view.Job, error) {
	if err := change.check(); err != nil {
		return nil, err
	}
	ctx, stop := kube.Detached(ctx)
	defer stop()
	job, err := s.Find(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	exchange.Of(ctx).Object = job.Namespace + "/" + job.Name
	var failed error
	failures := 0
	recorded := false // whether a failed attempt may have been recorded
	for range changeAttempts {
		object, err := s.kubernetes.Get(ctx, job.Namespace, job.Name)
		if err == nil {
			if object.Spec.UserID != caller.UserID { // Deleted, and recreated under its name by another user.
				return nil, failure.NotFound("This job")
			}
			current, err := s.took(object)
			if err != nil {
				return nil, err
			}
			patch := change.patch(object)
			switch holds := condition == nil || condition(current); {
			case len(patch) == 0 && (holds || recorded):
				return s.asShown(current), nil
			case !holds:
				return nil, failure.PreconditionFailed("This job")
			}
			if err := s.checkPriority(object, change); err != nil {
				return nil, err
			}
			object, err = s.kubernetes.Patch(ctx, object.Namespace, object.Name, object.ResourceVersion, patch)
			switch {
			case err == nil:
				return s.view.Written(object)
			case apierrors.IsConflict(err):
				continue
			}
			failed, recorded = err, true
		} else {
			failed = err
		}
		if failures++; !kube.TryAgain(ctx, failures, failed) {
			return nil, changeFailure(failed)
		}
	}
	return nil, failure.Conflict("changing", "The job kept being changed by others. Try again.")
}

// changeFailure is the answer to a change that could not be recorded.
func changeFailure(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return failure.NotFound("This job")
	case kube.IsTransient(err):
		return failure.Unavailable(err, "Kubernetes cannot be reached, so the job may not have been changed.")
	default:
		return kube.Refusal(err, "job")
	}
}
