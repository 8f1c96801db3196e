package measure

import (
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	upTo := func(n int) []time.Duration {
		var times []time.Duration
		for i := range n {
			times = append(times, time.Duration(i+1)*time.Millisecond)
		}
		return times
	}
	for _, test := range []struct {
		name  string
		times []time.Duration
		p     int
		want  float64
	}{
		{"of nothing", nil, 99, 0},
		{"of one", upTo(1), 50, 1},
		{"the median of an even number is the lower of the middle two", upTo(4), 50, 2},
		{"the 99th of a hundred", upTo(100), 99, 99},
		{"the 99th of fewer is the last", upTo(20), 99, 20},
		{"the most", upTo(1000), 100, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := percentile(test.times, test.p); got != test.want {
				t.Errorf("percentile %d is %g, want %g", test.p, got, test.want)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]Numbers{"300": {300}, "300,1200": {300, 1200}, "1200,300": {300, 1200}} {
		var got Numbers
		if err := got.Set(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "300,", "many", "300, 1200", "300,300"} {
		var got Numbers
		if err := got.Set(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
	if got := (&Numbers{300, 1200}).String(); got != "300,1200" {
		t.Errorf("a default is shown as %q", got)
	}
}
