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
			Help: "Requests refused before they were looked at, by what refused them: authentication, address, rate or rights.",
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
		// Whatever was asked for, so that callers cannot make up series.
		method, route = "other", "none"
	}
	m.duration.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// metrics are those of the connections.
func (c *Connections) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "spider_operator_api_connections",
			Help: "Connections that are open.",
		}, func() float64 {
			open, _, _ := c.Count()
			return float64(open)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "spider_operator_api_connections_turned_away_total",
			Help: "Connections that were closed because there were too many, those without a request first.",
		}, func() float64 {
			_, _, turnedAway := c.Count()
			return float64(turnedAway)
		}),
	}
}

func (m *metrics) refused(by string) { m.refusals.WithLabelValues(by).Inc() }
