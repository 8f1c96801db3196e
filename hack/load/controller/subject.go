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
	// spiderSubject names the subject that is not a bare Job.
	spiderSubject = "spiderjobs"
)

// subject is a kind of job that is compared.
type subject struct {
	// name is a word for tables and names.
	name string
	// bare says that these are Jobs without SpiderJobs.
	bare bool
	// make makes the job of that name.
	make func(name string) client.Object
}

func spiderJobs() subject {
	return subject{name: spiderSubject, make: func(name string) client.Object { return newSpiderJob(name) }}
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
	return subject{name: "jobs", bare: true, make: func(name string) client.Object {
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: *spec.DeepCopy()}
	}}
}

// newSpider has a command of its own, so that no log is read: KWOK has none.
func newSpider() *v1alpha1.Spider {
	return &v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: spiderName},
		Spec:       v1alpha1.SpiderSpec{Image: "spider:load", Command: []string{"/crawl"}},
	}
}

// runByFile has a spider run by its file, still without a log to read.
func runByFile(spider *v1alpha1.Spider) {
	spider.Spec.Command, spider.Spec.RepoPath = nil, "spiders/load.py"
	spider.Spec.StatsSource = v1alpha1.StatsFromTerminationMessage
}

func newSpiderJob(name string) *v1alpha1.SpiderJob {
	return &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: spiderName}, Arguments: system.Arguments()},
	}
}

// staying makes the Spider of SpiderJobs that run until they are deleted. It is called once.
func (b *bench) staying(ctx context.Context) (subject, error) {
	spider := newSpider()
	spider.Name = staysName
	spider.Spec.Pod.Labels = map[string]v1alpha1.LabelValue{staysName: "true"}
	if err := b.Create(ctx, spider); err != nil {
		return subject{}, err
	}
	return subject{name: staysName, make: func(name string) client.Object {
		job := newSpiderJob(name)
		job.Spec.SpiderRef.Name = staysName
		return job
	}}, nil
}

// examples are the Job of a SpiderJob that has ended, and its status.
func (b *bench) examples(ctx context.Context) (*batchv1.Job, v1alpha1.SpiderJobStatus, error) {
	var list v1alpha1.SpiderJobList
	if err := b.Client.List(ctx, &list, client.InNamespace(namespace), client.Limit(1)); err != nil || len(list.Items) == 0 {
		return nil, v1alpha1.SpiderJobStatus{}, fmt.Errorf("find a SpiderJob that has ended: %w", err)
	}
	var job batchv1.Job
	if err := b.Client.Get(ctx, client.ObjectKeyFromObject(&list.Items[0]), &job); err != nil {
		return nil, v1alpha1.SpiderJobStatus{}, fmt.Errorf("get the Job of SpiderJob %s: %w", list.Items[0].Name, err)
	}
	return &job, list.Items[0].Status, nil
}

// clear deletes all jobs and waits until they and their Pods are gone.
func (b *bench) clear(ctx context.Context) error {
	background := client.PropagationPolicy(metav1.DeletePropagationBackground)
	for _, deletion := range []struct {
		kind   client.Object
		option client.DeleteAllOfOption
	}{
		{&v1alpha1.SpiderJob{}, background},
		{&batchv1.Job{}, background},
		{&corev1.Pod{}, client.GracePeriodSeconds(0)},
	} {
		if err := b.Client.DeleteAllOf(ctx, deletion.kind, client.InNamespace(namespace), deletion.option); err != nil {
			return fmt.Errorf("delete all %T: %w", deletion.kind, err)
		}
	}
	return b.Until(ctx, "jobs and Pods are gone", func(ctx context.Context) (bool, error) {
		for _, list := range []client.ObjectList{&v1alpha1.SpiderJobList{}, &batchv1.JobList{}, &corev1.PodList{}} {
			if err := b.Client.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); err != nil {
				return false, fmt.Errorf("list what is left: %w", err)
			}
			if apimeta.LenList(list) > 0 {
				return false, nil
			}
		}
		return true, nil
	})
}
