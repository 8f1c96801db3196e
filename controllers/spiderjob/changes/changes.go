// Package changes passes the names of SpiderJobs that have to be reconciled to the work queue.
package changes

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Queue passes names on to a receiver that may be slow, without ever blocking the senders. A name that is added again before it
// was received is passed on once, and one that is added afterwards once more, so no change goes unseen.
type Queue struct {
	events chan event.GenericEvent
	added  chan struct{}

	mu      sync.Mutex
	queue   []types.NamespacedName
	waiting map[types.NamespacedName]struct{}
}

// New returns an empty Queue. It passes nothing on until it runs.
func New() *Queue {
	return &Queue{
		events:  make(chan event.GenericEvent),
		added:   make(chan struct{}, 1),
		waiting: map[types.NamespacedName]struct{}{},
	}
}

// Add appends a name, unless it already waits. It never blocks.
func (q *Queue) Add(name types.NamespacedName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.waiting[name]; ok {
		return
	}
	q.waiting[name] = struct{}{}
	q.queue = append(q.queue, name)
	select {
	case q.added <- struct{}{}:
	default:
	}
}

// take returns the name that has waited longest.
func (q *Queue) take() (types.NamespacedName, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return types.NamespacedName{}, false
	}
	name := q.queue[0]
	q.queue = q.queue[1:]
	delete(q.waiting, name)
	return name, true
}

// Events returns the channel of the names, each as a SpiderJob with nothing but the name.
func (q *Queue) Events() <-chan event.GenericEvent { return q.events }

// Run passes names on until ctx ends.
func (q *Queue) Run(ctx context.Context) {
	for ctx.Err() == nil {
		name, ok := q.take()
		if !ok {
			select {
			case <-q.added:
				continue
			case <-ctx.Done():
				return
			}
		}
		job := &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}}
		select {
		case q.events <- event.GenericEvent{Object: job}:
		case <-ctx.Done():
			return
		}
	}
}
