package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/scrapethis/spider-operator/controllers/podlog"
)

const (
	// maxRounds is how often one reconcile may observe anew: from the cache, live, with Events, and with a refusal.
	maxRounds = 5
	// conflictPause is how long a stale cache is given to catch up after a conflict.
	conflictPause = 100 * time.Millisecond
)

// logReader reads the logs of spiders' Pods. It is implemented by podlog.Collector.
type logReader interface {
	Want(target podlog.Target, mode podlog.Mode)
	Reading(pod types.UID) podlog.Reading
	Forget(pod types.UID)
}

// Reconciler brings SpiderJobs to their end.
type Reconciler struct {
	client   client.Client
	live     client.Reader
	logs     logReader
	events   events.EventRecorder
	clock    clock.PassiveClock
	defaults Defaults
	memory   *memory
	lead     *lead
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
			r.forget(key)
			return reconcile.Result{}, nil
		}
		d := decide(o, r.clock.Now())
		switch d.need {
		case needLive:
			createErr := o.createErr
			if o, mem, err = r.observe(ctx, key, true); o != nil {
				o.createErr = createErr
			}
			continue
		case needEvents:
			err = r.readEvents(ctx, o, mem)
			continue
		case needNothing:
		}
		if d.log.pod != nil {
			r.logs.Want(logTarget(o, d.log.pod), d.log.mode)
		}
		switch err = r.act(ctx, o, mem, d.action); {
		case d.action.kind == createJob && apierrors.IsAlreadyExists(err):
			// By somebody else: the cache holds only the operator's own Jobs.
			o, mem, err = r.observe(ctx, key, true)
			continue
		case d.action.kind == createJob && err != nil && refused(err):
			o.createErr, err = unwrapStatus(err), nil
			continue
		case err != nil:
			return reconcile.Result{}, err
		}
		return r.conclude(ctx, o, mem, d)
	}
	return reconcile.Result{}, fmt.Errorf("no decision on SpiderJob %s after %d rounds: %w", key, maxRounds, err)
}

// conclude records a decision that was acted upon.
func (r *Reconciler) conclude(ctx context.Context, o *observation, mem *recollection, d decision) (reconcile.Result, error) {
	switch err := r.record(ctx, o, mem, d.status); {
	case apierrors.IsConflict(err):
		mem.written = nil
		return again(conflictPause), nil
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil // deleted meanwhile: its event follows
	case err != nil:
		return reconcile.Result{}, err
	}
	if d.status.Phase.Terminal() {
		if o.lastPod != nil {
			r.logs.Forget(o.lastPod.UID)
			mem.lastPod = nil
		}
		if mem.written == nil && d.action.kind == doNothing {
			r.memory.forget(client.ObjectKeyFromObject(o.sj)) // it is only kept from now on
		}
	}
	return again(d.after), nil
}

// again asks for another look after some time, zero for none: a routine one, however urgent this one was.
func again(after time.Duration) reconcile.Result {
	priority := routine
	return reconcile.Result{RequeueAfter: after, Priority: &priority}
}

func (r *Reconciler) forget(key types.NamespacedName) {
	if pod := r.memory.forget(key); pod != "" {
		r.logs.Forget(pod)
	}
}

// unwrapStatus is the API server's own answer within err, which is what people should read.
func unwrapStatus(err error) error {
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		return status
	}
	return err
}
