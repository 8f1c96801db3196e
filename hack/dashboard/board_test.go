package main

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

func TestQueryIsWhatGrafanaAsks(t *testing.T) {
	one := target{Expr: `sum(rate(a{namespace=~"$namespace"}[$__rate_interval])) / max_over_time(b[$__range])`}
	for step, want := range map[time.Duration]string{
		5 * time.Second:  `sum(rate(a{namespace=~".*"}[20s])) / max_over_time(b[3600s])`,
		30 * time.Second: `sum(rate(a{namespace=~".*"}[35s])) / max_over_time(b[3600s])`,
	} {
		if got := one.query(time.Hour, step); got != want {
			t.Errorf("with a point every %s it asks %s, want %s", step, got, want)
		}
	}
}

func TestLegendNamesASeries(t *testing.T) {
	one := target{LegendFormat: "p95 {{method}} {{ route }}{{gone}}"}
	if got := one.legend(model.Metric{"method": "GET", "route": "/jobs"}); got != "p95 GET /jobs" {
		t.Errorf("the legend is %q", got)
	}
}

func TestValuesAreWrittenInTheirUnit(t *testing.T) {
	for _, c := range []struct {
		unit  string
		value float64
		want  string
	}{
		{"short", 0, "0"}, {"short", 1234, "1.23 K"}, {"short", 0.025, "0.025"}, {"percentunit", 0.2641, "26.4%"},
		{"bytes", 64 << 20, "64 MiB"}, {"s", 0.0125, "12.5 ms"}, {"s", 75, "1.25 min"}, {"s", 7200, "2 h"},
	} {
		if got, err := format(c.unit, c.value); got != c.want || err != nil {
			t.Errorf("%g in %s is %q (%v), want %q", c.value, c.unit, got, err, c.want)
		}
	}
	if _, err := format("furlongs", 1); err == nil {
		t.Error("a unit that is not known is written")
	}
}

func TestThresholdsColorAValue(t *testing.T) {
	limit := 0.25
	steps := []threshold{{Color: "green"}, {Color: "red", Value: &limit}}
	for value, want := range map[float64]string{0.2: "green", 0.25: "red", 1: "red"} {
		if got := thresholdColor(steps, value); got != want {
			t.Errorf("%g is %s, want %s", value, got, want)
		}
	}
}
