package spiderjob

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/quota"
)

const (
	// maxRounds is how often one reconcile may observe again: from the cache, live, with Events, with earlier runs, and with a
	// refusal.
	maxRounds = 8
	// conflictPause is how long a stale cache gets to catch up after a conflict.
	conflictPause = 100 * time.Millisecond
)

// logReader reads the logs of spiders' Pods. It is implemented by podlog.Collector.
type logReader interface {
	Want(target podlog.Target, mode podlog.Mode)
	Reading(pod types.UID) podlog.Reading
	Keep(spiderJob types.NamespacedName, pods ...types.UID)
}

// Reconciler takes SpiderJobs to their end.
type Reconciler struct {
	client client.Client
	live   client.Reader
	// decide is the lifecycle; simulations inject faults into it.
	decide   func(o *observation, now time.Time) decision
	logs     logReader
	events   events.EventRecorder
	warnings *eventReader
	quota    *quota.Gate
	// admission is the gate of the limits on how many run.
	admission admissionGate
	// classOf returns the class with which the work queue handed out a SpiderJob that is being reconciled.
	classOf    func(reconcile.Request) (class int, ok bool)
	clock      clock.PassiveClock
	defaults   Defaults
	memory     *memory
	leadership *leadership
	earlier    runHistory
}

// runHistory knows the earlier runs of Spiders. It is implemented by earlier.Runs, in step with the cache of SpiderJobs.
type runHistory interface {
	// Last returns the items of the last n runs of a key, the newest first.
	Last(key string, anyArguments bool, n int) []int64
	// HasSynced reports whether it knows everything that the cache held at first.
	HasSynced() bool
}

// readEarlier reads the earlier runs to compare with. It reports whether they are known.
func (r *Reconciler) readEarlier(o *observation, c comparison) bool {
	if !r.earlier.HasSynced() {
		return false
	}
	o.earlier = earlierRuns{known: true, items: r.earlier.Last(c.key, c.anyArguments, c.runs)}
	return true
}

// Reconcile observes, decides, acts and records.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := req.NamespacedName
	o, mem, err := r.observe(ctx, key, false)
	for range maxRounds {
		if err != nil {
			return reconcile.Result{}, err
		}
		if o == nil {
			return r.clearAfter(ctx, key)
		}
		d := r.decide(o, r.clock.Now())
		switch d.need {
		case needLive:
			o, mem, err = r.observe(ctx, key, true)
			continue
		case needJobEvents, needPodEvents:
			err = r.readWords(ctx, o, mem, d.need)
			continue
		case needKilling:
			err = r.readKilling(ctx, o, mem)
			continue
		case needEarlierRuns:
			if !r.readEarlier(o, d.compare) {
				return requeue(time.Second, queue.End), nil
			}
			continue
		case needNothing:
		}
		for _, demand := range d.logs {
			r.logs.Want(logTarget(o, demand.pod), demand.mode)
		}
		r.reportToGate(o, d, r.clock.Now())
		if d.action.kind == createJob && !r.mayCreate(req) {
			return requeue(time.Nanosecond, queue.Create), nil
		}
		switch err = r.act(ctx, o, mem, d.action); {
		case d.action.kind == createJob && apierrors.IsAlreadyExists(err):
			// By somebody else: the cache holds only the operator's own Jobs.
			o, mem, err = r.observe(ctx, key, true)
			continue
		case d.action.kind == createJob && err != nil && isRefusal(err):
			mem.refuse(unwrapStatus(err), r.clock.Now())
			o.refused, err = mem.refused, nil
			continue
		case err != nil:
			return reconcile.Result{}, errors.Join(err, r.noteRefusal(ctx, o, mem, d, err))
		}
		return r.conclude(ctx, o, mem, d)
	}
	return reconcile.Result{}, fmt.Errorf("no decision on SpiderJob %s after %d rounds: %w", key, maxRounds, err)
}

// noteRefusal records a stop, or a wait for a Pod that has to go, although kube-apiserver refuses the necessary call, and what
// refuses it: for instance a webhook that hangs. The call is retried like any that has failed.
func (r *Reconciler) noteRefusal(ctx context.Context, o *observation, mem *jobMemory, d decision, refusal error) error {
	message := d.status.Message
	if d.status.Stop != nil {
		message = d.status.Stop.Message
	}
	if _, answered := errors.AsType[*apierrors.StatusError](refusal); !answered || message == "" {
		return nil
	}
	d.status.Message = truncate(message+"; kube-apiserver refuses it: "+oneLine(unwrapStatus(refusal).Error()), maxMessage)
	if err := r.record(ctx, o, mem, d.status); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}

// mayCreate reports whether the work queue handed out the SpiderJob as one that creates a Job: their number is bounded.
func (r *Reconciler) mayCreate(req reconcile.Request) bool {
	class, known := r.classOf(req)
	return !known || class == queue.Create || class == queue.CreateAgain
}

// conclude records a decision after its action.
func (r *Reconciler) conclude(ctx context.Context, o *observation, mem *jobMemory, d decision) (reconcile.Result, error) {
	switch err := r.record(ctx, o, mem, d.status); {
	case apierrors.IsConflict(err):
		mem.written = nil
		return requeue(conflictPause, d.class), nil
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil // deleted meanwhile: its event follows
	case err != nil:
		return reconcile.Result{}, err
	}
	if d.status.Phase.Terminal() {
		key := client.ObjectKeyFromObject(o.sj)
		r.admission.Gone(key, r.clock.Now()) // at once: others wait for its places
		r.logs.Keep(key)
		mem.lastPod, mem.witness = nil, nil
		if mem.written == nil && d.action.kind == doNothing {
			r.memory.forget(key) // an ended SpiderJob stays in the cache, perhaps for days
		}
	}
	if o.assumed || d.action.kind == createJob {
		return requeue(sooner(d.after, createdFor), d.class), nil
	}
	return requeue(d.after, d.class), nil
}

// requeue asks for another reconcile after some time, zero for none, in a class of the work queue.
func requeue(after time.Duration, class int) reconcile.Result {
	return reconcile.Result{RequeueAfter: after, Priority: &class}
}

// clearAfter cleans up after a SpiderJob that is gone. The garbage collector removes its Job and the Job's Pods, but does not
// know a Pod that somebody had orphaned before.
func (r *Reconciler) clearAfter(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
	r.memory.forget(key)
	r.logs.Keep(key)
	r.quota.Gone(key, r.clock.Now())
	r.admission.Gone(key, r.clock.Now())
	pods, err := r.listPods(ctx, key, false)
	if err != nil {
		return reconcile.Result{}, err
	}
	for _, pod := range pods {
		if pod.controller != nil || pod.deleting || pod.ended() {
			continue
		}
		grace := graceOf(pod, nil)
		opts := deletion(pod.uid, &grace, metav1.DeletePropagationBackground)
		err := r.client.Delete(ctx, &corev1.Pod{ObjectMeta: pod.meta()}, opts)
		if err != nil && !apierrors.IsNotFound(err) && !isOther(err) {
			return reconcile.Result{}, fmt.Errorf("delete Pod %s/%s of a SpiderJob that is gone: %w", pod.namespace, pod.name, err)
		}
	}
	return reconcile.Result{}, nil
}
