package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// timeline is when, by this process's clock, what became of one job was seen; zero for never.
type timeline struct {
	// created is when the call that created it returned.
	created time.Time
	// job is when its batch/v1 Job was seen.
	job time.Time
	// podRunning and podEnded are when its Pod was seen in these phases.
	podRunning, podEnded time.Time
	// pod is the name of its Pod, and podDeleted when that was seen to be deleted.
	pod        string
	podDeleted time.Time
	// cancelled is when its cancellation was asked for.
	cancelled time.Time
	// running and ended are when its own status was seen to say so: the SpiderJob's or, without one, the Job's.
	running, ended time.Time
	// refused is when its status was seen to say that a quota has no room for it.
	refused time.Time
}

// observer watches Jobs, Pods and SpiderJobs, and writes down when it sees what.
type observer struct {
	mu sync.Mutex
	// prefix begins the names of the jobs of the current run. All others are of no interest.
	prefix string
	// bare says that the run is one of bare Jobs.
	bare     bool
	jobs     map[string]*timeline
	ended    int
	lastEnd  time.Time
	failures []error
}

// newObserver returns an observer that watches until ctx ends.
func newObserver(ctx context.Context, s *system) (*observer, error) {
	o := &observer{}
	config := rest.CopyConfig(s.Config)
	config.DisableCompression = true // to measure is to cost as little as can be
	watches, err := cache.New(config, cache.Options{
		Scheme:            s.Client.Scheme(),
		Mapper:            s.Client.RESTMapper(),
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform:  slim,
	})
	if err != nil {
		return nil, fmt.Errorf("make the observer: %w", err)
	}
	for _, kind := range []client.Object{&batchv1.Job{}, &corev1.Pod{}, &v1alpha1.SpiderJob{}} {
		informer, err := watches.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("observe %T: %w", kind, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { o.see(obj, time.Now()) },
			UpdateFunc: func(_, obj any) { o.see(obj, time.Now()) },
			DeleteFunc: func(obj any) { o.see(obj, time.Now()) },
		})
		if err != nil {
			return nil, fmt.Errorf("observe %T: %w", kind, err)
		}
	}
	go func() {
		if err := watches.Start(ctx); err != nil {
			o.fail(fmt.Errorf("observe: %w", err))
		}
	}()
	if !watches.WaitForCacheSync(ctx) {
		return nil, errors.New("the observer's watches do not start")
	}
	return o, nil
}

// slim keeps of an object what see looks at.
func slim(obj any) (any, error) {
	meta := func(m metav1.ObjectMeta) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Labels: m.Labels,
			DeletionTimestamp: m.DeletionTimestamp,
		}
	}
	switch obj := obj.(type) {
	case *batchv1.Job:
		return &batchv1.Job{ObjectMeta: meta(obj.ObjectMeta), Status: obj.Status}, nil
	case *corev1.Pod:
		return &corev1.Pod{ObjectMeta: meta(obj.ObjectMeta), Status: corev1.PodStatus{Phase: obj.Status.Phase}}, nil
	case *v1alpha1.SpiderJob:
		return &v1alpha1.SpiderJob{ObjectMeta: meta(obj.ObjectMeta), Status: obj.Status}, nil
	}
	return obj, nil
}

// begin starts a run of jobs whose names begin with prefix.
func (o *observer) begin(prefix string, bare bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.prefix, o.bare, o.jobs, o.ended, o.lastEnd = prefix, bare, map[string]*timeline{}, 0, time.Time{}
}

// created notes that the call that created a job has returned.
func (o *observer) created(name string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(name).created = at
}

// cancelled notes that the cancellation of a job is asked for.
func (o *observer) cancelled(name string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(name).cancelled = at
}

// pod is the name of a job's Pod.
func (o *observer) pod(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of(name).pod
}

// progress is how many jobs have ended, and what has failed.
func (o *observer) progress() (ended int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended, errors.Join(o.failures...)
}

// running is how many jobs were seen to run, whether they have ended or not.
func (o *observer) running() int {
	return o.count(func(t *timeline) bool { return !t.running.IsZero() })
}

// refused is how many jobs were seen to wait for room in a quota.
func (o *observer) refused() int {
	return o.count(func(t *timeline) bool { return !t.refused.IsZero() })
}

// count is how many jobs are so.
func (o *observer) count(is func(*timeline) bool) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, t := range o.jobs {
		if is(t) {
			n++
		}
	}
	return n
}

// finish ends the run and returns its jobs, and when the last of them was seen to end.
func (o *observer) finish() (jobs map[string]*timeline, lastEnd time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	jobs, o.jobs = o.jobs, nil
	return jobs, o.lastEnd
}

func (o *observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = append(o.failures, err)
}

// of returns a job's timeline. The caller holds the lock.
func (o *observer) of(name string) *timeline {
	t := o.jobs[name]
	if t == nil {
		t = &timeline{}
		o.jobs[name] = t
	}
	return t
}

func (o *observer) see(obj any, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.jobs == nil {
		return
	}
	switch obj := obj.(type) {
	case *batchv1.Job:
		if strings.HasPrefix(obj.Name, o.prefix) {
			o.seeJob(obj, now)
		}
	case *corev1.Pod:
		if name := obj.Labels[batchv1.JobNameLabel]; strings.HasPrefix(name, o.prefix) {
			t := o.of(name)
			t.pod = obj.Name
			note(&t.podDeleted, now, obj.DeletionTimestamp != nil)
			note(&t.podRunning, now, obj.Status.Phase == corev1.PodRunning)
			note(&t.podEnded, now, obj.Status.Phase == corev1.PodSucceeded || obj.Status.Phase == corev1.PodFailed)
		}
	case *v1alpha1.SpiderJob:
		if strings.HasPrefix(obj.Name, o.prefix) {
			t := o.of(obj.Name)
			note(&t.running, now, obj.Status.Phase == v1alpha1.PhaseRunning)
			note(&t.refused, now, obj.Status.Reason == v1alpha1.ReasonQuotaExceeded)
			well := obj.Status.Phase == v1alpha1.PhaseFinished || obj.Status.Phase == v1alpha1.PhaseCancelled && !t.cancelled.IsZero()
			o.end(t, now, obj.Status.Phase.Terminal(), well, obj.Name, obj.Status.Message)
		}
	}
}

func (o *observer) seeJob(job *batchv1.Job, now time.Time) {
	t := o.of(job.Name)
	note(&t.job, now, true)
	if !o.bare {
		return
	}
	note(&t.running, now, job.Status.Ready != nil && *job.Status.Ready > 0)
	for _, condition := range job.Status.Conditions {
		over := condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed
		o.end(t, now, over && condition.Status == corev1.ConditionTrue, condition.Type == batchv1.JobComplete, job.Name, condition.Message)
	}
}

// end notes the end of a job, if it has come. Every job of the benchmark has to end well.
func (o *observer) end(t *timeline, now time.Time, ended, well bool, name, message string) {
	if !ended || !t.ended.IsZero() {
		return
	}
	t.ended, o.lastEnd = now, now
	o.ended++
	if !well {
		o.failures = append(o.failures, fmt.Errorf("%s did not end well: %s", name, message))
	}
}

// note sets a time, once, if what it is of has happened.
func note(at *time.Time, now time.Time, happened bool) {
	if happened && at.IsZero() {
		*at = now
	}
}
