package controller

import (
	"context"
	"fmt"
	"maps"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

const (
	// namespace is where all jobs are. Its service account exists as soon as the control plane runs.
	namespace = metav1.NamespaceDefault
	// spiderName is the Spider that SpiderJobs run, staysName the one whose Pods run until they are deleted; stages.yaml knows
	// the latter's label of the same name.
	spiderName, staysName = "load", "stays"
	// The names of the two subjects that are compared.
	spiderSubject, jobSubject = "spiderjobs", "jobs"
)

// subject is a kind of job that is compared.
type subject struct {
	// name is a word for tables and names.
	name string
	// make makes the job of that name.
	make func(name string) client.Object
}

// spiderJobs are SpiderJobs of a Spider.
func spiderJobs(name, spider string) subject {
	return subject{name: name, make: func(name string) client.Object { return newSpiderJob(namespace, name, spider) }}
}

// bareJobs are Jobs like the one the operator makes of a SpiderJob, of which an example is given.
func bareJobs(example *batchv1.Job) subject {
	spec := example.Spec.DeepCopy()
	spec.Selector = nil
	maps.DeleteFunc(spec.Template.Labels, func(label, _ string) bool {
		// kube-apiserver sets the first two, and the operator finds its own Jobs by the third.
		return strings.Contains(label, "controller-uid") || strings.Contains(label, "job-name") ||
			strings.HasPrefix(label, v1alpha1.LabelSpiderJob)
	})
	return subject{name: jobSubject, make: func(name string) client.Object {
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: *spec.DeepCopy()}
	}}
}

// newSpider has a command of its own, so that no log is read: KWOK has none.
func newSpider(namespace, name string) *v1alpha1.Spider {
	return &v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.SpiderSpec{Image: "spider:load", Command: []string{"/crawl"}},
	}
}

func newSpiderJob(namespace, name, spider string) *v1alpha1.SpiderJob {
	return &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: spider}, Arguments: system.Arguments()},
	}
}

// examples are the Job of a SpiderJob that has ended, and its status.
func (b *bench) examples(ctx context.Context) (*batchv1.Job, v1alpha1.SpiderJobStatus, error) {
	var list v1alpha1.SpiderJobList
	if err := b.Client.List(ctx, &list, client.InNamespace(namespace), client.Limit(1)); err != nil || len(list.Items) == 0 {
		return nil, v1alpha1.SpiderJobStatus{}, fmt.Errorf("find a SpiderJob that has ended: %w", err)
	}
	var job batchv1.Job
	err := b.Client.Get(ctx, client.ObjectKeyFromObject(&list.Items[0]), &job)
	return &job, list.Items[0].Status, err
}

// clear deletes all jobs and waits until they and their Pods are gone.
func (b *bench) clear(ctx context.Context) error {
	// SpiderJobs go first: the operator would otherwise miss their Jobs.
	for _, kind := range []client.Object{&v1alpha1.SpiderJob{}, &batchv1.Job{}, &corev1.Pod{}} {
		err := b.Client.DeleteAllOf(ctx, kind, client.InNamespace(namespace), client.GracePeriodSeconds(0),
			client.PropagationPolicy(metav1.DeletePropagationBackground))
		if err != nil {
			return fmt.Errorf("delete all %T: %w", kind, err)
		}
	}
	return b.Until(ctx, "jobs and Pods are gone", func(ctx context.Context) (bool, error) {
		for _, list := range []client.ObjectList{&v1alpha1.SpiderJobList{}, &batchv1.JobList{}, &corev1.PodList{}} {
			err := b.Client.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
			if err != nil || apimeta.LenList(list) > 0 {
				return false, err
			}
		}
		return true, nil
	})
}
