package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// event is a step of a job.
type event int

const (
	// created is the return of the call that created the job, cancelled the request to cancel it.
	created event = iota
	cancelled
	// hasJob is that its batch/v1 Job exists.
	hasJob
	podRunning
	podEnded
	podDeleted
	// running and ended are what its own status says: the SpiderJob's or, without one, the Job's.
	running
	ended
	// refused is that its status says that a quota has no room for it.
	refused
	events
)

// timeline is when, by this process's clock, each event of a job was first seen; zero for never.
type timeline struct {
	at [events]time.Time
	// pod is the name of the job's Pod.
	pod string
}

// set sets the time of an event, once, if it has happened.
func (t *timeline) set(of event, now time.Time, happened bool) {
	if happened && t.at[of].IsZero() {
		t.at[of] = now
	}
}

// observer watches Jobs, Pods and SpiderJobs, and records when it sees what.
type observer struct {
	mu sync.Mutex
	// prefix begins the names of the jobs of the current run. All others are ignored.
	prefix  string
	jobs    map[string]*timeline
	lastEnd time.Time
	failure error
}

// newObserver returns an observer that watches until ctx ends.
func newObserver(ctx context.Context, s *system.System) (*observer, error) {
	o := &observer{}
	config := rest.CopyConfig(s.Config)
	config.DisableCompression = true // the measurement should cost as little as possible
	watches, err := cache.New(config, cache.Options{
		Scheme:            s.Client.Scheme(),
		Mapper:            s.Client.RESTMapper(),
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
	})
	if err != nil {
		return nil, fmt.Errorf("make the observer: %w", err)
	}
	for _, kind := range []client.Object{&batchv1.Job{}, &corev1.Pod{}, &v1alpha1.SpiderJob{}} {
		informer, err := watches.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err == nil {
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				AddFunc: o.see, UpdateFunc: func(_, obj any) { o.see(obj) }, DeleteFunc: o.see,
			})
		}
		if err != nil {
			return nil, fmt.Errorf("observe %T: %w", kind, err)
		}
	}
	go func() {
		err := watches.Start(ctx)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.failure = errors.Join(o.failure, err)
	}()
	if !watches.WaitForCacheSync(ctx) {
		return nil, errors.New("the observer's watches do not start")
	}
	return o, nil
}

// begin starts a run of jobs whose names begin with prefix.
func (o *observer) begin(prefix string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.prefix, o.jobs = prefix, map[string]*timeline{}
}

// note changes the timeline of a job.
func (o *observer) note(name string, change func(*timeline)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(o.of(name))
}

// count returns how many jobs were seen to reach an event, and what has failed.
func (o *observer) count(of event) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, t := range o.jobs {
		if !t.at[of].IsZero() {
			n++
		}
	}
	return n, o.failure
}

// finish ends the run and returns its jobs, and when the last of them was seen to end.
func (o *observer) finish() (jobs []*timeline, lastEnd time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	jobs, o.jobs = slices.Collect(maps.Values(o.jobs)), nil
	return jobs, o.lastEnd
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

// see records what an object says of its job.
func (o *observer) see(obj any) {
	now := time.Now()
	object, ok := obj.(client.Object)
	if !ok {
		return // the last state of a deleted one is not known
	}
	name := object.GetName()
	pod, isPod := obj.(*corev1.Pod)
	if isPod {
		name = pod.Labels[batchv1.JobNameLabel]
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.jobs == nil || !strings.HasPrefix(name, o.prefix) {
		return
	}
	t := o.of(name)
	switch obj := obj.(type) {
	case *batchv1.Job:
		t.set(hasJob, now, true)
		if metav1.GetControllerOf(obj) != nil {
			return // the status of its SpiderJob counts
		}
		t.set(running, now, obj.Status.Ready != nil && *obj.Status.Ready > 0)
		for _, condition := range obj.Status.Conditions {
			over := condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed
			if over && condition.Status == corev1.ConditionTrue {
				o.end(t, now, condition.Type == batchv1.JobComplete, name, condition.Message)
			}
		}
	case *corev1.Pod:
		t.pod = obj.Name
		t.set(podDeleted, now, obj.DeletionTimestamp != nil)
		t.set(podRunning, now, obj.Status.Phase == corev1.PodRunning)
		t.set(podEnded, now, obj.Status.Phase == corev1.PodSucceeded || obj.Status.Phase == corev1.PodFailed)
	case *v1alpha1.SpiderJob:
		phase := obj.Status.Phase
		t.set(running, now, phase == v1alpha1.PhaseRunning)
		t.set(refused, now, obj.Status.Reason == v1alpha1.ReasonQuotaExceeded)
		if phase.Terminal() {
			well := phase == v1alpha1.PhaseFinished || phase == v1alpha1.PhaseCancelled && !t.at[cancelled].IsZero()
			o.end(t, now, well, name, obj.Status.Message)
		}
	}
}

// end records the end of a job. Every job of the measurement has to end well.
func (o *observer) end(t *timeline, now time.Time, well bool, name, message string) {
	if !t.at[ended].IsZero() {
		return
	}
	t.at[ended], o.lastEnd = now, now
	if !well {
		o.failure = errors.Join(o.failure, fmt.Errorf("%s did not end well: %s", name, message))
	}
}
