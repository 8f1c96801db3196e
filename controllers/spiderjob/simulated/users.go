package simulated

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// foreignFinalizer is a finalizer that somebody else puts on objects.
const foreignFinalizer = "backup.example/hold"

// Cancel has a user ask for a cancellation, or for a shorter grace of one. It reports whether kube-apiserver takes it.
func (c *Cluster) Cancel(sj *v1alpha1.SpiderJob, grace *int64) bool {
	if asked := sj.Spec.Cancellation; asked != nil {
		held := asked.GracePeriodSeconds
		if grace == nil && held != nil || grace != nil && held != nil && *grace > *held {
			return false // the schema's rule
		}
	}
	_, changed := modify(c, SpiderJobs, sj, func(sj *v1alpha1.SpiderJob) {
		if sj.Spec.Cancellation == nil {
			sj.Spec.Cancellation = &v1alpha1.Cancellation{RequestedBy: "ann"}
			sj.Generation++
		}
		if grace != nil && (sj.Spec.Cancellation.GracePeriodSeconds == nil || *sj.Spec.Cancellation.GracePeriodSeconds != *grace) {
			sj.Spec.Cancellation.GracePeriodSeconds = grace
			sj.Generation++
		}
	})
	return changed
}

// Keep has a user change how long a SpiderJob is kept.
func (c *Cluster) Keep(sj *v1alpha1.SpiderJob, seconds int64) {
	modify(c, SpiderJobs, sj, func(sj *v1alpha1.SpiderJob) {
		sj.Spec.TTLSecondsAfterFinished = &seconds
		sj.Generation++
	})
}

// DeleteAs has somebody delete an object.
func (c *Cluster) DeleteAs(who string, obj client.Object, opts metav1.DeleteOptions) {
	c.as(who, func() { _ = c.Delete(kindOf(obj), obj.GetNamespace(), obj.GetName(), opts) })
}

// Drain has the eviction API remove a Pod.
func (c *Cluster) Drain(pod *corev1.Pod, reason, message string) {
	c.as("the eviction API", func() {
		modify(c, Pods, pod, func(p *corev1.Pod) {
			if !podEnded(p) {
				c.setDisrupted(p, reason, message)
			}
		})
		_ = c.Delete(Pods, pod.Namespace, pod.Name, metav1.DeleteOptions{})
	})
}

// Hold puts somebody else's finalizer on an object, which kube-apiserver allows only while it is not being deleted.
func (c *Cluster) Hold(obj client.Object) {
	if obj.GetDeletionTimestamp() != nil {
		return
	}
	modify(c, kindOf(obj), obj, func(o client.Object) {
		if !slices.Contains(o.GetFinalizers(), foreignFinalizer) {
			o.SetFinalizers(append(slices.Clone(o.GetFinalizers()), foreignFinalizer))
		}
	})
}

// LetGo takes all foreign finalizers off.
func (c *Cluster) LetGo() {
	for _, kind := range []Kind{SpiderJobs, Jobs, Pods} {
		for _, obj := range slices.Clone(c.objects[kind]) {
			if slices.Contains(obj.GetFinalizers(), foreignFinalizer) {
				c.unfinalize(kind, obj, foreignFinalizer)
			}
		}
	}
}

// Suspend has a queue suspend or resume a Job.
func (c *Cluster) Suspend(job *batchv1.Job, yes bool) {
	if job.DeletionTimestamp != nil || jobOver(job) || suspended(job) == yes {
		return
	}
	modify(c, Jobs, job, func(j *batchv1.Job) {
		j.Spec.Suspend = &yes
		j.Generation++
	})
}

// ExpireEvents removes Events that are older than their hour.
func (c *Cluster) ExpireEvents() {
	old := time.Now().Add(c.Skew - time.Hour)
	for _, e := range All[*corev1.Event](c, Events) {
		if e.LastTimestamp.Time.Before(old) {
			c.remove(Events, e)
		}
	}
}
