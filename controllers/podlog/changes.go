package podlog

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// changes passes names on to a receiver that may be slow, without ever blocking those who add them. A name that is added
// again before it was received is passed on once, and one that is added afterwards once more, so no change goes unseen.
type changes struct {
	events chan event.GenericEvent
	added  chan struct{}

	mu      sync.Mutex
	queue   []types.NamespacedName
	waiting map[types.NamespacedName]struct{}
}

func newChanges() *changes {
	return &changes{
		events:  make(chan event.GenericEvent),
		added:   make(chan struct{}, 1),
		waiting: map[types.NamespacedName]struct{}{},
	}
}

func (c *changes) add(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.waiting[name]; ok {
		return
	}
	c.waiting[name] = struct{}{}
	c.queue = append(c.queue, name)
	select {
	case c.added <- struct{}{}:
	default:
	}
}

// take returns the name that has waited longest.
func (c *changes) take() (types.NamespacedName, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return types.NamespacedName{}, false
	}
	name := c.queue[0]
	c.queue = c.queue[1:]
	delete(c.waiting, name)
	return name, true
}

// run passes names on until ctx ends.
func (c *changes) run(ctx context.Context) {
	for ctx.Err() == nil {
		name, ok := c.take()
		if !ok {
			select {
			case <-c.added:
				continue
			case <-ctx.Done():
				return
			}
		}
		job := &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
		select {
		case c.events <- event.GenericEvent{Object: job}:
		case <-ctx.Done():
			return
		}
	}
}
