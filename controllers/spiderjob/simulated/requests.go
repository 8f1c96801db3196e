package simulated

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

func resourceOf(kind Kind) schema.GroupResource {
	return [...]schema.GroupResource{
		v1alpha1.GroupVersion.WithResource("spiderjobs").GroupResource(), v1alpha1.GroupVersion.WithResource("spiders").GroupResource(),
		batchv1.Resource("jobs"), corev1.Resource("pods"), corev1.Resource("events"),
	}[kind]
}

// Create is kube-apiserver's creation of an object. It fills in the object what the answer would hold.
func (c *Cluster) Create(kind Kind, obj client.Object) error {
	if c.find(kind, obj.GetNamespace(), obj.GetName()) != nil {
		return apierrors.NewAlreadyExists(resourceOf(kind), obj.GetName())
	}
	stored := obj.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
	if job, ok := stored.(*batchv1.Job); ok {
		c.defaultJob(job)
	}
	c.insert(kind, stored)
	copyInto(obj, stored, true)
	return nil
}

// defaultJob fills in what kube-apiserver does, and has a queue suspend the Job where one does.
func (c *Cluster) defaultJob(job *batchv1.Job) {
	if job.Spec.BackoffLimit == nil {
		six := int32(6)
		job.Spec.BackoffLimit = &six
	}
	suspend := job.Spec.Suspend != nil && *job.Spec.Suspend
	if _, queued := job.Labels[v1alpha1.LabelQueueName]; queued || c.QueuedNamespaces[job.Namespace] {
		suspend = true
	}
	job.Spec.Suspend = &suspend
}

// Update is kube-apiserver's update of an object, or with status of its status alone.
func (c *Cluster) Update(kind Kind, obj client.Object, status bool) error {
	current := c.find(kind, obj.GetNamespace(), obj.GetName())
	if current == nil || obj.GetUID() != "" && obj.GetUID() != current.GetUID() {
		return apierrors.NewNotFound(resourceOf(kind), obj.GetName())
	}
	if version := obj.GetResourceVersion(); version != "" && version != current.GetResourceVersion() {
		return apierrors.NewConflict(resourceOf(kind), obj.GetName(),
			fmt.Errorf("the object has been modified; please apply your changes to the latest version and try again"))
	}
	next := current.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
	switch sj := next.(type) {
	case *v1alpha1.SpiderJob:
		given := obj.DeepCopyObject().(*v1alpha1.SpiderJob) //nolint:forcetypeassert // obj is of the kind.
		if status {
			sj.Status = given.Status
			wholeSeconds(&sj.Status)
			if err := validStatus(sj); err != nil {
				return err
			}
		} else {
			sj.Spec, sj.Finalizers = given.Spec, given.Finalizers
		}
	default:
		next = obj.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
	}
	if !equality.Semantic.DeepEqual(current, next) {
		c.store(kind, current, next)
	} else {
		next = current
	}
	copyInto(obj, next, true)
	return nil
}

// wholeSeconds cuts times as JSON does.
func wholeSeconds(st *v1alpha1.SpiderJobStatus) {
	times := []*metav1.Time{st.StartedAt, st.FinishedAt, st.AttemptFrom, st.FailingSince}
	if st.Stats != nil {
		times = append(times, st.Stats.ObservedAt)
	}
	if st.Stop != nil {
		times = append(times, st.Stop.Since)
	}
	for i := range st.Conditions {
		times = append(times, &st.Conditions[i].LastTransitionTime)
	}
	for _, t := range times {
		if t != nil {
			t.Time = t.Truncate(time.Second)
		}
	}
}

// validStatus is what the schema of a SpiderJob's status refuses.
func validStatus(sj *v1alpha1.SpiderJob) error {
	st := &sj.Status
	if len([]rune(st.Message)) > allowed.MaxMessage || len(st.Reason) > allowed.MaxReason ||
		st.Stop != nil && (len([]rune(st.Stop.Message)) > allowed.MaxMessage || len(st.Stop.Reason) > allowed.MaxReason) {
		return apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("SpiderJob").GroupKind(), sj.Name, nil)
	}
	return nil
}

// Delete is kube-apiserver's deletion of an object: registry/generic/registry/store.go with the strategies of the kinds.
func (c *Cluster) Delete(kind Kind, namespace, name string, opts metav1.DeleteOptions) error {
	current := c.find(kind, namespace, name)
	if current == nil {
		return apierrors.NewNotFound(resourceOf(kind), name)
	}
	if p := opts.Preconditions; p != nil {
		if p.UID != nil && *p.UID != current.GetUID() {
			return apierrors.NewConflict(resourceOf(kind), name, fmt.Errorf(
				"the UID in the precondition (%s) does not match the UID in record (%s). "+
					"The object might have been deleted and then recreated",
				*p.UID,
				current.GetUID(),
			))
		}
		if p.ResourceVersion != nil && *p.ResourceVersion != current.GetResourceVersion() {
			return apierrors.NewConflict(resourceOf(kind), name, fmt.Errorf(
				"the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s)",
				*p.ResourceVersion, current.GetResourceVersion()))
		}
	}
	if pod, ok := current.(*corev1.Pod); ok {
		c.deletePod(pod, opts)
		return nil
	}
	next := current.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
	c.propagate(kind, next, opts.PropagationPolicy)
	if next.GetDeletionTimestamp() == nil {
		now, zero := c.serverTime(), int64(0)
		next.SetDeletionTimestamp(&now)
		next.SetDeletionGracePeriodSeconds(&zero)
		next.SetGeneration(next.GetGeneration() + 1)
	}
	if !equality.Semantic.DeepEqual(current, next) || len(next.GetFinalizers()) == 0 {
		c.store(kind, current, next)
	}
	return nil
}

