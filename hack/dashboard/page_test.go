package main

import (
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// Every panel of the dashboard is drawn in its place, whatever it is answered: several series, one with a gap, one point, zeros.
func TestEveryPanelIsDrawn(t *testing.T) {
	board, err := readDashboard("../../config/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	from := time.Unix(1_700_000_000, 0)
	to := from.Add(8 * time.Minute)
	line := func(value float64, seconds ...int) []model.SamplePair {
		var points []model.SamplePair
		for _, s := range seconds {
			at := model.TimeFromUnix(from.Unix() + int64(s))
			points = append(points, model.SamplePair{Timestamp: at, Value: model.SampleValue(value)})
		}
		return points
	}
	answers := map[int]answer{}
	for _, p := range board.Panels {
		answers[p.ID] = answer{from: from, to: to, step: 5 * time.Second, series: []series{
			{name: "Finished", points: line(3, 0, 5, 10, 60, 65)},
			{name: "Error", points: line(100, 10)},
			{name: "503", points: line(0, 0, 5, 10)},
		}}
	}
	file := filepath.Join(t.TempDir(), "page.png")
	if err := drawPage(file, "a title", board, answers); err != nil {
		t.Fatal(err)
	}
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = text.Close() }()
	picture, err := png.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		painted := map[[3]uint32]bool{}
		left, top := p.GridPos.X*pageWidth/columns, header+p.GridPos.Y*rowHeight
		for x := left + 10; x < left+p.GridPos.W*pageWidth/columns-10; x++ {
			for y := top + titleSpace; y < top+p.GridPos.H*rowHeight-10; y++ {
				r, g, b, _ := picture.At(x, y).RGBA()
				painted[[3]uint32{r, g, b}] = true
			}
		}
		if len(painted) < 5 {
			t.Errorf("panel %q has %d colors", p.Title, len(painted))
		}
	}
}

func TestSeriesEndAtGaps(t *testing.T) {
	at := func(second int64, value float64) model.SamplePair {
		return model.SamplePair{Timestamp: model.TimeFromUnix(second), Value: model.SampleValue(value)}
	}
	parts := stretches([]model.SamplePair{at(0, 1), at(5, 1), at(20, 1), at(25, math.NaN()), at(30, 1)}, 5*time.Second)
	if len(parts) != 3 || len(parts[0]) != 2 || len(parts[1]) != 1 || len(parts[2]) != 1 {
		t.Errorf("the parts are %v", parts)
	}
}

func TestSpacingIsRound(t *testing.T) {
	for _, c := range []struct {
		unit       string
		most, want float64
	}{
		{"short", 100, 25}, {"short", 4, 1}, {"bytes", 64 << 20, 16 << 20},
		{"s", 0.9, 0.2}, {"s", 300, 60}, {"s", 90, 30}, {"percentunit", 0.2, 0.05},
	} {
		if got := spacing(c.unit, c.most); got != c.want {
			t.Errorf("up to %g in %s every %g is marked, want %g", c.most, c.unit, got, c.want)
		}
	}
}
