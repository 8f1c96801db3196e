package view

import (
	"github.com/google/uuid"
)

type waiterKey struct {
	namespace string
	id        uuid.UUID
}

// waiters are the goroutines that wait for a job to change. They share one channel per job, so a waiter costs no more than its
// goroutine.
type waiters map[waiterKey]*waiter

type waiter struct {
	changed chan struct{}
	count   int
}

func (w waiters) wake(namespace string, id uuid.UUID) {
	if len(w) == 0 {
		return
	}
	key := waiterKey{namespace, id}
	if waiting := w[key]; waiting != nil {
		close(waiting.changed)
		delete(w, key)
	}
}

// Watch returns the current job, nil if there is none, and a channel that is closed when it changes or goes. The caller calls
// stop when it no longer waits.
func (v *Jobs) Watch(namespace string, id uuid.UUID) (job *Job, changed <-chan struct{}, stop func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := waiterKey{namespace, id}
	waiting := v.waiters[key]
	if waiting == nil {
		waiting = &waiter{changed: make(chan struct{})}
		v.waiters[key] = waiting
	}
	waiting.count++
	return v.byID(namespace, id), waiting.changed, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		waiting.count--
		if waiting.count == 0 && v.waiters[key] == waiting {
			delete(v.waiters, key)
		}
	}
}
