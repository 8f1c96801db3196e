package spiderjob

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/earlier"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Caches says what a cache keeps of the controller's kinds: only the operator's own Jobs and Pods, and of all objects only what
// is read. Callers share the objects they get from it, and must not change them.
func Caches() (map[client.Object]cache.ByObject, error) {
	ours, err := labels.NewRequirement(v1alpha1.LabelSpiderJob, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("select the operator's own objects: %w", err)
	}
	selector := labels.NewSelector().Add(*ours)
	return map[client.Object]cache.ByObject{
		&batchv1.Job{}:        {Label: selector, Transform: transform(slimJob)},
		&corev1.Pod{}:         {Label: selector, Transform: transform(slimPod)},
		&v1alpha1.SpiderJob{}: {Transform: transform(slimCachedSpiderJob)},
	}, nil
}

// transform applies slim in a cache, which may also hold tombstones.
func transform[T client.Object](slim func(T)) func(any) (any, error) {
	return func(obj any) (any, error) {
		if object, ok := obj.(T); ok {
			slim(object)
		}
		return obj, nil
	}
}

// slimSpiderJob drops what the controller never reads of a SpiderJob: ended SpiderJobs stay cached until their TTL, possibly
// many. A slimmed status must not be written, and is not (record.go).
func slimSpiderJob(sj *v1alpha1.SpiderJob) {
	generation := sj.Generation
	sj.ObjectMeta = slimMeta(&sj.ObjectMeta)
	sj.Generation = generation
	if !sj.Status.Phase.Terminal() {
		return
	}
	sj.Spec = v1alpha1.SpiderJobSpec{
		SpiderRef: sj.Spec.SpiderRef, TTLSecondsAfterFinished: sj.Spec.TTLSecondsAfterFinished, ScheduledFor: sj.Spec.ScheduledFor,
	}
	sj.Status = v1alpha1.SpiderJobStatus{
		ObservedGeneration:      sj.Status.ObservedGeneration,
		Phase:                   sj.Status.Phase,
		Reason:                  knownReason(sj.Status.Reason), // for the metrics
		FinishedAt:              sj.Status.FinishedAt,
		JobUID:                  sj.Status.JobUID,
		TTLSecondsAfterFinished: sj.Status.TTLSecondsAfterFinished,
		ComparisonKey:           earlier.Pack(&sj.Status),
	}
}

// annotationOmitted marks a SpiderJob whose arguments are left out of the cache. No object of the cluster has it.
const annotationOmitted = "scrapethis.app/arguments-omitted"

// slimCachedSpiderJob is slimSpiderJob for the cache. It also drops long arguments, which may be 32 KiB, and are needed only to
// create a Job, for which the SpiderJob is read live. Once the Job exists, it drops the others.
func slimCachedSpiderJob(sj *v1alpha1.SpiderJob) {
	slimSpiderJob(sj)
	omitArguments(sj)
}

func omitArguments(sj *v1alpha1.SpiderJob) {
	size := allowed.ArgumentsBytes(sj.Spec.Arguments)
	if size > allowed.KeptArgumentsBytes || size > 0 && (sj.Status.JobUID != "" || sj.Status.AttemptFrom != nil) {
		sj.Spec.Arguments = nil
		sj.Annotations = map[string]string{annotationOmitted: ""}
	}
}

// argumentsOmitted reports whether the arguments of a SpiderJob have to be read live.
func argumentsOmitted(sj *v1alpha1.SpiderJob) bool {
	_, omitted := sj.Annotations[annotationOmitted]
	return omitted
}

// slimJob drops what the controller never reads of a Job. That saves memory, and reconciles: an update of a dropped field
// changes nothing. Objects that are read live are slimmed, too, so that no decision can depend on a field whose change would
// not cause a reconcile.
func slimJob(job *batchv1.Job) {
	var annotations map[string]string
	if note, ok := job.Annotations[v1alpha1.AnnotationPlan]; ok {
		annotations = map[string]string{v1alpha1.AnnotationPlan: note}
	}
	var containers []corev1.Container
	for i := range job.Spec.Template.Spec.Containers {
		c := &job.Spec.Template.Spec.Containers[i]
		containers = append(containers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	*job = batchv1.Job{
		ObjectMeta: slimMeta(&job.ObjectMeta),
		Spec: batchv1.JobSpec{
			Suspend:               job.Spec.Suspend,
			BackoffLimit:          job.Spec.BackoffLimit,
			ActiveDeadlineSeconds: job.Spec.ActiveDeadlineSeconds,
			ManagedBy:             job.Spec.ManagedBy,
			Template:              corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: containers}},
		},
		Status: batchv1.JobStatus{StartTime: job.Status.StartTime, Conditions: job.Status.Conditions},
	}
	job.Annotations = annotations
}

// slimPod drops what the controller never reads of a Pod, as slimJob does of a Job.
func slimPod(pod *corev1.Pod) {
	var containers []corev1.Container
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == v1alpha1.ContainerName {
			limits := corev1.ResourceList{corev1.ResourceMemory: limit}
			containers = append(containers, corev1.Container{Name: c.Name, Resources: corev1.ResourceRequirements{Limits: limits}})
		}
	}
	spec := corev1.PodSpec{
		Containers:                    containers,
		NodeName:                      pod.Spec.NodeName,
		TerminationGracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds,
		ActiveDeadlineSeconds:         pod.Spec.ActiveDeadlineSeconds,
	}
	status := corev1.PodStatus{
		Phase: pod.Status.Phase, Reason: pod.Status.Reason, Message: pod.Status.Message,
		ContainerStatuses:     slimContainers(pod.Status.ContainerStatuses),
		InitContainerStatuses: slimContainers(pod.Status.InitContainerStatuses),
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodScheduled || c.Type == corev1.DisruptionTarget {
			status.Conditions = append(status.Conditions, corev1.PodCondition{
				Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message,
			})
		}
	}
	*pod = corev1.Pod{ObjectMeta: slimMeta(&pod.ObjectMeta), Spec: spec, Status: status}
}

func slimContainers(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	if len(statuses) == 0 {
		return nil
	}
	slim := make([]corev1.ContainerStatus, 0, len(statuses))
	for i := range statuses {
		c := &statuses[i]
		slim = append(slim, corev1.ContainerStatus{Name: c.Name, RestartCount: c.RestartCount, State: c.State})
		if c.Name == v1alpha1.ContainerName {
			slim[i].ImageID = c.ImageID
		}
	}
	return slim
}

func slimMeta(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	var ours map[string]string
	for _, label := range []string{
		v1alpha1.LabelSpiderJob, v1alpha1.LabelSpiderJobUID, v1alpha1.LabelSchedule, v1alpha1.LabelOrigin,
	} {
		if value, ok := meta.Labels[label]; ok {
			if ours == nil {
				ours = make(map[string]string, 2) // a schedule's are few
			}
			ours[label] = value
		}
	}
	return metav1.ObjectMeta{
		Namespace:                  meta.Namespace,
		Name:                       meta.Name,
		UID:                        meta.UID,
		ResourceVersion:            meta.ResourceVersion,
		CreationTimestamp:          meta.CreationTimestamp,
		DeletionTimestamp:          meta.DeletionTimestamp,
		DeletionGracePeriodSeconds: meta.DeletionGracePeriodSeconds,
		Labels:                     ours,
		OwnerReferences:            meta.OwnerReferences,
		Finalizers:                 othersFinalizers(meta.Finalizers),
	}
}
