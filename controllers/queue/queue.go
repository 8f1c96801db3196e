package queue

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Options are the settings of a Queue.
type Options struct {
	// Workers is the number of workers, at least 1.
	Workers int
	// Clock tells the time; nil for the real one.
	Clock clock.WithTicker
	// Metrics are the metrics to update; nil for none.
	Metrics *Metrics
}

// Queue is a Core for concurrent use: by controller-runtime's workers, and by those that add items.
type Queue struct {
	clock   clock.WithTicker
	metrics *Metrics

	mu   sync.Mutex
	core *Core
	// changed wakes one of the waiters in Get, and all of them at the end.
	changed *sync.Cond
	// minding says that a goroutine wakes the waiters when delayed items are due. It starts with the first waiter, so that a
	// caller that only uses TryGet has neither goroutines nor timers.
	minding bool
	shut    bool

	// planned is when that goroutine will check next; sooner signals that this is too late.
	planned time.Time
	sooner  chan struct{}
	over    chan struct{}
}

var _ priorityqueue.PriorityQueue[reconcile.Request] = (*Queue)(nil)

// New returns an empty queue. ShutDown frees what it holds.
func New(opts Options) *Queue {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	q := &Queue{
		clock:   opts.Clock,
		metrics: opts.Metrics,
		core:    NewCore(opts.Workers),
		sooner:  make(chan struct{}, 1),
		over:    make(chan struct{}),
	}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// AddWithOpts adds items, unless the queue is shut down. Their class is o.Priority.
func (q *Queue) AddWithOpts(o priorityqueue.AddOpts, items ...reconcile.Request) {
	q.add(AddOptions{Class: o.Priority, After: o.After, Failed: o.RateLimited}, items...)
}

// Add adds an item that has changed.
func (q *Queue) Add(item reconcile.Request) { q.add(AddOptions{}, item) }

// AddAfter adds an item to reconcile later.
func (q *Queue) AddAfter(item reconcile.Request, after time.Duration) {
	q.add(AddOptions{After: after}, item)
}

// AddRateLimited adds an item that has failed.
func (q *Queue) AddRateLimited(item reconcile.Request) { q.add(AddOptions{Failed: true}, item) }

func (q *Queue) add(opts AddOptions, items ...reconcile.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return
	}
	now := q.clock.Now()
	for _, item := range items {
		q.core.Add(now, item, opts)
	}
	q.settle()
	if due, ok := q.core.NextDue(); ok && q.minding && (q.planned.IsZero() || due.Before(q.planned)) {
		q.planned = due
		select {
		case q.sooner <- struct{}{}:
		default:
		}
	}
}

// settle publishes a change: to the metrics, and to one waiter in Get, which wakes the next if there is more.
func (q *Queue) settle() {
	q.metrics.changed(q.core)
	if q.core.Ready() > 0 {
		q.changed.Signal()
	}
}

// GetWithPriority waits for an item that may be worked on now, and returns it with its class. After ShutDown it returns at
// once: no new work begins.
func (q *Queue) GetWithPriority() (item reconcile.Request, class int, shutdown bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.minding && !q.shut {
		q.minding = true
		go q.mind()
	}
	for !q.shut {
		if taken, ok := q.take(); ok {
			return taken.Request, taken.Class, false
		}
		q.changed.Wait()
	}
	return reconcile.Request{}, 0, true
}

// Get is GetWithPriority without the class.
func (q *Queue) Get() (item reconcile.Request, shutdown bool) {
	item, _, shutdown = q.GetWithPriority()
	return item, shutdown
}

// TryGet returns what GetWithPriority would return now, and false if that would wait or the queue is shut down.
func (q *Queue) TryGet() (item reconcile.Request, class int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return reconcile.Request{}, 0, false
	}
	taken, ok := q.take()
	return taken.Request, taken.Class, ok
}

func (q *Queue) take() (Taken, bool) {
	taken, ok := q.core.Take(q.clock.Now())
	if ok {
		q.metrics.taken(taken)
		q.settle()
	}
	return taken, ok
}

// NextDue returns when the next delayed item is due; false if there is none. A caller with its own clock can advance it to this
// time.
func (q *Queue) NextDue() (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.core.NextDue()
}

// Done ends the progress of an item. It is ready again if it was added meanwhile.
func (q *Queue) Done(item reconcile.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if took, ok := q.core.Done(q.clock.Now(), item); ok {
		q.metrics.done(took)
	}
	q.settle()
	if q.shut {
		q.changed.Broadcast()
	}
}

// Forget makes an item's next failure its first.
func (q *Queue) Forget(item reconcile.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.core.Forget(item)
}

// NumRequeues returns how often in a row an item has failed.
func (q *Queue) NumRequeues(item reconcile.Request) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.core.Failures(item)
}

// ClassOf returns the class with which an item in progress was taken; false if it is not in progress.
func (q *Queue) ClassOf(item reconcile.Request) (class int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.core.ClassOf(item)
}

// Len returns how many items wait for a worker.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.core.Advance(q.clock.Now())
	q.settle()
	return q.core.Ready()
}

// ShutDown closes the queue: nothing more goes in or out.
func (q *Queue) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return
	}
	q.shut = true
	close(q.over)
	q.changed.Broadcast()
}

// ShutDownWithDrain is ShutDown, and waits until nothing is in progress any more.
func (q *Queue) ShutDownWithDrain() {
	q.ShutDown()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.core.Taken() > 0 {
		q.changed.Wait()
	}
}

// ShuttingDown reports whether ShutDown was called.
func (q *Queue) ShuttingDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shut
}

// mind wakes the waiters when delayed items are due, and updates the metrics from time to time, until the queue is shut down.
func (q *Queue) mind() {
	timer := q.clock.NewTimer(measureInterval)
	defer timer.Stop()
	var measure <-chan time.Time
	if q.metrics != nil {
		ticker := q.clock.NewTicker(measureInterval)
		defer ticker.Stop()
		measure = ticker.C()
	}
	for {
		if wait, ok := q.plan(); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-q.over:
			return
		case <-q.sooner:
		case <-timer.C():
		case <-measure:
			q.measure()
		}
	}
}

// plan makes due items ready, and returns how long to wait for the next; false if there is none.
func (q *Queue) plan() (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	q.core.Advance(now)
	q.settle()
	due, ok := q.core.NextDue()
	q.planned = due
	return due.Sub(now), ok
}

func (q *Queue) measure() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.metrics.measured(q.core, q.clock.Now())
}
