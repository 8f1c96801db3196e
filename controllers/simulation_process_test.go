package controllers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/quota"
	"github.com/scrapethis/spider-operator/controllers/simulated"
)

// process is one process of the operator: the real Reconciler with its memory, caches that lag, workers that stop at each call,
// a work queue and a reader of logs. This file is all that the simulation knows of how the package is put together.
type process struct {
	h          *history
	name       string
	skew       time.Duration
	caches     *simulated.Caches
	reconciler *Reconciler
	queue      *simulatedQueue
	logs       *simulatedLogs
	workers    []*worker
	dead       bool
	// succeeded are the SpiderJobs of which this process has seen a Pod that succeeded undisturbed.
	succeeded map[types.UID]types.UID
}

type processClock struct{ skew time.Duration }

func (c processClock) Now() time.Time                  { return time.Now().Add(c.skew) }
func (c processClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// slimmed is what the caches' transforms do.
func slimmed(obj client.Object) {
	switch obj := obj.(type) {
	case *v1alpha1.SpiderJob:
		slimCachedSpiderJob(obj)
	case *batchv1.Job:
		slimJob(obj)
	case *corev1.Pod:
		slimPod(obj)
	}
}

// newProcess starts a process, whose caches may have missed some of the latest changes.
func (h *history) newProcess(workers int, skew time.Duration, lag func(simulated.Kind) int) *process {
	h.processes++
	p := &process{
		h: h, name: fmt.Sprintf("%s %d", simulated.Operator, h.processes), skew: skew,
		caches: h.cluster.NewCaches(lag), queue: &simulatedQueue{}, succeeded: map[types.UID]types.UID{},
	}
	p.logs = &simulatedLogs{process: p}
	for i := range workers {
		p.workers = append(p.workers, &worker{process: p, number: i + 1})
	}
	cached := h.cluster.Client(p.name, p.caches, p.gate, p.see)
	p.reconciler = &Reconciler{
		client:   h.faults.wrapClient(cached),
		live:     h.faults.wrapLive(cached, h.cluster.Reader(p.name, p.gate, p.see)),
		logs:     h.faults.wrapLogs(p.logs),
		events:   silentRecorder{},
		clock:    processClock{skew},
		warnings: newEventReader(h.cluster.Reader(p.name, p.gate, p.see), processClock{skew}),
		quota:    quota.New(),
		classOf:  func(reconcile.Request) (int, bool) { return 0, false },
		defaults: testDefaults(),
		memory:   newMemory(),
	}
	// The process learns from when on it leads before its workers begin, so that none of them waits for another one's call.
	p.reconciler.lead = &lead{reader: h.cluster.Reader(p.name, func(context.Context, simulated.Call) error { return nil }, nil)}
	if _, err := p.reconciler.lead.before(context.Background(), "1"); err != nil {
		panic(err)
	}
	h.tell("%s begins to lead", p.name)
	for _, kind := range simulated.Kinds {
		for _, obj := range p.caches.Objects(kind) {
			p.wake(kind, simulated.Notice{After: obj}, true)
		}
	}
	return p
}

// remembered is how much the process holds of SpiderJobs: what it remembers, and the Pods whose logs it reads.
func (p *process) remembered() (jobs, logs int) {
	return len(p.reconciler.memory.jobs), len(p.logs.pods)
}

// deliver brings changes to a cache, and wakes whom they concern.
func (p *process) deliver(kind simulated.Kind, n int) {
	for _, notice := range p.caches.Deliver(kind, n) {
		p.wake(kind, notice, false)
	}
}

// wake does what the watches set up in Setup do.
func (p *process) wake(kind simulated.Kind, n simulated.Notice, initial bool) {
	var w handler.EventHandler
	switch kind {
	case simulated.SpiderJobs:
		w = bySpiderJob()
	case simulated.Jobs, simulated.Pods:
		w = byLabel()
	default:
		return // nobody watches Spiders
	}
	ctx, q := context.Background(), p.queue
	switch {
	case n.Before == nil:
		w.Create(ctx, event.CreateEvent{Object: n.After, IsInInitialList: initial}, q)
	case n.After == nil:
		w.Delete(ctx, event.DeleteEvent{Object: n.Before}, q)
	default:
		e := event.UpdateEvent{ObjectOld: n.Before, ObjectNew: n.After}
		if kind == simulated.SpiderJobs || onlyNews().Update(e) {
			w.Update(ctx, e, q)
		}
	}
}

// learned wakes a SpiderJob of whose log something new is known.
func (p *process) learned(sj types.NamespacedName) {
	obj := &v1alpha1.SpiderJob{}
	obj.Namespace, obj.Name = sj.Namespace, sj.Name
	bySpiderJob().Generic(context.Background(), event.GenericEvent{Object: obj}, p.queue)
}

// see notes what a call or a cache has shown to the process.
func (p *process) see(obj client.Object) {
	if pod, ok := obj.(*corev1.Pod); ok {
		p.h.sawPod(p, pod)
	}
}

// die ends the process between two calls.
func (p *process) die() {
	p.h.tell("%s dies", p.name)
	p.dead = true
	for _, w := range p.workers {
		if w.busy {
			w.stop()
			w.busy = false
		}
	}
}

// worker is one of the process's goroutines, as a coroutine that yields at each call.
type worker struct {
	process *process
	number  int
	busy    bool
	request reconcile.Request
	call    simulated.Call
	readyAt time.Time // when kube-apiserver has an answer
	answer  error
	faulty  bool // something was done to one of the calls
	calls   int
	yield   func(struct{}) bool
	next    func() (struct{}, bool)
	stop    func()
	result  reconcile.Result
	err     error
}

type workerKey struct{}

// begin takes the next SpiderJob from the queue. It reports whether there was one.
func (w *worker) begin() bool {
	request, ok := w.process.queue.take(time.Now())
	if !ok {
		return false
	}
	w.busy, w.request, w.calls, w.faulty = true, request, 0, false
	w.next, w.stop = iter.Pull(func(yield func(struct{}) bool) {
		w.yield = yield
		ctx := log.IntoContext(context.WithValue(context.Background(), workerKey{}, w), logr.Discard())
		w.result, w.err = w.process.reconciler.Reconcile(ctx, request)
	})
	w.resume()
	return true
}

// resume lets the worker run to its next call, or to its end.
func (w *worker) resume() {
	if _, more := w.next(); more {
		return
	}
	w.busy = false
	w.process.h.reconciled(w)
	w.process.queue.done(w.request, w.result, w.err, time.Now())
}

// gate is where a worker waits for the history to let its call go.
func (p *process) gate(ctx context.Context, call simulated.Call) error {
	w := ctx.Value(workerKey{}).(*worker) //nolint:forcetypeassert // Every worker has it.
	if p.dead {
		return context.Canceled
	}
	w.call, w.answer, w.readyAt = call, nil, time.Now()
	w.calls++
	p.h.called(w, call)
	if call.Write() {
		verb := call.Verb
		delay, err := p.h.cluster.Trouble(verb, call.Kind, call.Status, call.Namespace, call.Name)
		w.readyAt, w.answer = w.readyAt.Add(delay), err
		w.faulty = w.faulty || err != nil || delay > 0
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(w.readyAt) {
		w.readyAt, w.answer = deadline, context.DeadlineExceeded
	}
	if !w.yield(struct{}{}) || p.dead {
		return context.Canceled
	}
	return w.answer
}

// silentRecorder drops the operator's own Events: nothing depends on them.
type silentRecorder struct{}

func (silentRecorder) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {
}

// simulatedQueue is the work queue as controller-runtime has it, without its goroutines: priorities, delays and back-off.
type simulatedQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	items []*queued
	order int
}

type queued struct {
	request    reconcile.Request
	waiting    bool // in the queue
	processing bool
	again      bool // added while it was processed
	priority   int
	order      int
	due        time.Time // zero for at once
	failures   int
}

func (q *simulatedQueue) of(r reconcile.Request) *queued {
	for _, item := range q.items {
		if item.request == r {
			return item
		}
	}
	item := &queued{request: r}
	q.items = append(q.items, item)
	return item
}

func (q *simulatedQueue) put(item *queued, priority int, due time.Time) {
	if !item.waiting {
		q.order++
		item.waiting, item.priority, item.due, item.order = true, priority, due, q.order
		return
	}
	item.priority = max(item.priority, priority)
	if due.Before(item.due) {
		item.due = due
	}
}

// AddWithOpts implements priorityqueue.PriorityQueue, as far as events use it.
func (q *simulatedQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	priority := 0
	if o.Priority != nil {
		priority = *o.Priority
	}
	for _, r := range requests {
		q.put(q.of(r), priority, time.Time{})
	}
}

// Add implements workqueue.TypedInterface.
func (q *simulatedQueue) Add(r reconcile.Request) { q.put(q.of(r), 0, time.Time{}) }

// take returns what is due, the most urgent first. What is being processed is not given out a second time.
func (q *simulatedQueue) take(now time.Time) (reconcile.Request, bool) {
	var best *queued
	for _, item := range q.items {
		if !item.waiting || item.processing || item.due.After(now) {
			continue
		}
		if best == nil || item.priority > best.priority || item.priority == best.priority && item.order < best.order {
			best = item
		}
	}
	if best == nil {
		return reconcile.Request{}, false
	}
	best.waiting, best.processing = false, true
	return best.request, true
}

func (q *simulatedQueue) done(r reconcile.Request, result reconcile.Result, err error, now time.Time) {
	item := q.of(r)
	item.processing = false
	switch {
	case err != nil:
		item.failures++
		q.put(item, item.priority, now.Add(min(5*time.Millisecond<<min(item.failures-1, 20), 1000*time.Second)))
	case result.RequeueAfter > 0:
		item.failures = 0
		priority := item.priority
		if result.Priority != nil {
			priority = *result.Priority
		}
		q.put(item, priority, now.Add(result.RequeueAfter))
	default:
		item.failures = 0
	}
	q.items = slices.DeleteFunc(q.items, func(i *queued) bool { return !i.waiting && !i.processing && i.failures == 0 })
}

// next is when something is due, the zero time for never.
func (q *simulatedQueue) next() time.Time {
	var next time.Time
	for _, item := range q.items {
		if item.waiting && !item.processing && (next.IsZero() || item.due.Before(next)) {
			next = item.due
			if next.IsZero() {
				return time.Now()
			}
		}
	}
	return next
}

var errTransient = errors.New("connection reset by peer")
