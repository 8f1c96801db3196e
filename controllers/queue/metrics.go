package queue

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// measureInterval is the time between two measurements of durations, as in Kubernetes' own queues.
const measureInterval = 500 * time.Millisecond

// rankNames are the values of the label class.
var rankNames = [ranks]string{"stop", "end", "create", "routine", "create_again", "idle"}

var longestWait = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "spider_operator_queue_longest_wait_seconds",
	Help: "How long the SpiderJob that has waited longest for a worker has waited, by class.",
}, []string{"class"})

// Metrics are the metrics of a queue: the series of controller-runtime's queues, under their names, so that existing dashboards
// show this one, and the longest wait by class.
type Metrics struct {
	depth, longestWait         [ranks]prometheus.Gauge
	adds, retries              prometheus.Counter
	latency, work              prometheus.Observer
	unfinished, longestRunning prometheus.Gauge

	// The last reported values.
	toldDepth             [ranks]int
	toldAdds, toldRetries int
}

// NewMetrics returns the metrics of the queue of that name, in a registry. In controller-runtime's registry they are part of
// the vectors of its own queues.
func NewMetrics(to prometheus.Registerer, name string) (*Metrics, error) {
	v := vectors{to: to}
	// The help texts are controller-runtime's: otherwise the vectors would differ.
	depth := v.gauge(metrics.DepthKey, "Current depth of workqueue by workqueue and priority", "priority")
	m := &Metrics{
		adds:    v.counter(metrics.AddsKey, "Total number of adds handled by workqueue").WithLabelValues(name, name),
		latency: v.histogram(metrics.QueueLatencyKey, "How long in seconds an item stays in workqueue before being requested", name),
		work:    v.histogram(metrics.WorkDurationKey, "How long in seconds processing an item from workqueue takes.", name),
		unfinished: v.gauge(metrics.UnfinishedWorkKey, "How many seconds of work has been done that is in progress and hasn't been "+
			"observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by "+
			"observing the rate at which this increases.").WithLabelValues(name, name),
		longestRunning: v.gauge(metrics.LongestRunningProcessorKey,
			"How many seconds has the longest running processor for workqueue been running.").WithLabelValues(name, name),
		retries: v.counter(metrics.RetriesKey, "Total number of items added to the workqueue with a non-zero delay (rate-limited "+
			"requeues, explicit RequeueAfter or AddAfter calls)").WithLabelValues(name, name),
	}
	register(&v, longestWait)
	if err := errors.Join(v.errs...); err != nil {
		return nil, fmt.Errorf("register the metrics of queue %s: %w", name, err)
	}
	for r, class := range classes {
		m.depth[r] = depth.WithLabelValues(name, name, strconv.Itoa(class))
		m.longestWait[r] = longestWait.WithLabelValues(rankNames[r])
	}
	return m, nil
}

// vectors registers the vectors of work queues.
type vectors struct {
	to   prometheus.Registerer
	errs []error
}

var queueLabels = []string{"name", "controller"}

func (v *vectors) gauge(key, help string, labels ...string) *prometheus.GaugeVec {
	return register(v, prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help},
		slices.Concat(queueLabels, labels)))
}

func (v *vectors) counter(key, help string) *prometheus.CounterVec {
	return register(v, prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help},
		queueLabels))
}

func (v *vectors) histogram(key, help, name string) prometheus.Observer {
	return register(v, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Subsystem: metrics.WorkQueueSubsystem, Name: key, Help: help,
		Buckets:                         prometheus.ExponentialBuckets(10e-9, 10, 12),
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, queueLabels)).WithLabelValues(name, name)
}

// register registers a collector, or returns the one that is registered in its place.
func register[C prometheus.Collector](v *vectors, collector C) C {
	err := v.to.Register(collector)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	v.errs = append(v.errs, err)
	return collector
}

// changed reports the counters of a core.
func (m *Metrics) changed(c *Core) {
	if m == nil {
		return
	}
	for r, depth := range c.depth {
		if depth != m.toldDepth[r] {
			m.depth[r].Set(float64(depth))
		}
	}
	if c.adds > m.toldAdds {
		m.adds.Add(float64(c.adds - m.toldAdds))
	}
	if c.retries > m.toldRetries {
		m.retries.Add(float64(c.retries - m.toldRetries))
	}
	m.toldDepth, m.toldAdds, m.toldRetries = c.depth, c.adds, c.retries
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

// measured reports durations: progress and waits.
func (m *Metrics) measured(c *Core, now time.Time) {
	total, longest := c.unfinished(now)
	m.unfinished.Set(total.Seconds())
	m.longestRunning.Set(longest.Seconds())
	for r := range ranks {
		m.longestWait[r].Set(c.longestWait(now, r).Seconds())
	}
}

// unfinished returns how long all items in progress together have been so, and the longest of them.
func (c *Core) unfinished(now time.Time) (total, longest time.Duration) {
	for n := c.progress.first; n != nil; n = n.behind {
		age := now.Sub(n.owner.started)
		total += age
		longest = max(longest, age)
	}
	return total, longest
}

// longestWait returns how long the item that has waited longest with this rank has waited.
func (c *Core) longestWait(now time.Time, r rank) time.Duration {
	longest := time.Duration(0)
	for n := c.turns[r].first; n != nil; n = n.behind {
		longest = max(longest, now.Sub(n.owner.items.first.owner.joined))
	}
	return longest
}
