package apiserver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// oldest returns how long the least up-to-date view, of those that may be read, has not heard from Kubernetes.
func oldest(health guard.Health) time.Duration {
	var age time.Duration
	for _, state := range health.Scopes() {
		if !state.Refused {
			age = max(age, state.Age)
		}
	}
	return age
}

// refusals reports which namespaces Kubernetes does not let be read. They are those that the process was configured with.
type refusals struct{ health guard.Health }

var refused = prometheus.NewDesc(
	"spider_operator_api_namespace_refused",
	"1 for a namespace, of those that the process serves, which Kubernetes does not let it read; its callers are answered 503. "+
		"Empty stands for all namespaces.",
	[]string{"served_namespace"}, nil,
)

// Describe implements prometheus.Collector.
func (refusals) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- refused }

// Collect implements prometheus.Collector.
func (r refusals) Collect(metrics chan<- prometheus.Metric) {
	for scope, state := range r.health.Scopes() {
		value := 0.0
		if state.Refused {
			value = 1
		}
		metrics <- prometheus.MustNewConstMetric(refused, prometheus.GaugeValue, value, scope)
	}
}
