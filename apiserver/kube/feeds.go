package kube

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Runner is a Feed of any kind.
type Runner interface {
	Run(ctx context.Context)
	State(now time.Time) State
}

var _ Runner = (*Feed[client.Object, any])(nil)

// Feeds is a set of feeds that are run and judged together.
type Feeds []Runner

// Run runs all feeds until the context ends.
func (f Feeds) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, feed := range f {
		running.Go(func() { feed.Run(ctx) })
	}
	running.Wait()
}

// Synced reports whether every feed has delivered the complete state of its scope at least once.
func (f Feeds) Synced() bool {
	now := time.Now()
	for _, feed := range f {
		if !feed.State(now).Synced {
			return false
		}
	}
	return true
}

// Age returns for how long the feed that is worst off has not heard from Kubernetes.
func (f Feeds) Age() time.Duration {
	now := time.Now()
	var oldest time.Duration
	for _, feed := range f {
		oldest = max(oldest, feed.State(now).Age)
	}
	return oldest
}
