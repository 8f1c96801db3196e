package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// dashboard is as much of Grafana's model as is drawn here.
type dashboard struct {
	Title  string
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []target
	FieldConfig struct {
		Defaults struct {
			Unit   string
			Custom struct {
				LineWidth, FillOpacity float64
				Stacking               struct{ Mode string }
			}
			Thresholds struct{ Steps []threshold }
		}
		Overrides []override
	}
}

// override gives series, by their names, what differs from the rest: a color, or a broken line.
type override struct {
	Matcher    struct{ ID, Options string }
	Properties []property
}

type property struct {
	ID    string
	Value struct {
		FixedColor string
		Dash       []float64
	}
}

type target struct{ RefID, Expr, LegendFormat string }

// threshold gives a value its color from Value on; the first one has none.
type threshold struct {
	Color string
	Value *float64
}

// stacked reports whether the panel's series are drawn on top of each other.
func (p *panel) stacked() bool { return p.FieldConfig.Defaults.Custom.Stacking.Mode == "normal" }

func readDashboard(file string) (*dashboard, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	board := &dashboard{}
	if err := json.Unmarshal(text, board); err != nil {
		return nil, fmt.Errorf("read the dashboard %s: %w", file, err)
	}
	if len(board.Panels) == 0 {
		return nil, fmt.Errorf("the dashboard %s has no panels", file)
	}
	return board, nil
}

// query is what Grafana asks Prometheus for a target with all namespaces chosen, over some time, with a point every step.
func (t target) query(over, step time.Duration) string {
	// As Grafana documents $__rate_interval, so that a rate always sees enough samples.
	window := max(step+scrapeInterval, 4*scrapeInterval)
	return strings.NewReplacer(
		"$__rate_interval", prometheusDuration(window), "$__range", prometheusDuration(over), "$namespace", ".*",
	).Replace(t.Expr)
}

// prometheusDuration writes whole seconds, which are as exact as is asked here.
func prometheusDuration(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) + "s" }

// own is what the panel gives a series of that name alone, nil for nothing. The property is "color" or "custom.lineStyle".
func (p *panel) own(name, id string) *property {
	for _, o := range p.FieldConfig.Overrides {
		matches := o.Matcher.Options == name
		if o.Matcher.ID == "byRegexp" {
			matches = regexp.MustCompile(strings.Trim(o.Matcher.Options, "/")).MatchString(name)
		}
		for i := range o.Properties {
			if matches && o.Properties[i].ID == id {
				return &o.Properties[i]
			}
		}
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// legend is the name of a series: the format with the series' labels put in.
func (t target) legend(labels model.Metric) string {
	return placeholder.ReplaceAllStringFunc(t.LegendFormat, func(text string) string {
		return string(labels[model.LabelName(placeholder.FindStringSubmatch(text)[1])])
	})
}

// units are Grafana's names of units, with their parts from the smallest up.
var units = map[string][]struct {
	size float64
	name string
}{
	"short": {{1, ""}, {1e3, " K"}, {1e6, " Mil"}},
	"s":     {{1e-6, " µs"}, {1e-3, " ms"}, {1, " s"}, {60, " min"}, {3600, " h"}, {86400, " d"}},
	"bytes": {{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}, {1 << 30, " GiB"}},
}

// format writes a value in a unit as Grafana does: with the part of the unit that suits it.
func format(unit string, value float64) (string, error) {
	if unit == "percentunit" {
		return round(value*100) + "%", nil
	}
	parts, known := units[unit]
	if !known {
		return "", fmt.Errorf("values in the unit %q cannot be written", unit)
	}
	if value == 0 {
		return "0", nil
	}
	part := parts[0]
	for _, larger := range parts {
		if math.Abs(value) >= larger.size {
			part = larger
		}
	}
	return round(value/part.size) + part.name, nil
}

// round writes three digits at most.
func round(value float64) string {
	digits := 2
	if math.Abs(value) > 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Abs(value)))))
	}
	scale := math.Pow(10, float64(digits))
	return strconv.FormatFloat(math.Round(value*scale)/scale, 'f', -1, 64)
}

// thresholdColor is the name of the color that thresholds give a value.
func thresholdColor(steps []threshold, value float64) string {
	name := "green"
	for _, step := range steps {
		if step.Value == nil || value >= *step.Value {
			name = step.Color
		}
	}
	return name
}
