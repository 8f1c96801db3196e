package spiderjob

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

var (
	jobsDesc = prometheus.NewDesc("spider_operator_jobs",
		"SpiderJobs that there are, by phase and reason. Reported by the leader.", []string{"phase", "reason"}, nil)
	oldestPendingDesc = prometheus.NewDesc("spider_operator_oldest_pending_seconds",
		"Age of the oldest SpiderJob that is Pending, by reason. Reported by the leader.", []string{"reason"}, nil)
	oldestStopDesc = prometheus.NewDesc("spider_operator_oldest_stop_seconds",
		"Time since the oldest stop that is under way was decided, 0 where there is none. Reported by the leader.", nil, nil)
)

// jobCounts counts the SpiderJobs in a cache by their state. It follows each change, so that reading the counts costs the same
// for any number, except for Pending ones: it knows each of these, to find the oldest.
//
// It is a manager.Runnable, which starts when the process leads, and makes no requests to kube-apiserver.
type jobCounts struct {
	cache cache.Informers
	clock clock.PassiveClock

	mu      sync.Mutex
	jobs    map[condition]int
	pending map[types.UID]pendingJob
	stops   map[types.UID]time.Time
}

// condition is the phase of a SpiderJob and its reason, as metrics name them.
type condition struct {
	phase  v1alpha1.Phase
	reason string
}

// pendingJob is a SpiderJob that is Pending.
type pendingJob struct {
	reason string
	since  time.Time
}

func newJobCounts(informers cache.Informers, now clock.PassiveClock) *jobCounts {
	return &jobCounts{
		cache: informers, clock: now,
		jobs: map[condition]int{}, pending: map[types.UID]pendingJob{}, stops: map[types.UID]time.Time{},
	}
}

// Start follows the cache until ctx ends, and shows the counts meanwhile.
func (p *jobCounts) Start(ctx context.Context) error {
	informer, err := p.cache.GetInformer(ctx, &v1alpha1.SpiderJob{})
	if err == nil {
		_, err = informer.AddEventHandler(p)
	}
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // It failed because the process is about to end.
	case err != nil:
		return fmt.Errorf("count SpiderJobs: %w", err)
	}
	shownCounts.shown.Store(p)
	<-ctx.Done()
	shownCounts.shown.CompareAndSwap(p, nil)
	return nil
}

func conditionOf(sj *v1alpha1.SpiderJob) condition {
	c := condition{phase: sj.Status.Phase, reason: knownReason(sj.Status.Reason)}
	if c.phase == "" {
		c.phase = v1alpha1.PhasePending
	}
	return c
}

// OnAdd is called for a SpiderJob that is new, or was there before.
func (p *jobCounts) OnAdd(obj any, _ bool) {
	if sj, ok := obj.(*v1alpha1.SpiderJob); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.enter(sj, conditionOf(sj))
	}
}

// OnUpdate is called for a SpiderJob that has changed.
func (p *jobCounts) OnUpdate(before, after any) {
	was, ok := before.(*v1alpha1.SpiderJob)
	is, ok2 := after.(*v1alpha1.SpiderJob)
	if !ok || !ok2 {
		return
	}
	from, to := conditionOf(was), conditionOf(is)
	if from == to && was.UID == is.UID && stopSince(was).Equal(stopSince(is)) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(was, from)
	p.enter(is, to)
}

// OnDelete is called for a SpiderJob that is gone.
func (p *jobCounts) OnDelete(obj any) {
	if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if sj, ok := obj.(*v1alpha1.SpiderJob); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leave(sj, conditionOf(sj))
	}
}

func (p *jobCounts) enter(sj *v1alpha1.SpiderJob, c condition) {
	p.jobs[c]++
	if c.phase == v1alpha1.PhasePending {
		p.pending[sj.UID] = pendingJob{reason: c.reason, since: sj.CreationTimestamp.Time}
	}
	if since := stopSince(sj); !since.IsZero() {
		p.stops[sj.UID] = since
	}
}

// stopSince returns when the current stop was decided, zero if there is none.
func stopSince(sj *v1alpha1.SpiderJob) time.Time {
	if stop := sj.Status.Stop; stop != nil && stop.Since != nil {
		return stop.Since.Time
	}
	return time.Time{}
}

func (p *jobCounts) leave(sj *v1alpha1.SpiderJob, c condition) {
	p.jobs[c]--
	if c.phase == v1alpha1.PhasePending {
		delete(p.pending, sj.UID)
	}
	delete(p.stops, sj.UID)
}

// oldest returns when the oldest Pending SpiderJob was created, by reason. The caller holds the mutex.
func (p *jobCounts) oldest() map[string]time.Time {
	oldest := map[string]time.Time{}
	for _, w := range p.pending {
		if since, found := oldest[w.reason]; !found || w.since.Before(since) {
			oldest[w.reason] = w.since
		}
	}
	return oldest
}

// collect reports the counts. A series that was once there and is now empty is reported as 0.
func (p *jobCounts) collect(metrics chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, n := range p.jobs {
		metrics <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(n), string(c.phase), c.reason)
	}
	now := p.clock.Now()
	for reason, since := range p.oldest() {
		age := max(now.Sub(since), 0).Seconds()
		metrics <- prometheus.MustNewConstMetric(oldestPendingDesc, prometheus.GaugeValue, age, reason)
	}
	oldest := now
	for _, since := range p.stops {
		if since.Before(oldest) {
			oldest = since
		}
	}
	metrics <- prometheus.MustNewConstMetric(oldestStopDesc, prometheus.GaugeValue, now.Sub(oldest).Seconds())
}

// shownCounts shows the counts of the controller that leads in this process, and nothing while none does: of several replicas
// only one counts.
var shownCounts shownToPrometheus

type shownToPrometheus struct{ shown atomic.Pointer[jobCounts] }

// Describe implements prometheus.Collector.
func (s *shownToPrometheus) Describe(descs chan<- *prometheus.Desc) {
	descs <- jobsDesc
	descs <- oldestPendingDesc
	descs <- oldestStopDesc
}

// Collect implements prometheus.Collector.
func (s *shownToPrometheus) Collect(metrics chan<- prometheus.Metric) {
	if p := s.shown.Load(); p != nil {
		p.collect(metrics)
	}
}
