package harness

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// broadcast notifies any number of waiters of a change. Its zero value is ready.
type broadcast struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that is closed at the next change.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

// handler passes what the watches report to the waiters and to the invariants.
func (c *Cluster) handler() toolscache.ResourceEventHandler {
	see := func(object any) {
		switch o := object.(type) {
		case *v1alpha1.SpiderJob:
			c.invariants.seeJob(o)
		case *corev1.Pod:
			c.invariants.seePod(o)
		}
		c.changes.tell()
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    see,
		UpdateFunc: func(_, object any) { see(object) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			if pod, ok := object.(*corev1.Pod); ok {
				c.invariants.podGone(pod)
			}
			c.changes.tell()
		},
	}
}

// lookAgain is how often a condition is checked even if no change was seen.
const lookAgain = 250 * time.Millisecond

// Eventually waits until check returns nil; the test fails with check's last error if that takes too long. It calls check
// whenever anything changes in the cluster, and a few times a second in any case.
func (c *Cluster) Eventually(t testing.TB, within time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		changed := c.changes.wait()
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %s it is not true that %s: %v", within, what, err)
		}
	}
}
