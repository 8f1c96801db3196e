package main

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
)

const (
	// namespace is where all jobs are. Its service account is there as soon as the control plane is.
	namespace = metav1.NamespaceDefault
	// spiderName is the Spider that all SpiderJobs run.
	spiderName = "bench"
	// spiderSubject names the subject that is no bare Job.
	spiderSubject = "spiderjobs"
	// argumentBytes is the size of each SpiderJob's arguments, names and values.
	argumentBytes = 200
)

// subject is what is compared: a kind of job.
type subject struct {
	// name is a word for tables and names.
	name string
	// bare says that these are Jobs, and no SpiderJobs.
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
		// Those the API server fills in, and that by which the operator knows its own.
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
		Spec:       v1alpha1.SpiderSpec{Image: "spider:bench", Command: []string{"/crawl"}},
	}
}

// runByFile has a spider run by its file, still without a log to read.
func runByFile(spider *v1alpha1.Spider) {
	spider.Spec.Command, spider.Spec.RepoPath = nil, "spiders/bench.py"
	spider.Spec.StatsSource = v1alpha1.StatsFromTerminationMessage
}

func newSpiderJob(name string) *v1alpha1.SpiderJob {
	const url = "start_url"
	value := "https://example.com/" + strings.Repeat("x", argumentBytes)
	return &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.SpiderJobSpec{
			SpiderRef: v1alpha1.SpiderReference{Name: spiderName},
			Arguments: map[string]v1alpha1.ArgumentValue{url: v1alpha1.ArgumentValue(value[:argumentBytes-len(url)])},
		},
	}
}

// clear deletes all jobs and waits until they and their Pods are gone.
func (s *system) clear(ctx context.Context) error {
	background := client.PropagationPolicy(metav1.DeletePropagationBackground)
	for _, deletion := range []struct {
		kind   client.Object
		option client.DeleteAllOfOption
	}{
		{&v1alpha1.SpiderJob{}, background},
		{&batchv1.Job{}, background},
		{&corev1.Pod{}, client.GracePeriodSeconds(0)},
	} {
		if err := s.Client.DeleteAllOf(ctx, deletion.kind, client.InNamespace(namespace), deletion.option); err != nil {
			return fmt.Errorf("delete all %T: %w", deletion.kind, err)
		}
	}
	return s.until(ctx, "jobs and Pods are gone", func(ctx context.Context) (bool, error) {
		for _, list := range []client.ObjectList{&v1alpha1.SpiderJobList{}, &batchv1.JobList{}, &corev1.PodList{}} {
			if err := s.Client.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); err != nil {
				return false, fmt.Errorf("list what is left: %w", err)
			}
			if apimeta.LenList(list) > 0 {
				return false, nil
			}
		}
		return true, nil
	})
}
