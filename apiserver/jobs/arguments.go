package jobs

import (
	"context"

	"golang.org/x/sync/singleflight"

	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// reads lets all callers that ask for the same job's arguments at the same time share one read.
type reads struct{ singleflight.Group }

// Arguments returns the arguments of a job that the view leaves out, as a JSON object of strings, from Kubernetes. ok is false
// if they cannot be read now, or the job is gone.
func (s *Jobs) Arguments(ctx context.Context, job *view.Job) (arguments string, ok bool) {
	read := s.reads.DoChan(job.Namespace+"/"+job.Name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), kube.ReadTimeout)
		defer cancel()
		object, err := s.kubernetes.Get(ctx, job.Namespace, job.Name)
		if err != nil {
			return nil, err
		}
		arguments, err := view.ArgumentsOf(object)
		if err != nil {
			return nil, err
		}
		return ofObject{arguments, object.Spec.UserID, object.CreationTimestamp.Unix()}, nil
	})
	select {
	case result := <-read:
		of, read := result.Val.(ofObject)
		if !read || of.userID != job.UserID || of.created != job.Created { // Another job has the name now.
			return "", false
		}
		return of.arguments, true
	case <-ctx.Done():
		return "", false
	}
}

// ofObject is what is read of a SpiderJob: its owner, so that nobody sees another's, and its arguments.
type ofObject struct {
	arguments, userID string
	created           int64
}
