package controller

import (
	"fmt"
	"io"
	"strings"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

const (
	mebibyte = 1 << 20
	kibibyte = 1 << 10
	// rare is how many writes per job are too few to be caused by the jobs, such as the renewal of a lease.
	rare = 0.02
)

// comparison writes rows of figures: SpiderJobs, bare Jobs, and their ratio.
type comparison struct{ measure.Table }

func (c comparison) heading(text string) { c.Head(text, "SpiderJob", "bare Job", "ratio") }

func (c comparison) row(name, format string, spiderJob, bare float64) {
	ratio := "-"
	if bare > 0 && spiderJob > 0 {
		ratio = fmt.Sprintf("%.2f", spiderJob/bare)
	}
	c.Row("  "+name, fmt.Sprintf(format, spiderJob), fmt.Sprintf(format, bare), ratio)
}

// alone is a row of what only SpiderJobs have.
func (c comparison) alone(name, format string, spiderJob float64) {
	c.Row("  "+name, fmt.Sprintf(format, spiderJob), "-", "-")
}

func (c comparison) latencies(when string, spiderJob, bare latencies) {
	c.heading(when)
	created := spiderJob.CreateToJob
	c.alone("create → Job, p50", "%.0f", created.P50)
	c.alone("create → Job, p99", "%.0f", created.P99)
	c.alone("create → Job, max", "%.0f", created.Max)
	for _, row := range []struct {
		name            string
		spiderJob, bare measure.Latency
	}{
		{"Pod running → status", spiderJob.RunningToStatus, bare.RunningToStatus},
		{"Pod end → status", spiderJob.EndToStatus, bare.EndToStatus},
	} {
		c.row(row.name+", p50", "%.0f", row.spiderJob.P50, row.bare.P50)
		c.row(row.name+", p99", "%.0f", row.spiderJob.P99, row.bare.P99)
		c.row(row.name+", max", "%.0f", row.spiderJob.Max, row.bare.Max)
		// A job may end before its status has said that it runs.
		if row.spiderJob.Of != row.bare.Of {
			c.row(row.name+", seen of so many jobs", "%.0f", float64(row.spiderJob.Of), float64(row.bare.Of))
		}
	}
}

// Print writes the report. The last line is the ratio, in a form that programs find.
func (r *results) Print(w io.Writer) {
	c := comparison{measure.Table{Writer: w}}
	spiders, bare := bySubject(r.Bursts)
	c.heading(fmt.Sprintf("burst of %d, %d rounds", r.Bursts[0].Jobs, len(spiders)))
	c.row("jobs per second, median", "%.1f", r.SpiderJobs.Throughput, r.Jobs.Throughput)
	for i := range spiders {
		c.row(fmt.Sprintf("round %d", i+1), "%.1f", spiders[i].throughput(), bare[i].throughput())
	}
	c.row("processors busy with other things meanwhile", "%.1f", r.SpiderJobs.Others, r.Jobs.Others)
	c.latencies("in the burst, ms", r.SpiderJobs.Burst, r.Jobs.Burst)
	if len(r.Steady) > 0 {
		c.latencies(fmt.Sprintf("at %g jobs per second, ms", r.Rate), r.SpiderJobs.Steady, r.Jobs.Steady)
	}

	c.heading("API writes per job, whole cluster")
	c.row("all", "%.2f", r.SpiderJobs.WritesPerJob, r.Jobs.WritesPerJob)
	for _, name := range measure.ByValue(r.SpiderJobs.Writes, r.Jobs.Writes) {
		if max(r.SpiderJobs.Writes[name], r.Jobs.Writes[name]) >= rare {
			c.row(name, "%.2f", r.SpiderJobs.Writes[name], r.Jobs.Writes[name])
		}
	}
	c.alone("of them the operator's", "%.2f", r.SpiderJobs.OperatorWrites)
	c.alone("reads of the operator", "%.2f", r.SpiderJobs.OperatorReads)
	c.alone("requests of the operator refused", "%.2f", r.SpiderJobs.OperatorRefused)
	c.alone("reconciles", "%.2f", r.SpiderJobs.Reconciles)

	c.heading("CPU seconds per 1,000 jobs")
	c.row("all", "%.1f", r.SpiderJobs.CPUSeconds, r.Jobs.CPUSeconds)
	for _, name := range measure.ByValue(r.SpiderJobs.CPU, r.Jobs.CPU) {
		c.row(name, "%.1f", r.SpiderJobs.CPU[name], r.Jobs.CPU[name])
	}
	c.heading("peak memory, MiB")
	for _, name := range measure.ByValue(r.SpiderJobs.PeakMemory, r.Jobs.PeakMemory) {
		c.row(name, "%.0f", float64(r.SpiderJobs.PeakMemory[name])/mebibyte, float64(r.Jobs.PeakMemory[name])/mebibyte)
	}
	c.heading("operator memory, KiB per SpiderJob")
	c.alone("just ended, with its Job and Pod: heap", "%.1f", r.SpiderJobs.HeapPerJob/kibibyte)
	if h := r.Held; h != nil {
		c.alone(fmt.Sprintf("%d held: heap", h.SpiderJobs), "%.1f", h.HeapPerJob/kibibyte)
		c.alone(fmt.Sprintf("%d held: resident", h.SpiderJobs), "%.1f", h.ResidentPerJob/kibibyte)
		fmt.Fprintf(w, "\nThe operator, started with %d ended SpiderJobs, took %.1f s, %.1f CPU seconds and %.0f requests to know them all.\n",
			h.SpiderJobs, h.StartSeconds, h.CPUSeconds, h.Requests)
	}
	if r.Idle != nil {
		r.Idle.print(w)
	}
	fmt.Fprintf(w, "\nBare Jobs have the very spec that the operator gives its own. Pods run %g s on nodes played by KWOK. Rate limits of\n"+
		"clients: kube-controller-manager and kube-scheduler 2,000 requests per second with bursts of 4,000, all others none.\n"+
		"kube-controller-manager syncs 16 Jobs at the same time, the operator reconciles %d SpiderJobs, %d calls create jobs.\n",
		r.PodSeconds, r.Workers, system.Creators)
	fmt.Fprintf(w, "\nthroughput ratio: %.2f\n", r.ThroughputRatio)
}

func (i *idle) print(w io.Writer) {
	total, parts := 0.0, []string{}
	for _, name := range measure.ByValue(i.Writes) {
		total += i.Writes[name]
		parts = append(parts, fmt.Sprintf("%.0f %s", i.Writes[name], name))
	}
	writes := fmt.Sprintf("%.0f writes without leases", total)
	if len(parts) > 0 {
		writes += " (" + strings.Join(parts, ", ") + ")"
	}
	fmt.Fprintf(w, "\nWith %d ended and %d running SpiderJobs, and nothing happening to them, in %.0f s: %s.\n"+
		"The operator made %.0f requests and %.0f reconciles, and used %.2f CPU seconds per minute (kube-apiserver %.2f).\n",
		i.Ended, i.Running, i.Seconds, writes, i.Requests, i.Reconciles, i.CPU[system.Operator], i.CPU["kube-apiserver"])
}
