package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Find returns the caller's job of this id. What the view does not know is asked of Kubernetes once: another replica may have
// made it a moment ago.
func (s *Jobs) Find(ctx context.Context, caller auth.Identity, text string) (*view.Job, error) {
	id, ok := v1alpha1.ParseID(text)
	if !ok {
		return nil, failure.NotFound("This job")
	}
	job := s.view.Get(caller.Namespace, id)
	if job == nil {
		var err error
		if job, err = s.lookUp(ctx, caller.Namespace, id); err != nil {
			return nil, err
		}
	}
	if job == nil || job.UserID != caller.UserID {
		return nil, failure.NotFound("This job")
	}
	return job, nil
}

// lookUp asks Kubernetes for the job that is named by its id, and returns nil when there is none. Ids of version 5 belong to
// objects of other names, which only the view finds.
func (s *Jobs) lookUp(ctx context.Context, namespace string, id uuid.UUID) (*view.Job, error) {
	if id.Version() == 5 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, kube.ReadTimeout)
	defer cancel()
	object, err := s.kubernetes.Get(ctx, namespace, id.String())
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, and this server has not seen the job.")
	}
	return s.view.Put(object)
}

// Wait returns the job once nothing of it runs any more, the time is up or the context ends. It is not found when it was deleted
// meanwhile, even where another of its name was made.
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
