package measure

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Latency is a distribution of times, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
	// Of is the number of times.
	Of int `json:"of"`
}

// LatencyOf returns the distribution of times, which it sorts.
func LatencyOf(times []time.Duration) Latency {
	slices.Sort(times)
	return Latency{P50: percentile(times, 50), P99: percentile(times, 99), Max: percentile(times, 100), Of: len(times)}
}

// percentile is the smallest of the sorted times that p percent of them do not exceed, in milliseconds; zero if there are none.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return float64(sorted[max(rank, 1)-1]) / float64(time.Millisecond)
}

// Median is the middle of the values, the mean of the two in the middle if their number is even, zero if there are none.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// MedianRatio is the median of the ratios of values that were measured in the same round.
func MedianRatio(of, to []float64) float64 {
	var ratios []float64
	for i := range min(len(of), len(to)) {
		ratios = append(ratios, Ratio(of[i], to[i]))
	}
	return Median(ratios)
}

// Ratio is of divided by to, zero if there is nothing to divide by.
func Ratio(of, to float64) float64 {
	if to == 0 {
		return 0
	}
	return of / to
}

// Counts are numbers by name.
type Counts map[string]float64

// Sum adds up all of them.
func (c Counts) Sum() float64 {
	sum := 0.0
	for _, value := range c {
		sum += value
	}
	return sum
}

// Since is what has been counted since an earlier moment.
func (c Counts) Since(earlier Counts) Counts {
	grown := Counts{}
	for name, value := range c {
		if value > earlier[name] {
			grown[name] = value - earlier[name]
		}
	}
	return grown
}

// ByValue returns the names in all counts, those with the greatest values first.
func ByValue(counts ...Counts) []string {
	most := Counts{}
	for _, c := range counts {
		for name, value := range c {
			most[name] = max(most[name], value)
		}
	}
	return slices.SortedFunc(maps.Keys(most), func(x, y string) int {
		return cmp.Or(cmp.Compare(most[y], most[x]), cmp.Compare(x, y))
	})
}
