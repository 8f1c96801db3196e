package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// act does what was decided. Deleting what is already gone is no error; every deletion names the UID it means.
func (r *Reconciler) act(ctx context.Context, o *observation, mem *recollection, a action) error {
	switch a.kind {
	case createJob:
		if err := r.client.Create(ctx, a.job); err != nil {
			return fmt.Errorf("create Job %s/%s: %w", a.job.Namespace, a.job.Name, err)
		}
		mem.created, mem.createdAt = a.job, r.clock.Now()
	case deletePod:
		return r.deleteOnce(ctx, mem, a, a.pod, "Pod", deletion(a.pod, a.grace, metav1.DeletePropagationBackground))
	case deleteJob:
		// A Job deleted in the foreground outlives its Pods, so that one look at it tells that they are gone. A bare delete
		// of a batch/v1 Job would orphan them.
		return r.deleteOnce(ctx, mem, a, a.job, "Job", deletion(a.job, nil, metav1.DeletePropagationForeground))
	case deleteSpiderJob:
		opts := deletion(o.sj, nil, metav1.DeletePropagationBackground)
		version := o.sj.ResourceVersion
		opts.Preconditions.ResourceVersion = &version // the TTL may have been changed a moment ago
		return r.deleteOnce(ctx, mem, a, o.sj, "SpiderJob", opts)
	case doNothing:
	}
	return nil
}

func (r *Reconciler) deleteOnce(
	ctx context.Context, mem *recollection, a action, obj client.Object, kind string, opts *client.DeleteOptions,
) error {
	key := actionKey{kind: a.kind, uid: obj.GetUID(), grace: valueOr(a.grace, -1)}
	now := r.clock.Now()
	if mem.done(key, now) {
		return nil
	}
	// The objects come from a cache that others read: none of them is handed to a client that might write to it.
	err := r.client.Delete(ctx, obj.DeepCopyObject().(client.Object), opts)
	if err != nil && !apierrors.IsNotFound(err) && !uidMismatch(err) {
		return fmt.Errorf("delete %s %s: %w", kind, client.ObjectKeyFromObject(obj), err)
	}
	mem.lastAction, mem.actedAt = key, now
	return nil
}

// uidMismatch reports whether a deletion was refused because the object is another one by now: the one that was meant is gone.
func uidMismatch(err error) bool { return apierrors.IsConflict(err) }

func deletion(obj client.Object, grace *int64, policy metav1.DeletionPropagation) *client.DeleteOptions {
	uid := obj.GetUID()
	return &client.DeleteOptions{
		GracePeriodSeconds: grace,
		PropagationPolicy:  &policy,
		Preconditions:      &metav1.Preconditions{UID: &uid},
	}
}

// refused reports whether the API server answered that the Job cannot be created as it is, or not now: trying again at once
// is of no use, and the SpiderJob has to say why.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		(apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause))
}
