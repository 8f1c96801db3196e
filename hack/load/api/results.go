package api

import (
	"slices"
	"time"

	"github.com/scrapethis/spider-operator/hack/load/measure"
)

// measurement is one call of one view, measured once.
type measurement struct {
	call string
	jobs int

	latencies []time.Duration
	perSecond float64
	// cpu is the CPU time of the REST API's process for each call, in seconds; allocations and allocated what it
	// allocated on its heap, in objects and bytes; bytes the size of an answer's body.
	cpu, allocations, allocated, bytes float64
}

// viewResult is what a view costs as such.
type viewResult struct {
	Jobs int `json:"jobs"`
	// HeapPerJob and ResidentPerJob are by how much each job grows the collected heap, and the resident memory, of a REST API
	// that was just started with them, in bytes.
	HeapPerJob     float64 `json:"heapPerJobBytes"`
	ResidentPerJob float64 `json:"residentPerJobBytes"`
	// ReadySeconds are how long REST APIs took from the start of their process until they were ready, and ListSeconds how long
	// bare paged LISTs of the same jobs took, in turns.
	ReadySeconds []float64 `json:"readySeconds"`
	ListSeconds  []float64 `json:"listSeconds"`
}

func (v viewResult) readyRatio() float64 { return measure.MedianRatio(v.ReadySeconds, v.ListSeconds) }

// callResult is one call of one view, over all rounds.
type callResult struct {
	Call string `json:"call"`
	Jobs int    `json:"jobs"`
	// PerSecond is the median of the rounds. P50 and P99 are of all calls, in milliseconds.
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50Milliseconds"`
	P99       float64 `json:"p99Milliseconds"`
	// CPU, Allocations and Allocated are what the REST API's process used for each call: microseconds, objects and bytes; medians
	// of the rounds. Bytes is the size of an answer's body. All are 0 for calls that go past the REST API.
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
	times := measure.LatencyOf(latencies)
	result.P50, result.P99 = times.P50, times.P99
	result.PerSecond = measure.Median(column(result.rounds, perSecondOf))
	result.CPU = 1e6 * measure.Median(column(result.rounds, cpuOf))
	result.Allocations = measure.Median(column(result.rounds, func(m measurement) float64 { return m.allocations }))
	result.Allocated = measure.Median(column(result.rounds, func(m measurement) float64 { return m.allocated }))
	result.Bytes = measure.Median(column(result.rounds, func(m measurement) float64 { return m.bytes }))
	return result
}

func compare(small, large callResult) comparison {
	return comparison{
		Call: small.Call,
		CPU:  measure.MedianRatio(column(large.rounds, cpuOf), column(small.rounds, cpuOf)),
		Time: measure.MedianRatio(column(large.rounds, timeOf), column(small.rounds, timeOf)),
		P50:  measure.Ratio(large.P50, small.P50),
	}
}

func perSecondOf(m measurement) float64 { return m.perSecond }
func cpuOf(m measurement) float64       { return m.cpu }
func timeOf(m measurement) float64      { return measure.Ratio(1, m.perSecond) }

func column(rounds []measurement, of func(measurement) float64) []float64 {
	values := make([]float64, 0, len(rounds))
	for _, m := range rounds {
		values = append(values, of(m))
	}
	return values
}
