package kube

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// runner is a Feed of any kind.
type runner interface {
	Run(ctx context.Context)
	// Watches returns the namespace that the feed watches; empty for all of them.
	Watches() string
	State(now time.Time) State
}

var _ runner = (*Feed[client.Object, any])(nil)

// Feeds is a set of feeds that run together and have one state.
type Feeds []runner

// Run runs all feeds until the context ends.
func (f Feeds) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, feed := range f {
		running.Go(func() { feed.Run(ctx) })
	}
	running.Wait()
}

// Scopes returns the state of the views of each scope: of each watched namespace, or of all of them, which is "".
func (f Feeds) Scopes() map[string]State {
	now := time.Now()
	scopes := map[string]State{}
	for _, feed := range f {
		scope, state := feed.Watches(), feed.State(now)
		if others, found := scopes[scope]; found {
			state = others.and(state)
		}
		scopes[scope] = state
	}
	return scopes
}

// Of returns the state of the views that show a namespace.
func (f Feeds) Of(namespace string) State {
	now := time.Now()
	all, found := State{}, false
	for _, feed := range f {
		if scope := feed.Watches(); scope != "" && scope != namespace {
			continue
		}
		state := feed.State(now)
		if found {
			state = all.and(state)
		}
		all, found = state, true
	}
	return all
}

// and combines the states of two views.
func (s State) and(other State) State {
	return State{
		Synced: s.Synced && other.Synced, Refused: s.Refused || other.Refused, Age: max(s.Age, other.Age),
	}
}
