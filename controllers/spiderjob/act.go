package spiderjob

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// act executes a decision. Deleting what is already gone is not an error; every deletion names the UID of its object.
func (r *Reconciler) act(ctx context.Context, o *observation, mem *jobMemory, a action) error {
	switch a.kind {
	case createJob:
		return r.createJob(ctx, mem, a.create)
	case endPod:
		return r.endPod(ctx, mem, a)
	case deletePod:
		grace := max(a.grace, 1)
		return r.deleteOnce(ctx, mem, a, &corev1.Pod{ObjectMeta: a.on.meta()}, "Pod",
			deletion(a.on.uid, &grace, metav1.DeletePropagationBackground))
	case deleteJob:
		// A Job deleted in the foreground outlives its Pods, so that one look at the Job shows that they are gone. A bare delete of
		// a batch/v1 Job would orphan them.
		return r.deleteOnce(ctx, mem, a, &batchv1.Job{ObjectMeta: a.on.meta()}, "Job",
			deletion(a.on.uid, nil, metav1.DeletePropagationForeground))
	case deleteSpiderJob:
		a.on = objectRef{o.sj.Namespace, o.sj.Name, o.sj.UID}
		opts := deletion(o.sj.UID, nil, metav1.DeletePropagationBackground)
		version := o.sj.ResourceVersion
		opts.Preconditions.ResourceVersion = &version // the TTL may have been changed a moment ago
		return r.deleteOnce(ctx, mem, a, &v1alpha1.SpiderJob{ObjectMeta: a.on.meta()}, "SpiderJob", opts)
	case doNothing:
	}
	return nil
}

// createJob creates the Job. The first try takes a few seconds at most: if kube-apiserver does not answer in that time, as
// behind a slow or hanging webhook, the SpiderJob says so, and the next try waits as long as kube-apiserver itself does. A
// creation that was given up but executed nevertheless is found by its name.
func (r *Reconciler) createJob(ctx context.Context, mem *jobMemory, job *batchv1.Job) error {
	limited := ctx
	if mem.refused == nil {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, slowCreation)
		defer cancel()
	}
	err := r.client.Create(limited, job)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = errSlowCreation
	}
	if err != nil {
		return fmt.Errorf("create Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	mem.created, mem.createdAt, mem.refused = job, r.clock.Now(), nil
	return nil
}

// endPod makes the kubelet end what still runs of a Pod. A Pod that is gone has ended.
func (r *Reconciler) endPod(ctx context.Context, mem *jobMemory, a action) error {
	key, now := a.key(), r.clock.Now()
	if mem.done(key, now) {
		return nil
	}
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"activeDeadlineSeconds":%d}}`, a.on.uid, endedDeadline)
	err := r.client.Patch(ctx, &corev1.Pod{ObjectMeta: a.on.meta()}, client.RawPatch(types.StrategicMergePatchType, patch))
	if err != nil && !apierrors.IsNotFound(err) && !isOther(err) {
		return fmt.Errorf("end the remaining containers of Pod %s/%s: %w", a.on.namespace, a.on.name, err)
	}
	mem.lastAction, mem.actedAt = key, now
	return nil
}

func (a action) key() actionKey { return actionKey{kind: a.kind, uid: a.on.uid, grace: a.grace} }

// meta identifies the object in a call to kube-apiserver.
func (r objectRef) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: r.namespace, Name: r.name, UID: r.uid}
}

func (r *Reconciler) deleteOnce(
	ctx context.Context, mem *jobMemory, a action, obj client.Object, kind string, opts *client.DeleteOptions,
) error {
	key, now := a.key(), r.clock.Now()
	if mem.done(key, now) {
		return nil
	}
	err := r.client.Delete(ctx, obj, opts)
	if err != nil && !apierrors.IsNotFound(err) && !isOther(err) {
		return fmt.Errorf("delete %s %s: %w", kind, client.ObjectKeyFromObject(obj), err)
	}
	mem.lastAction, mem.actedAt = key, now
	return nil
}

// isOther reports whether a write was refused because another object has the name by now: the intended one is gone.
func isOther(err error) bool { return apierrors.IsConflict(err) }

func deletion(uid types.UID, grace *int64, policy metav1.DeletionPropagation) *client.DeleteOptions {
	return &client.DeleteOptions{
		GracePeriodSeconds: grace,
		PropagationPolicy:  &policy,
		Preconditions:      &metav1.Preconditions{UID: &uid},
	}
}
