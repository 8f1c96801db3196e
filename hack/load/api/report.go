package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/load/measure"
)

// The aims.
const (
	mostRatio      = 1.2    // of the cost of a page or a get, largest to smallest view
	mostP99        = 5.0    // of a page or a get, in milliseconds
	leastStarts    = 0.9    // of the rate at which kube-apiserver creates
	mostHeapPerJob = 1536.0 // in bytes
	mostReady      = 1.5    // times what a bare LIST takes
)

// leastJobsForReady is the view from which on a restart is judged: with fewer jobs it is the process that takes the time.
const leastJobsForReady = 10_000

// measurement is one call of one view, measured once.
type measurement struct {
	call string
	jobs int

	latencies []time.Duration
	perSecond float64
	// costs are what each call costs the REST API's process; none for calls that go past it.
	costs measure.Counts
}

// The costs of a call: CPU time, what was allocated on the heap (objects and bytes), and the size of the answer's body.
const cpu, allocations, allocated, answer = "CPU µs", "allocs", "alloc KiB", "answer B"

func perSecondOf(m measurement) float64 { return m.perSecond }
func timeOf(m measurement) float64      { return measure.Ratio(1, m.perSecond) }

func costOf(name string) func(measurement) float64 {
	return func(m measurement) float64 { return m.costs[name] }
}

// viewCost is what a view costs as such.
type viewCost struct {
	jobs int
	// heap and resident are by how much each job grows the collected heap, and the resident memory, of a REST API that was just
	// started with them, in bytes.
	heap, resident float64
	// ready is how long REST APIs took from the start of their process until they were ready, and listed how long bare paged LISTs
	// of the same jobs took, in turns, in seconds.
	ready, listed []float64
}

// results are those of a whole run.
type results struct {
	clients, rounds int
	// views are in ascending order of size.
	views    []viewCost
	measured []measurement
}

// of are the measurements of a call in the view of a size, in order of the rounds.
func (r *results) of(call string, jobs int) []measurement {
	var found []measurement
	for _, m := range r.measured {
		if m.call == call && m.jobs == jobs {
			found = append(found, m)
		}
	}
	return found
}

func column(rounds []measurement, of func(measurement) float64) []float64 {
	values := make([]float64, 0, len(rounds))
	for _, m := range rounds {
		values = append(values, of(m))
	}
	return values
}

// report sums up what was measured. Rates and costs are medians of the rounds, latencies are of all calls, and ratios of the
// largest to the smallest view are medians of the rounds' ratios.
func (r *results) report() *measure.Report {
	report := &measure.Report{}
	smallest, largest := r.views[0], r.views[len(r.views)-1]
	calls := report.Table(fmt.Sprintf("%d clients, %d rounds", r.clients, r.rounds),
		"jobs", "calls/s", "p50 ms", "p99 ms", cpu, allocations, allocated, answer)
	compared := &measure.Table{
		Title: fmt.Sprintf("%d jobs to %d", largest.jobs, smallest.jobs), Columns: []string{"CPU", "time", "p50"},
	}
	// Of reads the worst in any view is judged.
	worst, slowest := judged{}, judged{}
	var names []string
	for _, m := range r.measured {
		if slices.Contains(names, m.call) {
			continue
		}
		names = append(names, m.call)
		var p50s []float64
		for _, v := range r.views {
			rounds := r.of(m.call, v.jobs)
			var latencies []time.Duration
			for _, one := range rounds {
				latencies = append(latencies, one.latencies...)
			}
			times := measure.LatencyOf(latencies)
			p50s = append(p50s, times.P50)
			values := []float64{float64(v.jobs), measure.Median(column(rounds, perSecondOf)), times.P50, times.P99}
			if m.call != bareCreate {
				for _, cost := range []string{cpu, allocations, allocated, answer} {
					values = append(values, measure.Median(column(rounds, costOf(cost))))
				}
			}
			calls.Row(m.call, values...)
			slowest.read(m.call, times.P99, v.jobs)
		}
		if len(r.views) > 1 && m.call != bareCreate {
			small, large := r.of(m.call, smallest.jobs), r.of(m.call, largest.jobs)
			ratio := measure.MedianRatio(column(large, costOf(cpu)), column(small, costOf(cpu)))
			compared.Row(m.call, ratio, measure.MedianRatio(column(large, timeOf), column(small, timeOf)),
				measure.Ratio(p50s[len(p50s)-1], p50s[0]))
			worst.read(m.call, ratio, largest.jobs)
		}
	}
	if len(compared.Rows) > 0 {
		report.Tables = append(report.Tables, compared)
	}
	views := report.Table("the view, per job; restart", "jobs", "heap B", "resident B", "ready s", "LIST s")
	for _, v := range r.views {
		views.Row("", float64(v.jobs), v.heap, v.resident, measure.Median(v.ready), measure.Median(v.listed))
	}
	report.Aims = r.aims(worst, slowest)
	return report
}

// judged is the greatest figure of all reads.
type judged struct {
	call  string
	value float64
	jobs  int
}

// read takes a figure of a call into account if the call is a page or a get: these have aims.
func (j *judged) read(call string, value float64, jobs int) {
	if (call == getJob || strings.HasPrefix(call, "list ")) && value >= j.value {
		*j = judged{call, value, jobs}
	}
}

// aims judges the results: starts by all turns in all views, what a view takes by the largest.
func (r *results) aims(worst, slowest judged) []measure.Aim {
	smallest, largest := r.views[0], r.views[len(r.views)-1]
	var aims []measure.Aim
	aim := func(met bool, figure, what string, args ...any) {
		aims = append(aims, measure.Aim{What: fmt.Sprintf(what, args...), Figure: figure, Met: met})
	}
	if worst.call != "" {
		aim(worst.value <= mostRatio, fmt.Sprintf("at most %.2f (%s)", worst.value, worst.call),
			"a page of %d or a get costs at most %.1f times as much CPU among %d jobs as among %d",
			page, mostRatio, largest.jobs, smallest.jobs)
	}
	aim(slowest.value < mostP99, fmt.Sprintf("within %.2f ms (%s, %d jobs)", slowest.value, slowest.call, slowest.jobs),
		"a page or a get is answered to %d clients within %.0f ms in 99 of 100 calls", r.clients, mostP99)
	var starts, creates []float64
	for _, v := range r.views {
		starts = append(starts, column(r.of(startJob, v.jobs), perSecondOf)...)
		creates = append(creates, column(r.of(bareCreate, v.jobs), perSecondOf)...)
	}
	share := measure.MedianRatio(starts, creates)
	aim(share >= leastStarts,
		fmt.Sprintf("%.2f (median of %d turns; %.0f/s and %.0f/s)",
			share, len(starts), measure.Median(starts), measure.Median(creates)),
		"starts at %.1f or more of what kube-apiserver creates", leastStarts)
	aim(largest.heap <= mostHeapPerJob, fmt.Sprintf("%.0f", largest.heap),
		"at most %.0f bytes of heap per job in the view", mostHeapPerJob)
	if largest.jobs >= leastJobsForReady {
		took := measure.MedianRatio(largest.ready, largest.listed)
		aim(took <= mostReady,
			fmt.Sprintf("%.2f (%.2f s of %.2f s)", took, measure.Median(largest.ready), measure.Median(largest.listed)),
			"after a restart, ready with %d jobs in at most %.1f times what a bare paged LIST takes", largest.jobs, mostReady)
	}
	return aims
}