// propagate sets the garbage collector's finalizers as the policy says. That of a batch/v1 Job is Orphan unless it is named.
func (c *Cluster) propagate(kind Kind, obj client.Object, policy *metav1.DeletionPropagation) {
	finalizers := obj.GetFinalizers()
	want := ""
	switch {
	case policy != nil && *policy == metav1.DeletePropagationOrphan:
		want = metav1.FinalizerOrphanDependents
	case policy != nil && *policy == metav1.DeletePropagationForeground:
		want = metav1.FinalizerDeleteDependents
	case policy != nil:
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		want = metav1.FinalizerOrphanDependents
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		want = metav1.FinalizerDeleteDependents
	case kind == Jobs:
		want = metav1.FinalizerOrphanDependents
	}
	finalizers = slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	if want != "" {
		finalizers = append(finalizers, want)
	}
	obj.SetFinalizers(finalizers)
}

// deletePod is BeforeDelete of registry/rest/delete.go with CheckGracefulDelete of the Pod's strategy.
func (c *Cluster) deletePod(current *corev1.Pod, opts metav1.DeleteOptions) {
	next := current.DeepCopy()
	now := c.serverTime()
	grace := opts.GracePeriodSeconds
	if grace != nil && *grace < 0 {
		one := int64(1)
		grace = &one
	}
	if next.DeletionTimestamp != nil {
		held := next.DeletionGracePeriodSeconds
		switch {
		case held == nil || *held == 0:
			if len(next.Finalizers) == 0 {
				c.removePod(current, false)
			}
			return
		case grace == nil || *grace >= *held:
			return // a graceful deletion is pending
		}
		period := *grace
		at := metav1.Time{Time: next.DeletionTimestamp.Add(time.Duration(period-*held) * time.Second)}
		if at.Before(&now) {
			at = now
			if period != 0 {
				period = 1
			}
		}
		next.DeletionTimestamp, next.DeletionGracePeriodSeconds = &at, &period
	} else {
		period := int64(0)
		switch {
		case grace != nil:
			period = *grace
		case next.Spec.TerminationGracePeriodSeconds != nil:
			period = *next.Spec.TerminationGracePeriodSeconds
		}
		if next.Spec.NodeName == "" || podEnded(next) {
			period = 0
		}
		at := metav1.Time{Time: now.Add(time.Duration(period) * time.Second)}
		next.DeletionTimestamp, next.DeletionGracePeriodSeconds = &at, &period
		next.Generation++
	}
	if *next.DeletionGracePeriodSeconds == 0 && len(next.Finalizers) == 0 {
		c.removePod(current, grace != nil && *grace == 0)
		return
	}
	if *next.DeletionGracePeriodSeconds == 0 && grace != nil && *grace == 0 {
		c.declareDead(current, "a deletion with grace 0 by "+c.by)
	}
	c.store(Pods, current, next)
}

func (c *Cluster) removePod(current *corev1.Pod, forced bool) {
	if forced {
		c.declareDead(current, "a deletion with grace 0 by "+c.by)
	}
	c.remove(Pods, current)
}

// Operator begins the name of each process of the operator: what it does itself is no excuse for it.
const Operator = "controller"

// declareDead notes that the processes of a Pod are from now on taken to be dead, whether they are or not.
func (c *Cluster) declareDead(pod *corev1.Pod, why string) {
	if strings.HasPrefix(c.by, Operator) {
		return
	}
	for _, p := range c.processes {
		if p.Pod == pod.UID && p.Running() && p.DeclaredDead == "" {
			p.DeclaredDead = why
			c.tell("container %s of Pod %s is declared dead by %s, and still runs on node %s", p.Container, p.PodName, why, p.Node)
		}
	}
}

// copyInto gives a caller's object the content of a stored one.
func copyInto(into, from client.Object, deep bool) {
	if deep {
		from = from.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
	}
	switch into := into.(type) {
	case *v1alpha1.SpiderJob:
		*into = *from.(*v1alpha1.SpiderJob) //nolint:forcetypeassert // The caller gives two objects of one type.
	case *v1alpha1.Spider:
		*into = *from.(*v1alpha1.Spider) //nolint:forcetypeassert // As above.
	case *batchv1.Job:
		*into = *from.(*batchv1.Job) //nolint:forcetypeassert // As above.
	case *corev1.Pod:
		*into = *from.(*corev1.Pod) //nolint:forcetypeassert // As above.
	case *corev1.Event:
		*into = *from.(*corev1.Event) //nolint:forcetypeassert // As above.
	default:
		panic(fmt.Sprintf("the simulated cluster knows no %T", into))
	}
}

// newPod makes the Pod of a Job as its controller does.
func (c *Cluster) newPod(job *batchv1.Job, name string) *corev1.Pod {
	template := job.Spec.Template.DeepCopy()
	labels := maps.Clone(template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["batch.kubernetes.io/controller-uid"] = string(job.UID)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, Name: name, Labels: labels, Annotations: template.Annotations,
			Finalizers:      []string{batchv1.JobTrackingFinalizer},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec:   template.Spec,
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}
