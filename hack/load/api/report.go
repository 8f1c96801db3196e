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
	call      string
	jobs      int
	latencies []time.Duration
	// figures are the rate, and what each call costs the REST API's process.
	figures measure.Counts
}

// The figures of a call: its rate, and what each one costs in CPU time and allocations on the heap (objects and bytes).
const rate, cpu, allocations, allocated = "calls/s", "CPU µs", "allocs", "alloc KiB"

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

// of are a figure and all latencies of a call in the view of a size, the former in order of the rounds.
func (r *results) of(call string, jobs int, figure string) (figures []float64, latencies []time.Duration) {
	for _, m := range r.measured {
		if m.call == call && m.jobs == jobs {
			figures = append(figures, m.figures[figure])
			latencies = append(latencies, m.latencies...)
		}
	}
	return figures, latencies
}

// report sums up what was measured. Rates and costs are medians of the rounds, latencies are of all calls, and the ratios, to the
// smallest view, are medians of the rounds' ratios.
func (r *results) report() *measure.Report {
	report := &measure.Report{}
	calls := report.Table(fmt.Sprintf("%d clients, %d rounds", r.clients, r.rounds),
		"jobs", rate, "p50 ms", "p99 ms", cpu, "CPU ratio", allocations, allocated)
	// Of reads the worst in any view is judged.
	worst, slowest := judged{}, judged{}
	var names []string
	for _, m := range r.measured {
		if slices.Contains(names, m.call) {
			continue
		}
		names = append(names, m.call)
		smallest, _ := r.of(m.call, r.views[0].jobs, cpu)
		for _, v := range r.views {
			median := func(figure string) float64 {
				figures, _ := r.of(m.call, v.jobs, figure)
				return measure.Median(figures)
			}
			costs, latencies := r.of(m.call, v.jobs, cpu)
			times, ratio := measure.LatencyOf(latencies), measure.MedianRatio(costs, smallest)
			values := []float64{float64(v.jobs), median(rate), times.P50, times.P99}
			if m.call != bareCreate { // which goes past the REST API
				values = append(values, median(cpu), ratio, median(allocations), median(allocated))
			}
			calls.Row(m.call, values...)
			slowest.read(m.call, times.P99, v.jobs)
			worst.read(m.call, ratio, v.jobs)
		}
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
	if len(r.views) > 1 {
		aim(worst.value <= mostRatio, fmt.Sprintf("at most %.2f (%s)", worst.value, worst.call),
			"a page of %d or a get costs at most %.1f times as much CPU among %d jobs as among %d",
			page, mostRatio, worst.jobs, smallest.jobs)
	}
	aim(slowest.value < mostP99, fmt.Sprintf("within %.2f ms (%s, %d jobs)", slowest.value, slowest.call, slowest.jobs),
		"a page or a get is answered to %d clients within %.0f ms in 99 of 100 calls", r.clients, mostP99)
	var starts, creates []float64
	for _, v := range r.views {
		started, _ := r.of(startJob, v.jobs, rate)
		made, _ := r.of(bareCreate, v.jobs, rate)
		starts, creates = append(starts, started...), append(creates, made...)
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
