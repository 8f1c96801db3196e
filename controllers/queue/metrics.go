package queue

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// measureInterval is the time between two measurements of what lasts, as in Kubernetes' own queues.
const measureInterval = 500 * time.Millisecond

// Metrics are what Prometheus is told of a queue: the series of controller-runtime's queues, under their names, so that whatever
// was made for those shows this one, and the longest wait by class.
type Metrics struct {
	depth                      [ranks]prometheus.Gauge
	adds, retries              prometheus.Counter
	latency, work              prometheus.Observer
	unfinished, longestRunning prometheus.Gauge
	longestWait                [ranks]prometheus.Gauge
	knownDepth                 [ranks]int
	knownAdds, knownRetries    int
}

// rankNames are the values of the label class.
var rankNames = [ranks]string{"stop", "end", "create", "routine", "create_again", "idle"}

// NewMetrics returns the metrics of the queue of that name, registered with controller-runtime's own, whose vectors they share.
func NewMetrics(to prometheus.Registerer, name string) (*Metrics, error) {
	labels := []string{"name", "controller"}
	gauge := func(key, help string, more ...string) (*prometheus.GaugeVec, error) {
		opts := prometheus.GaugeOpts{Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help}
		return register(to, prometheus.NewGaugeVec(opts, append(labels[:2:2], more...)))
	}
	counter := func(key, help string) (*prometheus.CounterVec, error) {
		opts := prometheus.CounterOpts{Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help}
		return register(to, prometheus.NewCounterVec(opts, labels))
	}
	histogram := func(key, help string) (*prometheus.HistogramVec, error) {
		return register(to, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help,
			Buckets:                         prometheus.ExponentialBuckets(10e-9, 10, 12),
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, labels))
	}
	// The help texts are controller-runtime's: a vector is the same one only if they are.
	depth, err1 := gauge(metrics.DepthKey, "Current depth of workqueue by workqueue and priority", "priority")
	adds, err2 := counter(metrics.AddsKey, "Total number of adds handled by workqueue")
	latency, err3 := histogram(metrics.QueueLatencyKey, "How long in seconds an item stays in workqueue before being requested")
	work, err4 := histogram(metrics.WorkDurationKey, "How long in seconds processing an item from workqueue takes.")
	unfinished, err5 := gauge(metrics.UnfinishedWorkKey, "How many seconds of work has been done that is in progress and hasn't "+
		"been observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by "+
		"observing the rate at which this increases.")
	running, err6 := gauge(metrics.LongestRunningProcessorKey, "How many seconds has the longest running processor for workqueue "+
		"been running.")
	retries, err7 := counter(metrics.RetriesKey, "Total number of items added to the workqueue with a non-zero delay "+
		"(rate-limited requeues, explicit RequeueAfter or AddAfter calls)")
	wait, err8 := register(to, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "spider_operator_queue_longest_wait_seconds",
		Help: "How long the SpiderJob that has waited longest for a worker has waited, by class.",
	}, []string{"class"}))
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		return nil, fmt.Errorf("register the metrics of queue %s: %w", name, err)
	}
	m := &Metrics{
		adds: adds.WithLabelValues(name, name), retries: retries.WithLabelValues(name, name),
		latency: latency.WithLabelValues(name, name), work: work.WithLabelValues(name, name),
		unfinished: unfinished.WithLabelValues(name, name), longestRunning: running.WithLabelValues(name, name),
	}
	for r, class := range classes {
		m.depth[r] = depth.WithLabelValues(name, name, strconv.Itoa(class))
		m.longestWait[r] = wait.WithLabelValues(rankNames[r])
		m.depth[r].Set(0)
	}
	return m, nil
}

// register registers a collector, or returns the one that is registered in its place.
func register[C prometheus.Collector](to prometheus.Registerer, collector C) (C, error) {
	err := to.Register(collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	return collector, err
}

// changed tells what a core counts.
func (m *Metrics) changed(c *Core) {
	if m == nil {
		return
	}
	for r, depth := range c.depth {
		if depth != m.knownDepth[r] {
			m.depth[r].Set(float64(depth))
		}
	}
	if c.adds > m.knownAdds {
		m.adds.Add(float64(c.adds - m.knownAdds))
	}
	if c.retries > m.knownRetries {
		m.retries.Add(float64(c.retries - m.knownRetries))
	}
	m.knownDepth, m.knownAdds, m.knownRetries = c.depth, c.adds, c.retries
}

func (m *Metrics) taken(t Taken) {
	if m != nil {
		m.latency.Observe(t.Waited.Seconds())
	}
}

func (m *Metrics) done(took time.Duration) {
	if m != nil {
		m.work.Observe(took.Seconds())
	}
}

// measured tells what lasts: progress and waits.
func (m *Metrics) measured(c *Core, now time.Time) {
	total, longest := c.unfinished(now)
	m.unfinished.Set(total.Seconds())
	m.longestRunning.Set(longest.Seconds())
	for r := range ranks {
		m.longestWait[r].Set(c.longestWait(now, r).Seconds())
	}
}

// unfinished is for how long all items in progress together have been, and the one that was taken first.
func (c *Core) unfinished(now time.Time) (total, longest time.Duration) {
	for n := c.progress.first; n != nil; n = n.behind {
		age := now.Sub(n.owner.started)
		total += age
		longest = max(longest, age)
	}
	return total, longest
}

// longestWait is how long the item has waited, with this rank, that has waited longest.
func (c *Core) longestWait(now time.Time, r rank) time.Duration {
	longest := time.Duration(0)
	for n := c.turns[r].first; n != nil; n = n.behind {
		longest = max(longest, now.Sub(n.owner.items.first.owner.joined))
	}
	return longest
}
