package lifecycle

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// TestMetricsOfARun checks that a run is counted once, and that the leading process, and its successor, show the existing
// SpiderJobs. Other tests would count too, so it does not run beside them.
func TestMetricsOfARun(t *testing.T) {
	s := newStage(t)
	s.spider(quickCrawl(7))
	shown := func() float64 { return sample(t, "spider_operator_jobs", "Finished", "Completed") }
	counts := []string{
		"spider_operator_jobs_ended_total", "spider_operator_job_queue_duration_seconds", "spider_operator_job_start_duration_seconds",
		"spider_operator_job_run_duration_seconds",
	}
	before := map[string]float64{}
	for _, name := range counts {
		before[name] = sample(t, name)
	}
	items := sample(t, "spider_operator_spider_items_total")
	// A status may be visible before it is counted. Items are counted last.
	counted := func(runs float64) {
		t.Helper()
		s.awaitMetrics("counts the items", func() bool { return sample(t, "spider_operator_spider_items_total")-items == 7*runs })
		for _, name := range counts {
			if got := sample(t, name) - before[name]; got != runs {
				t.Errorf("%s counted %g, want %g", name, got, runs)
			}
		}
	}

	first := s.controller()
	s.job("run")
	s.awaitOutcome("run", completed)
	s.awaitMetrics("shows the SpiderJob", func() bool { return shown() == 1 })
	counted(1)
	first.stop()
	if got := shown(); got != 0 {
		t.Errorf("%g SpiderJobs are shown though no process leads", got)
	}

	s.controller()
	s.awaitMetrics("shows the SpiderJob again", func() bool { return shown() == 1 })
	s.job("second")
	s.awaitOutcome("second", completed)
	s.awaitMetrics("shows both", func() bool { return shown() == 2 })
	counted(2)
}

// awaitMetrics waits until the metrics, which follow the cache, meet a condition.
func (s *stage) awaitMetrics(what string, so func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("no controller %s", what)
		}
	}
}

// sample returns the sum of a metric's samples with the label values; for a histogram, the number of observations.
func sample(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if _, err := spiderjob.RegisterMetrics(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("gather the metrics: %v", err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, metric := range family.GetMetric() {
			for i, want := range labels {
				if metric.GetLabel()[i].GetValue() != want {
					continue metrics
				}
			}
			total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return total
}
