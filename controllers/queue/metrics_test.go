package queue

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// values are the values of the series whose labels hold name=queue or, for those without one, all of them, by name and last
// label.
func values(t *testing.T, from prometheus.Gatherer, queue string) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			key, ours := family.GetName(), strings.HasPrefix(family.GetName(), "spider_operator_")
			for _, label := range metric.GetLabel() {
				switch label.GetName() {
				case "name":
					ours = label.GetValue() == queue
				case "priority", "class":
					key += "/" + label.GetValue()
				}
			}
			if ours {
				found[key] = value(metric)
			}
		}
	}
	return found
}

// value is a counter's or gauge's value, or how often a histogram has seen one.
func value(metric *dto.Metric) float64 {
	return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
}

// The series are those of controller-runtime's own queues: same names, same vectors.
func TestMetricsAreControllerRuntimes(t *testing.T) {
	const name = "shared-vectors"
	if _, err := NewMetrics(metrics.Registry, name); err != nil {
		t.Fatal(err)
	}
	ours := values(t, metrics.Registry, name)
	for _, key := range []string{
		"workqueue_depth/0", "workqueue_adds_total", "workqueue_queue_duration_seconds", "workqueue_work_duration_seconds",
		"workqueue_unfinished_work_seconds", "workqueue_longest_running_processor_seconds", "workqueue_retries_total",
	} {
		if _, ok := ours[key]; !ok {
			t.Errorf("%s is missing", key)
		}
	}
	if _, err := NewMetrics(metrics.Registry, name); err != nil {
		t.Errorf("a second controller in one process: %v", err)
	}
}

func TestMetricsTellWhatHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		m, err := NewMetrics(registry, "test")
		if err != nil {
			t.Fatal(err)
		}
		q := New(Options{Workers: 2, Metrics: m})
		defer q.ShutDown()
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(Stop)}, req("a/1"), req("a/2"), req("a/3"), req("a/4"))
		q.AddAfter(req("a/5"), time.Hour)
		q.Get()
		q.Get()
		q.Done(req("a/1"))
		q.Add(req("a/2"))
		time.Sleep(10*time.Second + measureInterval/2) // the bubble's clock
		synctest.Wait()
		got := values(t, registry, "test")
		for key, want := range map[string]float64{
			"workqueue_depth/300": 2, "workqueue_depth/0": 1, "workqueue_adds_total": 5, "workqueue_retries_total": 1,
			"workqueue_queue_duration_seconds": 2, "workqueue_work_duration_seconds": 1,
			"workqueue_unfinished_work_seconds": 10, "workqueue_longest_running_processor_seconds": 10,
			"spider_operator_queue_longest_wait_seconds/stop": 10, "spider_operator_queue_longest_wait_seconds/end": 0,
		} {
			if got[key] != want {
				t.Errorf("%s is %v, want %v", key, got[key], want)
			}
		}
	})
}
