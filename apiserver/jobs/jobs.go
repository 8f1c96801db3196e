// Package jobs has the use cases of jobs: starting, finding, listing, waiting for, changing and cancelling them, reading their
// logs and following their changes. It knows nothing of HTTP and of the contract, so any transport can use it.
package jobs

import (
	"context"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Kubernetes reads and writes single SpiderJobs, live. Its errors are, or wrap, those of
// k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Kubernetes interface {
	Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderJob, error)
	Create(ctx context.Context, job *v1alpha1.SpiderJob) (*v1alpha1.SpiderJob, error)
	// Cancel records a cancellation on the SpiderJob in exactly the state of the given resource version. Empty fields of the
	// given cancellation stay unchanged.
	Cancel(
		ctx context.Context, namespace, name, resourceVersion string, cancellation v1alpha1.Cancellation,
	) (*v1alpha1.SpiderJob, error)
	// Patch merges a JSON merge patch into the SpiderJob in exactly the state of the given resource version.
	Patch(ctx context.Context, namespace, name, resourceVersion string, patch map[string]any) (*v1alpha1.SpiderJob, error)
}

// Spiders finds the spiders that the caller may run.
type Spiders interface {
	// Find returns the spider of this id.
	Find(ctx context.Context, caller auth.Identity, id string) (*view.Spider, error)
	// Named returns the spiders of this name.
	Named(ctx context.Context, caller auth.Identity, name string) ([]*view.Spider, error)
}

// Config is what Jobs are made of.
type Config struct {
	View       *view.Jobs
	Kubernetes Kubernetes
	Pods       Pods
	Spiders    Spiders
	// Quotas say how many jobs of each namespace may wait, and how high their priority may be.
	Quotas *view.Quotas
	// Groups returns the group of a Spider; empty for none.
	Groups func(namespace, spider string) string
	// Caps bound the jobs of each namespace. The zero value bounds nothing.
	Caps view.Caps
	Now  func() time.Time
}

// Jobs are the use cases. They are safe for concurrent use.
type Jobs struct {
	view       *view.Jobs
	kubernetes Kubernetes
	pods       Pods
	spiders    Spiders
	quotas     *view.Quotas
	groups     func(namespace, spider string) string
	positions  positions
	caps       view.Caps
	now        func() time.Time
	reads      reads
	lookups    *kube.Lookups
}

// New makes the use cases of the jobs in a view and in Kubernetes.
func New(config Config) *Jobs {
	return &Jobs{
		view: config.View, kubernetes: config.Kubernetes, pods: config.Pods, spiders: config.Spiders,
		quotas: config.Quotas, groups: config.Groups, caps: config.Caps, now: config.Now,
		positions: positions{namespaces: map[string]*namespacePositions{}}, lookups: kube.NewLookups(),
	}
}

// Summary counts the caller's jobs.
func (s *Jobs) Summary(caller auth.Identity) view.Summary {
	return s.view.Summary(caller.Namespace, caller.UserID)
}

// List returns the caller's jobs that match the query, newest first, and where the next page begins: nil on the last one.
func (s *Jobs) List(caller auth.Identity, query view.Query) (found []*view.Job, next *view.Position) {
	query.Namespace, query.UserID = caller.Namespace, caller.UserID
	return s.view.List(query)
}
