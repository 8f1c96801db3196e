package guard

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the measurements of requests.
type metrics struct {
	duration *prometheus.HistogramVec
	refusals *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "spider_operator_api_request_duration_seconds",
			Help:    "Time to answer requests, by method, route and status. Waits on purpose included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 300},
		}, []string{"method", "route", "status"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spider_operator_api_refusals_total",
			Help: "Requests refused before they were looked at, by what refused them: authentication, address (too many failures), " +
				"rate, namespace (its rate), bodies, streams or rights.",
		}, []string{"by"}),
	}
	registry.MustRegister(
		m.duration,
		m.refusals,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func (m *metrics) observe(method, route string, status int, took time.Duration) {
	if route == "" {
		// One label for all unknown requests, so that callers cannot create series.
		method, route = "other", "none"
	}
	m.duration.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// measures are the metrics of connections and streams.
func (g *Guard) measures() []prometheus.Collector {
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	closed := func(cause Cause) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "spider_operator_api_connections_turned_away_total",
			Help: "Connections that were closed to make room for others, those without a key first, by what there was too much of: " +
				"connections of their address, or in total.",
			ConstLabels: prometheus.Labels{"by": string(cause)},
		}, func() float64 {
			_, _, closed := g.connections.Count()
			return float64(closed[cause])
		})
	}
	return []prometheus.Collector{
		gauge("spider_operator_api_connections", "Connections that are open.", func() int {
			open, _, _ := g.connections.Count()
			return open
		}),
		closed(CauseAddress),
		closed(CauseTotal),
		gauge("spider_operator_api_streams", "Waits, followed logs and event streams that are open.", func() int {
			open, _ := g.streams.shared.count()
			return open
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "spider_operator_api_streams_ended_total",
			Help: "Waits, followed logs and event streams that were ended before their time to make room for those of another namespace.",
		}, func() float64 {
			_, displaced := g.streams.shared.count()
			return float64(displaced)
		}),
	}
}

func (m *metrics) refused(by string) { m.refusals.WithLabelValues(by).Inc() }
