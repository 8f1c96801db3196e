package simulated

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CollectGarbage lets the garbage collector look at every object once.
func (c *Cluster) CollectGarbage() {
	c.as("the garbage collector", func() {
		for _, kind := range []Kind{Jobs, Pods} {
			for _, obj := range slices.Clone(c.objects[kind]) {
				c.collect(kind, obj)
			}
		}
	})
}

func (c *Cluster) exists(uid types.UID) bool {
	return c.findUID(SpiderJobs, uid) != nil || c.findUID(Jobs, uid) != nil
}

func (c *Cluster) collect(kind Kind, obj client.Object) {
	finalizers := obj.GetFinalizers()
	switch {
	case obj.GetDeletionTimestamp() != nil && slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		for _, dependent := range c.dependents(obj) {
			c.tell("the garbage collector takes Pod %s its owner", dependent.GetName())
			modify(c, Pods, dependent, func(pod *corev1.Pod) { pod.OwnerReferences = nil })
		}
		c.unfinalize(kind, obj, metav1.FinalizerOrphanDependents)
	case obj.GetDeletionTimestamp() != nil && slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		dependents := c.dependents(obj)
		for _, dependent := range dependents {
			if dependent.DeletionTimestamp == nil {
				c.tell("the garbage collector deletes Pod %s", dependent.GetName())
				c.deleteInBackground(Pods, dependent)
			}
		}
		if len(c.dependents(obj)) == 0 {
			c.unfinalize(kind, obj, metav1.FinalizerDeleteDependents)
		}
	case obj.GetDeletionTimestamp() == nil && len(obj.GetOwnerReferences()) > 0:
		if !slices.ContainsFunc(obj.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return c.exists(o.UID) }) {
			c.tell("the garbage collector deletes %s %s, whose owner is gone", kind, obj.GetName())
			c.deleteInBackground(kind, obj)
		}
	}
}

// dependents are the Pods that an object owns.
func (c *Cluster) dependents(obj client.Object) []*corev1.Pod {
	var out []*corev1.Pod
	for _, pod := range c.AllPods() {
		if controlledBy(pod, obj.GetUID()) {
			out = append(out, pod)
		}
	}
	return out
}

func (c *Cluster) deleteInBackground(kind Kind, obj client.Object) {
	background, uid := metav1.DeletePropagationBackground, obj.GetUID()
	_ = c.Delete(kind, obj.GetNamespace(), obj.GetName(), metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid},
	})
}

func (c *Cluster) unfinalize(kind Kind, obj client.Object, finalizer string) {
	modify(c, kind, obj, func(o client.Object) {
		o.SetFinalizers(slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool { return f == finalizer }))
	})
	if current := c.findUID(
		kind,
		obj.GetUID(),
	); current != nil && len(current.GetFinalizers()) == 0 &&
		current.GetDeletionTimestamp() != nil {
		if _, isPod := current.(*corev1.Pod); !isPod {
			c.remove(kind, current)
		}
	}
}

// CollectPods lets Kubernetes' own PodGC look at every Pod once: it removes those of nodes that are gone or out of service.
func (c *Cluster) CollectPods() {
	c.as("PodGC", func() {
		for _, pod := range c.AllPods() {
			if pod.Spec.NodeName == "" {
				if pod.DeletionTimestamp != nil && !podEnded(pod) {
					modify(c, Pods, pod, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
					c.forcefully(pod, "an unscheduled Pod that is being deleted")
				}
				continue
			}
			n := c.node(pod.Spec.NodeName)
			switch {
			case n.Deleted && pod.DeletionTimestamp != nil && *pod.DeletionGracePeriodSeconds == 0 && podEnded(pod):
				// Somebody's finalizer holds it.
			case n.Deleted:
				c.declareDead(pod, "the removal of node "+n.Name)
				c.disrupt(pod, "DeletionByPodGC", "PodGC: node no longer exists")
				c.forcefully(pod, "its node is gone")
			case n.OutOfService && n.State != Up && pod.DeletionTimestamp != nil:
				c.declareDead(pod, "the out-of-service taint of node "+n.Name)
				if !podEnded(pod) {
					modify(c, Pods, pod, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
				}
				c.forcefully(pod, "its node is out of service")
			}
		}
	})
}

// disrupt marks a Pod that has not ended as Failed and disrupted.
func (c *Cluster) disrupt(pod *corev1.Pod, reason, message string) {
	if podEnded(pod) {
		return
	}
	modify(c, Pods, pod, func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodFailed
		c.setDisrupted(p, reason, message)
	})
}

func (c *Cluster) setDisrupted(pod *corev1.Pod, reason, message string) {
	if disrupted(pod) {
		return
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type:               corev1.DisruptionTarget,
		Status:             corev1.ConditionTrue,
		Reason:             reason,
		Message:            message,
		LastTransitionTime: c.serverTime(),
	})
}

// forcefully deletes a Pod with grace 0.
func (c *Cluster) forcefully(pod *corev1.Pod, why string) {
	c.tell("%s removes Pod %s: %s", c.by, pod.Name, why)
	zero, uid := int64(0), pod.UID
	_ = c.Delete(Pods, pod.Namespace, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &uid},
	})
}
