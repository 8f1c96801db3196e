package main

import (
	"slices"
	"time"
)

// measurement is one call of one view, measured once.
type measurement struct {
	call string
	jobs int

	latencies []time.Duration
	perSecond float64
	// cpu is what the facade's process used of the processors for each call, in seconds; allocations and allocated what it
	// allocated on its heap, in objects and bytes; bytes the size of an answer's body.
	cpu, allocations, allocated, bytes float64
}

// viewResult is what a view costs as such.
type viewResult struct {
	Jobs int `json:"jobs"`
	// HeapPerJob and ResidentPerJob are by how much each job grows the collected heap, and the resident memory, of a facade
	// that was just started with them, in bytes.
	HeapPerJob     float64 `json:"heapPerJobBytes"`
	ResidentPerJob float64 `json:"residentPerJobBytes"`
	// ReadySeconds are how long facades took from the start of their process until they were ready, and ListSeconds how long
	// bare paged LISTs of the same jobs took, in turns.
	ReadySeconds []float64 `json:"readySeconds"`
	ListSeconds  []float64 `json:"listSeconds"`
}

func (v viewResult) readyRatio() float64 { return medianRatio(v.ReadySeconds, v.ListSeconds) }

// callResult is one call of one view, over all rounds.
type callResult struct {
	Call string `json:"call"`
	Jobs int    `json:"jobs"`
	// PerSecond is the median of the rounds. P50 and P99 are of all calls, in milliseconds.
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50Milliseconds"`
	P99       float64 `json:"p99Milliseconds"`
	// CPU, Allocations and Allocated are what the facade's process used for each call: microseconds, objects and bytes; medians
	// of the rounds. Bytes is the size of an answer's body. All are 0 for calls that go past the facade.
	CPU         float64 `json:"cpuMicroseconds"`
	Allocations float64 `json:"allocations"`
	Allocated   float64 `json:"allocatedBytes"`
	Bytes       float64 `json:"answerBytes"`

	// rounds are the measurements, in order.
	rounds []measurement
}

// comparison is how many times as much a call costs in the largest view as in the smallest: medians of the rounds' ratios of
// CPU time and of the time between a client's calls, and the ratio of the medians of latencies.
type comparison struct {
	Call string  `json:"call"`
	CPU  float64 `json:"cpu"`
	Time float64 `json:"time"`
	P50  float64 `json:"p50"`
}

// results are those of a whole run.
type results struct {
	Clients int `json:"clients"`
	Rounds  int `json:"rounds"`
	// LoadBefore and LoadAfter are the machine's load averages over a minute.
	LoadBefore float64 `json:"loadBefore"`
	LoadAfter  float64 `json:"loadAfter"`

	Views       []viewResult `json:"views"`
	Calls       []callResult `json:"calls"`
	Comparisons []comparison `json:"comparisons,omitempty"`

	measured []measurement
}

// summarize makes Calls and Comparisons of what was measured. Views are in ascending order of size.
func (r *results) summarize() {
	var names []string
	for _, m := range r.measured {
		if !slices.Contains(names, m.call) {
			names = append(names, m.call)
		}
	}
	for _, name := range names {
		for _, v := range r.Views {
			r.Calls = append(r.Calls, combine(name, v.Jobs, r.measured))
		}
		if len(r.Views) > 1 && name != bareCreate {
			small, large := r.call(name, r.Views[0].Jobs), r.call(name, r.Views[len(r.Views)-1].Jobs)
			r.Comparisons = append(r.Comparisons, compare(small, large))
		}
	}
}

// call is the result of a call in the view of a size.
func (r *results) call(name string, jobs int) callResult {
	i := slices.IndexFunc(r.Calls, func(c callResult) bool { return c.Call == name && c.Jobs == jobs })
	if i < 0 {
		return callResult{Call: name, Jobs: jobs}
	}
	return r.Calls[i]
}

// combine sums up those measurements that are of a call in the view of a size.
func combine(name string, jobs int, measured []measurement) callResult {
	result := callResult{Call: name, Jobs: jobs}
	var latencies []time.Duration
	for _, m := range measured {
		if m.call == name && m.jobs == jobs {
			result.rounds = append(result.rounds, m)
			latencies = append(latencies, m.latencies...)
		}
	}
	slices.Sort(latencies)
	result.P50, result.P99 = milliseconds(quantile(latencies, 0.5)), milliseconds(quantile(latencies, 0.99))
	result.PerSecond = median(column(result.rounds, perSecondOf))
	result.CPU = 1e6 * median(column(result.rounds, cpuOf))
	result.Allocations = median(column(result.rounds, func(m measurement) float64 { return m.allocations }))
	result.Allocated = median(column(result.rounds, func(m measurement) float64 { return m.allocated }))
	result.Bytes = median(column(result.rounds, func(m measurement) float64 { return m.bytes }))
	return result
}

func compare(small, large callResult) comparison {
	return comparison{
		Call: small.Call,
		CPU:  medianRatio(column(large.rounds, cpuOf), column(small.rounds, cpuOf)),
		Time: medianRatio(column(large.rounds, timeOf), column(small.rounds, timeOf)),
		P50:  ratio(large.P50, small.P50),
	}
}

func perSecondOf(m measurement) float64 { return m.perSecond }
func cpuOf(m measurement) float64       { return m.cpu }
func timeOf(m measurement) float64      { return ratio(1, m.perSecond) }

func column(rounds []measurement, of func(measurement) float64) []float64 {
	values := make([]float64, 0, len(rounds))
	for _, m := range rounds {
		values = append(values, of(m))
	}
	return values
}

// quantile is the value that the given part of the sorted values do not exceed; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// median is the value in the middle; of an even number of them the mean of the two; 0 of none.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianRatio is the median of the ratios of values that were measured in the same round.
func medianRatio(of, to []float64) float64 {
	var ratios []float64
	for i := range min(len(of), len(to)) {
		ratios = append(ratios, ratio(of[i], to[i]))
	}
	return median(ratios)
}

func ratio(of, to float64) float64 {
	if to == 0 {
		return 0
	}
	return of / to
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
