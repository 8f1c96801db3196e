package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Find returns the caller's job with this id. If the view has no such job of the caller, it asks Kubernetes: another replica
// may have made it a moment ago. Another user's job is looked up like one that does not exist, since an id can be derived from
// another's Idempotency-Key: the time that an answer takes must not reveal whether it exists.
func (s *Jobs) Find(ctx context.Context, caller auth.Identity, text string) (*view.Job, error) {
	id, ok := v1alpha1.ParseID(text)
	if !ok {
		return nil, failure.NotFound("This job")
	}
	if job := s.view.Get(caller.Namespace, id); job != nil && job.UserID == caller.UserID {
		return job, nil
	}
	job, err := s.lookUp(ctx, caller.Namespace, id)
	if err != nil {
		return nil, err
	}
	if job == nil || job.UserID != caller.UserID {
		return nil, failure.NotFound("This job")
	}
	return job, nil
}

// lookUp asks Kubernetes for the job that is named by its id, and returns what the view then shows; nil if there is none. Ids
// of version 5 belong to objects with other names, which only the watch finds.
func (s *Jobs) lookUp(ctx context.Context, namespace string, id uuid.UUID) (*view.Job, error) {
	if id.Version() == 5 {
		return nil, nil
	}
	err := s.lookups.Do(ctx, namespace, id.String(), func(ctx context.Context) error {
		object, err := s.kubernetes.Get(ctx, namespace, id.String())
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = s.view.Put(object)
		return err
	})
	if err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, and this server has not seen the job.")
	}
	return s.view.Get(namespace, id), nil
}

// Wait returns the job once nothing of it runs any more, the time is over or the context ends. It is not found if it was
// deleted meanwhile, even if another with its name was created.
func (s *Jobs) Wait(ctx context.Context, job *view.Job, wait time.Duration) (*view.Job, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		current, changed, stop := s.view.Watch(job.Namespace, job.ID)
		if current == nil || current.UserID != job.UserID {
			stop()
			return nil, failure.NotFound("This job")
		}
		if current.Finished != 0 {
			stop()
			return current, nil
		}
		select {
		case <-changed:
			stop()
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		stop()
		return current, nil
	}
}
