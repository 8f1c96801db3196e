package api

import (
	"fmt"
	"io"
	"strconv"
	"strings"

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

// Print writes the report.
func (r *results) Print(w io.Writer) {
	t := measure.Table{Writer: w}
	t.Head(fmt.Sprintf("%d clients, %d rounds", r.Clients, r.Rounds),
		"jobs", "calls/s", "p50 ms", "p99 ms", "CPU µs", "allocs", "alloc KiB", "answer B")
	for _, c := range r.Calls {
		cells := []string{strconv.Itoa(c.Jobs), number(c.PerSecond), fraction(c.P50), fraction(c.P99)}
		if c.Call != bareCreate {
			cells = append(cells, number(c.CPU), number(c.Allocations), fmt.Sprintf("%.1f", c.Allocated/1024), number(c.Bytes))
		}
		t.Row(c.Call, cells...)
	}
	if len(r.Comparisons) > 0 {
		t.Head(fmt.Sprintf("%d jobs to %d", r.Views[len(r.Views)-1].Jobs, r.Views[0].Jobs), "CPU", "time", "p50")
		for _, c := range r.Comparisons {
			t.Numbers(c.Call, "%.2f", c.CPU, c.Time, c.P50)
		}
	}
	t.Head("the view, per job; restart", "jobs", "heap B", "resident B", "ready s", "LIST s")
	for _, v := range r.Views {
		t.Row("", strconv.Itoa(v.Jobs), number(v.HeapPerJob), number(v.ResidentPerJob),
			fraction(measure.Median(v.ReadySeconds)), fraction(measure.Median(v.ListSeconds)))
	}
	fmt.Fprintf(w, "\nload average %.1f before, %.1f after\n", r.LoadBefore, r.LoadAfter)
	measure.PrintAims(w, r.aims()...)
}

func number(value float64) string   { return fmt.Sprintf("%.0f", value) }
func fraction(value float64) string { return fmt.Sprintf("%.2f", value) }

// aims judges the results: of reads the worst in any view, of starts all turns in all views, of what a view takes the largest.
func (r *results) aims() []measure.Aim {
	largest := r.Views[len(r.Views)-1]
	var aims []measure.Aim
	worst := comparison{}
	for _, c := range r.Comparisons {
		if isRead(c.Call) && c.CPU >= worst.CPU {
			worst = c
		}
	}
	if worst.Call != "" {
		aims = append(aims, measure.Aim{
			What: fmt.Sprintf("a page of %d or a get costs at most %.1f times as much CPU among %d jobs as among %d",
				page, mostRatio, largest.Jobs, r.Views[0].Jobs),
			Figure: fmt.Sprintf("at most %.2f (%s)", worst.CPU, worst.Call), Met: worst.CPU <= mostRatio,
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
	share := measure.MedianRatio(starts, creates)
	aims = append(aims,
		measure.Aim{
			What:   fmt.Sprintf("a page or a get is answered to %d clients within %.0f ms in 99 of 100 calls", r.Clients, mostP99),
			Figure: fmt.Sprintf("within %.2f ms (%s, %d jobs)", slowest.P99, slowest.Call, slowest.Jobs), Met: slowest.P99 < mostP99,
		},
		measure.Aim{
			What:   fmt.Sprintf("starts at %.1f or more of what kube-apiserver creates", leastStarts),
			Figure: fmt.Sprintf("%.2f (median of %d turns; %.0f/s and %.0f/s)", share, len(starts), measure.Median(starts), measure.Median(creates)),
			Met:    share >= leastStarts,
		},
		measure.Aim{
			What:   fmt.Sprintf("at most %.0f bytes of heap per job in the view", mostHeapPerJob),
			Figure: fmt.Sprintf("%.0f", largest.HeapPerJob), Met: largest.HeapPerJob <= mostHeapPerJob,
		},
	)
	if largest.Jobs < leastJobsForReady {
		return aims
	}
	return append(aims, measure.Aim{
		What: fmt.Sprintf("after a restart, ready with %d jobs in at most %.1f times what a bare paged LIST takes",
			largest.Jobs, mostReady),
		Figure: fmt.Sprintf("%.2f (%.2f s of %.2f s)",
			largest.readyRatio(), measure.Median(largest.ReadySeconds), measure.Median(largest.ListSeconds)),
		Met: largest.readyRatio() <= mostReady,
	})
}

// isRead reports whether a call is one of those whose cost and latency have an aim.
func isRead(call string) bool { return call == getJob || strings.HasPrefix(call, "list ") }
