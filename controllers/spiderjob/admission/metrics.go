package admission

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/internal/order"
)

var (
	waitingDesc = prometheus.NewDesc("spider_operator_jobs_waiting",
		"SpiderJobs that limits hold back, by what they wait for a place of. Reported by the leader.", []string{"for"}, nil)
	admissionWait = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "spider_operator_job_admission_wait_seconds",
		Help:    "Time from a SpiderJob's creation to its admission, for those that limits held back.",
		Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600},
	})
)

// Metrics returns the metrics of the Gate that is open in this process.
func Metrics() []prometheus.Collector { return []prometheus.Collector{&shown, admissionWait} }

// shown shows what waits at the Gate that was opened last: one at a time leads in a process.
var shown shownGate

type shownGate struct{ gate atomic.Pointer[Gate] }

// Describe implements prometheus.Collector.
func (s *shownGate) Describe(to chan<- *prometheus.Desc) { to <- waitingDesc }

// Collect implements prometheus.Collector.
func (s *shownGate) Collect(to chan<- prometheus.Metric) {
	g := s.gate.Load()
	if g == nil {
		return
	}
	for kind, count := range g.waiting() {
		to <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(count), string(kind))
	}
}

// waiting counts what limits hold back, by what it waits for.
func (g *Gate) waiting() map[order.Kind]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	counts := map[order.Kind]int{order.ByNamespace: 0, order.ByUser: 0, order.ByGroup: 0, order.BySpider: 0, order.ByTurn: 0}
	for _, n := range g.namespaces {
		if unlimited(&n.limits) {
			continue
		}
		for name, j := range n.jobs {
			if block, blocked := n.order.Blocked(name); blocked && j.state == waiting {
				counts[block.Kind]++
			}
		}
	}
	return counts
}
