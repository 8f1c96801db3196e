package jobs

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Rerun starts the spider of one of the caller's jobs again, as that job was started: with its arguments, settings, limits and
// expectations, with its priority as far as that is allowed, and with the tags that it has now. What the Spider does not
// allow any more is refused. With once it makes one job however often it is called, even if the first job is gone meanwhile.
func (s *Jobs) Rerun(ctx context.Context, caller auth.Identity, id string, once *Once) (*view.Job, error) {
	if err := once.check(); err != nil {
		return nil, err
	}
	return s.start(ctx, caller, once, func(ctx context.Context) (*view.Spider, *Request, error) {
		object, err := s.object(ctx, caller, id)
		if err != nil {
			return nil, nil, err
		}
		request := &Request{
			SpiderID:             object.SpiderID(),
			Arguments:            object.Spec.Arguments,
			Settings:             object.Spec.Settings,
			TimeoutSeconds:       object.Spec.TimeoutSeconds,
			StartDeadlineSeconds: object.Spec.StartDeadlineSeconds,
			Retries:              object.Spec.Retries,
			Priority:             min(object.Spec.Priority, s.quotas.Of(caller.Namespace).MaxPriority),
			MaxWaitSeconds:       object.Spec.MaxWaitSeconds,
			Expectations:         object.Spec.Expectations,
			Tags:                 view.TagsOf(object.Tags()...).Slice(),
		}
		if err := request.Check(); err != nil { // kubectl can make a job of which the controller then refuses the arguments.
			return nil, nil, err
		}
		spider, err := s.spiders.Find(ctx, caller, request.SpiderID)
		return spider, request, err
	}, v1alpha1.OriginRerun)
}

// object reads one of the caller's SpiderJobs from Kubernetes: the view has neither its settings nor long arguments.
func (s *Jobs) object(ctx context.Context, caller auth.Identity, id string) (*v1alpha1.SpiderJob, error) {
	job, err := s.Find(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, kube.ReadTimeout)
	defer cancel()
	object, err := s.kubernetes.Get(ctx, job.Namespace, job.Name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, failure.NotFound("This job")
	case err != nil:
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so it is not known how the job was started.")
	case object.Spec.UserID != caller.UserID: // Deleted, and recreated under its name by another user.
		return nil, failure.NotFound("This job")
	}
	return object, nil
}
