package spiderjob

import (
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// oldJob is the Job that the version before (commit 1ca19fa) made: the Job controller itself makes its further attempts, ignores
// those that were disrupted, and keeps a deadline of its own.
func oldJob(sj *v1alpha1.SpiderJob) *batchv1.Job {
	limit, backoff, grace, one := int64(120+30+60), int32(1), int64(30), int32(1)
	failed := batchv1.Failed
	note, err := json.Marshal(map[string]any{
		"spider": "books", "statsSource": "Scrapy", "timeoutSeconds": 120, "graceSeconds": grace, "retries": backoff,
		"interruptions": "Retry", "maxInterruptions": 3, "retentionSeconds": 3600,
		"errorFinishReasons": []string{"closespider_errorcount", "memusage_exceeded", "start_error"},
	})
	if err != nil {
		return nil
	}
	labels := map[string]string{
		v1alpha1.LabelSpiderJob: sj.Name, v1alpha1.LabelSpiderJobUID: string(sj.UID), v1alpha1.LabelSpider: sj.Spec.SpiderRef.Name,
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: sj.Namespace, Name: sj.Name, Labels: labels, Annotations: map[string]string{v1alpha1.AnnotationPlan: string(note)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(sj, v1alpha1.GroupVersion.WithKind("SpiderJob"))},
		},
		Spec: batchv1.JobSpec{
			Parallelism: &one, Completions: &one, BackoffLimit: &backoff, PodReplacementPolicy: &failed, ActiveDeadlineSeconds: &limit,
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action: batchv1.PodFailurePolicyActionIgnore,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{
					Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
				}},
			}}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace,
					Containers: []corev1.Container{{Name: v1alpha1.ContainerName, Image: "spiders:1"}},
				},
			},
		},
	}
}
