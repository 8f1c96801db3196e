package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// overdueAfter is how late a run may be before its schedule counts as overdue.
const overdueAfter = 5 * time.Minute

var (
	runsStarted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "spider_operator_schedule_runs_started_total",
		Help: "Runs that SpiderSchedules have started at their times.",
	})
	runsMissed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spider_operator_schedule_runs_missed_total",
		Help: "Times at which a SpiderSchedule was due and started no run, by reason.",
	}, []string{"reason"})
	startDelay = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "spider_operator_schedule_start_delay_seconds",
		Help:    "Time from when a run is due, jitter included, to the creation of its SpiderJob.",
		Buckets: []float64{0.5, 1, 2, 5, 10, 20, 30, 60, 300, 900, 3600},
	})
)

// RegisterMetrics registers the metrics of SpiderSchedules, which the reader lists until ctx ends. It may be
// called again for the same registry.
func RegisterMetrics(ctx context.Context, registry prometheus.Registerer, reader client.Reader, now clock.PassiveClock) error {
	overdue := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "spider_operator_schedules_overdue",
		Help: "SpiderSchedules whose next run is more than five minutes late.",
	}, func() float64 { return countOverdue(ctx, reader, now.Now()) })
	for _, reason := range []string{
		v1alpha1.ReasonMissed, v1alpha1.ReasonOverlap, v1alpha1.ReasonSpiderNotFound, v1alpha1.ReasonNameConflict,
	} {
		runsMissed.WithLabelValues(reason) // so that a rate is known from the first one on
	}
	for _, collector := range []prometheus.Collector{runsStarted, runsMissed, startDelay, overdue} {
		err := registry.Register(collector)
		if _, already := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !already {
			return fmt.Errorf("register the metrics of SpiderSchedules: %w", err)
		}
	}
	return nil
}

// countOverdue counts the schedules whose next run is late. Before the cache is filled, there are none.
func countOverdue(ctx context.Context, reader client.Reader, now time.Time) float64 {
	var list v1alpha1.SpiderScheduleList
	if err := reader.List(ctx, &list); err != nil {
		return 0
	}
	n := 0
	for i := range list.Items {
		s := &list.Items[i]
		late := time.Duration(s.Spec.JitterSeconds)*time.Second + overdueAfter
		if next := s.Status.NextAt; next != nil && now.Sub(next.Time) > late {
			n++
		}
	}
	return float64(n)
}
