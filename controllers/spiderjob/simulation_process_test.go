package spiderjob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing/synctest"
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
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/admission"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/quota"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
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
	limits     *admission.Gate
	workers    []*worker
	dead       bool
	began      int64  // to lead, as a resource version
	stop       func() // ends the goroutines of the process
	// succeeded are the SpiderJobs of which this process has seen a Pod that succeeded undisturbed.
	succeeded map[types.UID]types.UID
	// ends are the Pods of which this process has seen that their spider had ended.
	ends map[types.UID]bool
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
	p := &process{
		h: h, name: fmt.Sprintf("%s %d", simulated.Operator, len(h.everyProcess)+1), skew: skew,
		caches: h.cluster.NewCaches(lag), queue: &simulatedQueue{core: queue.NewCore(workers)}, succeeded: map[types.UID]types.UID{},
		ends: map[types.UID]bool{}, began: h.cluster.Version(),
	}
	h.everyProcess = append(h.everyProcess, p)
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.logs = collect(ctx, p)
	for i := range workers {
		p.workers = append(p.workers, &worker{process: p, number: i + 1})
	}
	cached := h.cluster.Client(p.name, p.caches, p.gate, p.see)
	limits := admission.New()
	p.limits = limits
	if h.limited {
		limits.SetQuota("a", &v1alpha1.SpiderQuotaSpec{MaxRunning: 1}, processClock{skew}.Now())
	}
	p.reconciler = &Reconciler{
		client:    h.faults.wrapClient(cached),
		live:      h.faults.wrapLive(cached, h.cluster.Reader(p.name, p.gate, p.see)),
		logs:      h.faults.wrapLogs(p.logs),
		decide:    h.faults.wrapDecide(),
		events:    silentRecorder{},
		clock:     processClock{skew},
		warnings:  newEventReader(h.cluster.Reader(p.name, p.gate, p.see), processClock{skew}),
		quota:     quota.New(),
		admission: limits,
		classOf:   p.queue.core.ClassOf,
		defaults:  testDefaults(),
		memory:    newMemory(),
		earlier:   cachedRuns{p},
	}
	// The process learns from when on it leads before its workers begin, so that none of them waits for another one's call.
	p.reconciler.leadership = &leadership{
		reader: h.cluster.Reader(p.name, func(context.Context, simulated.Call) error { return nil }, nil),
	}
	if _, err := p.reconciler.leadership.before(context.Background(), "1"); err != nil {
		panic(err)
	}
	go func() { _ = p.reconciler.quota.Start(ctx) }()
	go limits.Enqueue(ctx)
	h.tell("%s begins to lead", p.name)
	for _, kind := range simulated.Kinds {
		for _, obj := range p.caches.Objects(kind) {
			p.enqueue(kind, simulated.Notice{After: obj}, true)
		}
	}
	return p
}

// remembered is how much the process holds of SpiderJobs: what it remembers, and the Pods whose logs it reads.
func (p *process) remembered() (jobs, logs int) {
	return len(p.reconciler.memory.jobs), p.logs.held()
}

// deliver brings changes to a cache, and wakes whom they concern.
func (p *process) deliver(kind simulated.Kind, n int) {
	for _, notice := range p.caches.Deliver(kind, n) {
		p.enqueue(kind, notice, false)
	}
}

