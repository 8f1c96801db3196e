package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	mebibyte = 1 << 20
	kibibyte = 1 << 10
	// rare is how many writes per job are too few to be of the jobs, such as the renewal of a lease.
	rare = 0.02
)

// table writes rows of figures: SpiderJobs, bare Jobs, and their ratio.
type table struct{ io.Writer }

// line writes a row of cells.
func (t table) line(name, spiderJob, bare, ratio string) {
	fmt.Fprintf(t, "%-46s %10s %10s %7s\n", name, spiderJob, bare, ratio)
}

func (t table) heading(text string) {
	fmt.Fprintln(t)
	t.line(text, "SpiderJob", "bare Job", "ratio")
}

func (t table) row(name, format string, spiderJob, bare float64) {
	ratio := "-"
	if bare > 0 && spiderJob > 0 {
		ratio = fmt.Sprintf("%.2f", spiderJob/bare)
	}
	t.line("  "+name, fmt.Sprintf(format, spiderJob), fmt.Sprintf(format, bare), ratio)
}

// alone is a row of what only SpiderJobs have.
func (t table) alone(name, format string, spiderJob float64) {
	t.line("  "+name, fmt.Sprintf(format, spiderJob), "-", "-")
}

func (t table) latencies(when string, spiderJob, bare latencies) {
	t.heading(when)
	for _, row := range []struct {
		name      string
		spiderJob latency
		bare      latency
		alone     bool
	}{
		{"create → Job", spiderJob.CreateToJob, bare.CreateToJob, true},
		{"Pod running → status", spiderJob.RunningToStatus, bare.RunningToStatus, false},
		{"Pod end → status", spiderJob.EndToStatus, bare.EndToStatus, false},
	} {
		for _, of := range []struct {
			name            string
			spiderJob, bare float64
		}{
			{"p50", row.spiderJob.P50, row.bare.P50},
			{"p99", row.spiderJob.P99, row.bare.P99},
			{"most", row.spiderJob.Max, row.bare.Max},
		} {
			name := row.name + ", " + of.name
			if row.alone {
				t.alone(name, "%.0f", of.spiderJob)
			} else {
				t.row(name, "%.0f", of.spiderJob, of.bare)
			}
		}
		if !row.alone && row.spiderJob.Of != row.bare.Of {
			t.row(row.name+", seen of so many jobs", "%.0f", float64(row.spiderJob.Of), float64(row.bare.Of))
		}
	}
}

// print writes the results for people. The last line is the ratio, in a form that programs find.
func (r *results) print(w io.Writer) {
	t := table{w}
	first := r.Bursts[0]
	t.heading(fmt.Sprintf("burst of %d, %d rounds", first.Jobs, len(r.Bursts)/2))
	t.row("jobs per second, median", "%.1f", r.SpiderJobs.Throughput, r.Jobs.Throughput)
	for i := 0; i+1 < len(r.Bursts); i += 2 {
		spiderJobs, bare := r.Bursts[i], r.Bursts[i+1]
		if spiderJobs.Subject != spiderSubject {
			spiderJobs, bare = bare, spiderJobs
		}
		t.row(fmt.Sprintf("round %d", i/2+1), "%.1f", spiderJobs.throughput(), bare.throughput())
	}
	t.row("processors busy with other things meanwhile", "%.1f", r.SpiderJobs.Others, r.Jobs.Others)
	t.latencies("in the burst, ms", r.SpiderJobs.Burst, r.Jobs.Burst)
	if len(r.Steady) > 0 {
		t.latencies(fmt.Sprintf("at %g jobs per second, ms", r.Rate), r.SpiderJobs.Steady, r.Jobs.Steady)
	}

	t.heading("API writes per job, whole cluster")
	t.row("all", "%.2f", r.SpiderJobs.WritesPerJob, r.Jobs.WritesPerJob)
	for _, name := range byValue(r.SpiderJobs.Writes, r.Jobs.Writes) {
		if max(r.SpiderJobs.Writes[name], r.Jobs.Writes[name]) >= rare {
			t.row(name, "%.2f", r.SpiderJobs.Writes[name], r.Jobs.Writes[name])
		}
	}
	t.alone("of them the operator's", "%.2f", r.SpiderJobs.OperatorWrites)
	t.alone("reads of the operator", "%.2f", r.SpiderJobs.OperatorReads)
	t.alone("requests of the operator refused", "%.2f", r.SpiderJobs.OperatorRefused)
	t.alone("reconciles", "%.2f", r.SpiderJobs.Reconciles)

	t.heading("CPU seconds per 1,000 jobs")
	t.row("all", "%.1f", r.SpiderJobs.CPUSeconds, r.Jobs.CPUSeconds)
	for _, name := range byValue(r.SpiderJobs.CPU, r.Jobs.CPU) {
		t.row(name, "%.1f", r.SpiderJobs.CPU[name], r.Jobs.CPU[name])
	}
	t.heading("peak memory, MiB")
	for _, name := range byValue(r.SpiderJobs.PeakMemory, r.Jobs.PeakMemory) {
		t.row(name, "%.0f", float64(r.SpiderJobs.PeakMemory[name])/mebibyte, float64(r.Jobs.PeakMemory[name])/mebibyte)
	}
	t.heading("operator memory, KiB per SpiderJob")
	t.alone("just ended, with its Job and Pod: heap", "%.1f", r.SpiderJobs.HeapPerJob/kibibyte)
	if h := r.Held; h != nil {
		t.alone(fmt.Sprintf("%d held: heap", h.SpiderJobs), "%.1f", h.HeapPerJob/kibibyte)
		t.alone(fmt.Sprintf("%d held: resident", h.SpiderJobs), "%.1f", h.ResidentPerJob/kibibyte)
	}
	if h := r.Held; h != nil {
		fmt.Fprintf(w, "\nThe operator, started with %d ended SpiderJobs, took %.1f s, %.1f CPU seconds and %.0f requests to know them all.\n",
			h.SpiderJobs, h.StartSeconds, h.CPUSeconds, h.Requests)
	}
	if i := r.Idle; i != nil {
		fmt.Fprintf(w, "\nWith %d ended and %d running SpiderJobs, and nothing happening to them, in %.0f s: %.0f writes but leases%s.\n"+
			"The operator made %.0f requests and %.0f reconciles, and used %.2f CPU seconds per minute (kube-apiserver %.2f).\n",
			i.Ended, i.Running, i.Seconds, sum(i.Writes), listed(i.Writes),
			i.Requests, i.Reconciles, i.CPU[operatorCommand], i.CPU["kube-apiserver"])
	}
	fmt.Fprintf(w, "\nBare Jobs are of the very spec that the operator gives its own. Pods run %g s on nodes played by KWOK. Rate limits of\n"+
		"clients: kube-controller-manager and kube-scheduler 2,000 requests per second with bursts of 4,000, all others none;\n"+
		"kube-controller-manager syncs 16 Jobs at once, the operator reconciles %d SpiderJobs at once. %d calls create jobs at once.\n",
		r.PodSeconds, r.Workers, creators)
	fmt.Fprintf(w, "\nthroughput ratio: %.2f\n", r.ThroughputRatio)
}

func sum(values map[string]float64) float64 {
	total := 0.0
	for _, value := range values {
		total += value
	}
	return total
}

// listed names what was counted, in brackets, or nothing where there is nothing.
func listed(counts map[string]float64) string {
	if len(counts) == 0 {
		return ""
	}
	parts := make([]string, 0, len(counts))
	for _, name := range byValue(counts, nil) {
		parts = append(parts, fmt.Sprintf("%.0f %s", counts[name], name))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
