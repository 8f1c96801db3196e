package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/api"
	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// pointsAcross is how many points Grafana asks for at most: about one for each pixel of a panel's width.
const pointsAcross = 500

// series is a line of a panel. Where there was nothing to draw it has no point.
type series struct {
	name   string
	points []model.SamplePair
}

// answer is what a panel shows.
type answer struct {
	series   []series
	from, to time.Time
	step     time.Duration
}

// ask asks Prometheus what every panel of a dashboard asks, by the panels' ids. A question that is no question, or is answered
// with nothing, is an error: the load is such that every panel has something to show.
func ask(ctx context.Context, address string, board *dashboard, from, to time.Time) (map[int]answer, error) {
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return nil, fmt.Errorf("make a client of Prometheus: %w", err)
	}
	prometheus := promapi.NewAPI(client)
	step := max(to.Sub(from)/pointsAcross, scrapeInterval).Round(time.Second)
	answers, problems := map[int]answer{}, []error{}
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		shown := answer{from: from, to: to, step: step}
		for _, t := range p.Targets {
			value, _, err := prometheus.QueryRange(ctx, t.query(to.Sub(from), step), promapi.Range{Start: from, End: to, Step: step})
			if err != nil {
				problems = append(problems, fmt.Errorf("panel %q, query %s: %w", p.Title, t.RefID, err))
				continue
			}
			matrix, is := value.(model.Matrix)
			if !is || len(matrix) == 0 {
				problems = append(problems, fmt.Errorf("panel %q, query %s has nothing to show: %s", p.Title, t.RefID, t.Expr))
				continue
			}
			for _, stream := range matrix {
				shown.series = append(shown.series, series{name: t.legend(stream.Metric), points: stream.Values})
			}
		}
		answers[p.ID] = shown
	}
	return answers, errors.Join(problems...)
}
