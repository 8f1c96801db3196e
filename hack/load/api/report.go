package main

import (
	"fmt"
	"io"
	"strings"
)

// What is aimed at.
const (
	mostRatio      = 1.2    // of the cost of a page or a get, largest to smallest view
	mostP99        = 5.0    // of a page or a get, in milliseconds
	leastStarts    = 0.9    // of the rate at which kube-apiserver creates
	mostHeapPerJob = 1536.0 // in bytes
	mostReady      = 1.5    // times what a bare LIST takes
)

// leastJobsForReady is the view from which on a restart is judged: with fewer jobs it is the process that takes the time.
const leastJobsForReady = 10_000

// print writes the results for people.
func (r *results) print(w io.Writer) {
	fmt.Fprintf(w, "\n%-36s %8s %9s %8s %8s %8s %8s %9s %9s\n",
		fmt.Sprintf("%d clients, %d rounds", r.Clients, r.Rounds),
		"jobs", "calls/s", "p50 ms", "p99 ms", "CPU µs", "allocs", "alloc KiB", "answer B")
	for _, c := range r.Calls {
		fmt.Fprintf(w, "%-36s %8d %9.0f %8.2f %8.2f", c.Call, c.Jobs, c.PerSecond, c.P50, c.P99)
		if c.Call != bareCreate {
			fmt.Fprintf(w, " %8.0f %8.0f %9.1f %9.0f", c.CPU, c.Allocations, c.Allocated/1024, c.Bytes)
		}
		fmt.Fprintln(w)
	}
	if len(r.Comparisons) > 0 {
		fmt.Fprintf(w, "\n%-36s %8s %8s %8s\n",
			fmt.Sprintf("%d jobs to %d", r.Views[len(r.Views)-1].Jobs, r.Views[0].Jobs), "CPU", "time", "p50")
		for _, c := range r.Comparisons {
			fmt.Fprintf(w, "%-36s %8.2f %8.2f %8.2f\n", c.Call, c.CPU, c.Time, c.P50)
		}
	}
	fmt.Fprintf(w, "\n%-36s %8s %9s %10s %8s %8s\n", "the view", "jobs", "heap B", "resident B", "ready s", "LIST s")
	for _, v := range r.Views {
		fmt.Fprintf(w, "%-36s %8d %9.0f %10.0f %8.2f %8.2f\n", "per job; restart", v.Jobs, v.HeapPerJob, v.ResidentPerJob,
			median(v.ReadySeconds), median(v.ListSeconds))
	}
	fmt.Fprintf(w, "\nload average %.1f before, %.1f after\n\n", r.LoadBefore, r.LoadAfter)
	for _, a := range r.aims() {
		verdict := "met"
		if !a.met {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%-6s %s: %s\n", verdict, a.what, a.figure)
	}
}

// aim is how a figure compares with what was aimed at.
type aim struct {
	what, figure string
	met          bool
}

// aims judges the results: of reads the worst in any view, of starts all turns in all views, of what a view takes the largest.
func (r *results) aims() []aim {
	largest := r.Views[len(r.Views)-1]
	var aims []aim
	worst := comparison{}
	for _, c := range r.Comparisons {
		if isRead(c.Call) && c.CPU >= worst.CPU {
			worst = c
		}
	}
	if worst.Call != "" {
		aims = append(aims, aim{
			what: fmt.Sprintf("a page of %d or a get costs at most %.1f times as much CPU among %d jobs as among %d",
				page, mostRatio, largest.Jobs, r.Views[0].Jobs),
			figure: fmt.Sprintf("at most %.2f (%s)", worst.CPU, worst.Call), met: worst.CPU <= mostRatio,
		})
	}
	slowest := callResult{}
	for _, c := range r.Calls {
		if isRead(c.Call) && c.P99 >= slowest.P99 {
			slowest = c
		}
	}
	var starts, creates []float64
	for _, v := range r.Views {
		starts = append(starts, column(r.call(startJob, v.Jobs).rounds, perSecondOf)...)
		creates = append(creates, column(r.call(bareCreate, v.Jobs).rounds, perSecondOf)...)
	}
	share := medianRatio(starts, creates)
	aims = append(aims,
		aim{
			what:   fmt.Sprintf("a page or a get is answered to %d clients within %.0f ms in 99 of 100 calls", r.Clients, mostP99),
			figure: fmt.Sprintf("within %.2f ms (%s, %d jobs)", slowest.P99, slowest.Call, slowest.Jobs), met: slowest.P99 < mostP99,
		},
		aim{
			what:   fmt.Sprintf("starts at %.1f or more of what kube-apiserver creates", leastStarts),
			figure: fmt.Sprintf("%.2f (median of %d turns; %.0f/s and %.0f/s)", share, len(starts), median(starts), median(creates)),
			met:    share >= leastStarts,
		},
		aim{
			what:   fmt.Sprintf("at most %.0f bytes of heap per job in the view", mostHeapPerJob),
			figure: fmt.Sprintf("%.0f", largest.HeapPerJob), met: largest.HeapPerJob <= mostHeapPerJob,
		},
	)
	if largest.Jobs < leastJobsForReady {
		return aims
	}
	return append(aims, aim{
		what: fmt.Sprintf("after a restart, ready with %d jobs in at most %.1f times what a bare paged LIST takes",
			largest.Jobs, mostReady),
		figure: fmt.Sprintf("%.2f (%.2f s of %.2f s)", largest.readyRatio(), median(largest.ReadySeconds), median(largest.ListSeconds)),
		met:    largest.readyRatio() <= mostReady,
	})
}

// isRead says whether a call is one of those whose cost and latency are aimed at.
func isRead(call string) bool { return call == getJob || strings.HasPrefix(call, "list ") }