// wake does what the watches set up in Setup do.
func (p *process) enqueue(kind simulated.Kind, n simulated.Notice, initial bool) {
	var w handler.EventHandler
	switch kind {
	case simulated.SpiderJobs:
		w = bySpiderJob()
	case simulated.Jobs, simulated.Pods:
		w = byLabel(p.reconciler.memory)
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

// hear wakes those whom the process's goroutines name.
func (p *process) hear() {
	for {
		synctest.Wait()
		var e event.GenericEvent
		select {
		case e = <-p.reconciler.quota.Woken():
		case e = <-p.limits.Woken():
		default:
			select {
			case e = <-p.logs.Changes():
				p.h.truth.spentOn(types.NamespacedName{Namespace: e.Object.GetNamespace(), Name: e.Object.GetName()}).news++
			default:
				return
			}
		}
		bySpiderJob().Generic(context.Background(), e, p.queue)
	}
}

// see notes what a call or a cache has shown to the process.
func (p *process) see(obj client.Object) {
	if pod, ok := obj.(*corev1.Pod); ok {
		p.h.sawPod(p, pod)
	}
}

// knows reports whether the process's caches show a SpiderJob: a Pod without one says nothing to it.
func (p *process) knows(sj types.UID) bool {
	return slices.ContainsFunc(p.caches.Objects(simulated.SpiderJobs), func(o client.Object) bool { return o.GetUID() == sj })
}

// die ends the process between two calls.
func (p *process) die() {
	if p.dead {
		return
	}
	p.h.tell("%s dies", p.name)
	p.dead = true
	p.stop()
	p.logs.run(false)
	for _, w := range p.workers {
		if w.next != nil {
			w.stop()
		}
		w.busy = false
	}
}

// worker is one of the process's goroutines, as a coroutine that yields at each call.
type worker struct {
	process *process
	number  int
	busy    bool
	taken   queue.Taken
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
	taken, ok := w.process.queue.take()
	if !ok {
		return false
	}
	w.busy, w.taken, w.calls, w.faulty = true, taken, 0, false
	if w.next == nil {
		w.next, w.stop = iter.Pull(w.work)
	}
	w.resume()
	return true
}

// work reconciles what is taken, time and again.
func (w *worker) work(yield func(struct{}) bool) {
	w.yield = yield
	ctx := log.IntoContext(context.WithValue(context.Background(), workerKey{}, w), logr.Discard())
	for more := true; more; more = yield(struct{}{}) {
		w.result, w.err = w.process.reconciler.Reconcile(ctx, w.taken.Request)
		w.busy = false
	}
}

// resume lets the worker run to its next call, or to the end of what it does.
func (w *worker) resume() {
	if w.next(); w.busy {
		return
	}
	w.process.h.reconciled(w)
	w.process.queue.done(w.taken, w.result, w.err)
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
		if delay > 5*time.Second {
			p.h.truth.hung++
		}
		w.faulty = w.faulty || err != nil || delay > 0
	}
	deadline, gaveUp := ctx.Deadline()
	if gaveUp = gaveUp && deadline.Before(w.readyAt); gaveUp {
		// The process gives up. A creation that would have been let through may come to pass all the same.
		happens := w.answer == nil && call.Verb == "create" && p.h.chance(50)
		if w.readyAt, w.answer = deadline, context.DeadlineExceeded; happens {
			w.answer = simulated.ErrAnswerLost
		}
	}
	if !w.yield(struct{}{}) || p.dead {
		return context.Canceled
	}
	if gaveUp {
		<-ctx.Done() // which is due now, if not done yet
	}
	return w.answer
}

// silentRecorder drops the operator's own Events: nothing depends on them.
type silentRecorder struct{}

func (silentRecorder) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {
}

// simulatedQueue is the real work queue without its goroutines, used as controller-runtime does.
type simulatedQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	core *queue.Core
}

// AddWithOpts implements priorityqueue.PriorityQueue.
func (q *simulatedQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	for _, r := range requests {
		q.core.Add(time.Now(), r, queue.AddOptions{Class: o.Priority, After: o.After, Failed: o.RateLimited})
	}
}

// Add implements workqueue.TypedInterface.
func (q *simulatedQueue) Add(r reconcile.Request) { q.core.Add(time.Now(), r, queue.AddOptions{}) }

func (q *simulatedQueue) take() (queue.Taken, bool) {
	now := time.Now()
	q.core.Advance(now)
	return q.core.Take(now)
}

// done does what controller-runtime does with what a reconcile returned.
func (q *simulatedQueue) done(taken queue.Taken, result reconcile.Result, err error) {
	class := taken.Class
	if result.Priority != nil {
		class = *result.Priority
	}
	switch {
	case err != nil:
		q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &class}, taken.Request)
	case result.RequeueAfter > 0:
		q.core.Forget(taken.Request)
		q.AddWithOpts(priorityqueue.AddOpts{After: result.RequeueAfter, Priority: &class}, taken.Request)
	default:
		q.core.Forget(taken.Request)
	}
	q.core.Done(time.Now(), taken.Request)
}

var errTransient = errors.New("connection reset by peer")
