package podlog

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	logs "github.com/scrapethis/spider-operator/internal/podlog"
)

var (
	readsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spider_operator_log_reads_total",
		Help: "Reads of spiders' logs that have ended, by mode (sample, follow, final) and result (counted, uncounted, gone, " +
			"hung, timeout, flooded, error). A read that hung brought nothing before its time was over.",
	}, []string{"mode", "result"})
	readBytesTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "spider_operator_log_read_bytes_total",
		Help: "Bytes taken from spiders' logs.",
	})
	streamsOpen = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "spider_operator_log_streams",
		Help: "Logs of Pods that are being deleted which are followed at present.",
	})
	streamsWaiting = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "spider_operator_log_streams_waiting",
		Help: "Logs of Pods that are being deleted which wait until one of those followed has ended.",
	})
	nodesUnserved = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "spider_operator_log_nodes_unserved",
		Help: "Nodes that serve no logs: several reads in a row brought nothing in time, and only probes are made until one succeeds.",
	})
	sampleInterval = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "spider_operator_log_sample_interval_seconds",
		Help: "The interval at present between two samples of one running Pod's log.",
	})
	budgetWanted = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "spider_operator_log_budget_wanted_ratio",
		Help: "The share of the budget of log reads that sampling at the shortest interval takes. Above 1, the interval is stretched.",
	})
)

// Metrics are the metrics of the reading of logs, for all Collectors of the process.
func Metrics() []prometheus.Collector {
	return []prometheus.Collector{
		readsTotal,
		readBytesTotal,
		streamsOpen,
		streamsWaiting,
		nodesUnserved,
		sampleInterval,
		budgetWanted,
	}
}

// countRead counts a read that has ended. A read that was cancelled because it is no longer wanted does not count.
func countRead(mode Mode, counted bool, err error) {
	result := "error"
	switch {
	case errors.Is(err, context.Canceled):
		return
	case logs.IsGone(err):
		result = "gone"
	case errors.Is(err, errHung):
		result = "hung"
	case errors.Is(err, context.DeadlineExceeded):
		result = "timeout"
	case errors.Is(err, errTooMuch):
		result = "flooded"
	case err == nil && counted:
		result = "counted"
	case err == nil:
		result = "uncounted"
	}
	readsTotal.WithLabelValues(mode.String(), result).Inc()
}
