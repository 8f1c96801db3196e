package controller

import (
	"fmt"
	"maps"
	"time"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

const (
	mebibyte = 1 << 20
	kibibyte = 1 << 10
	// rare is how many writes per job are too few to be caused by the jobs, such as the renewal of a lease.
	rare = 0.02
)

// comparison is a table of SpiderJobs, bare Jobs and their ratio.
type comparison struct {
	*measure.Table
	spiders, bare []*run
}

func compareRuns(r *measure.Report, title string, runs []*run) comparison {
	c := comparison{Table: r.Table(title, "SpiderJob", "bare Job", "ratio")}
	for _, one := range runs {
		if one.subject == spiderSubject {
			c.spiders = append(c.spiders, one)
		} else {
			c.bare = append(c.bare, one)
		}
	}
	return c
}

// figure adds a row of a figure of all runs of either kind.
func (c comparison) figure(name string, of func(runs []*run) float64) {
	spiders, bare := of(c.spiders), of(c.bare)
	if spiders > 0 && bare > 0 {
		c.Row(name, spiders, bare, spiders/bare)
	} else {
		c.Row(name, spiders, bare)
	}
}

// perJob adds a row of what was used per so many jobs.
func (c comparison) perJob(name string, jobs float64, of func(used system.Reading) float64) {
	c.figure(name, func(runs []*run) float64 { return jobs * usedPerJob(runs, of) })
}

// alone adds a row of what was counted per job that only SpiderJobs have.
func (c comparison) alone(name, counted string) {
	c.Row(name, usedPerJob(c.spiders, func(used system.Reading) float64 { return used.Counted[counted] }))
}

// lateness are the times between two events of a job. Bare Jobs do not have the first.
var lateness = []struct {
	name     string
	alone    bool
	from, to event
}{
	{"create → Job", true, created, hasJob},
	{"Pod running → status", false, podRunning, running},
	{podEndToStatus, false, podEnded, ended},
}

const podEndToStatus = "Pod end → status"

func (c comparison) latencies() {
	for _, l := range lateness {
		for _, figure := range []struct {
			name string
			of   func(measure.Latency) float64
		}{
			{"p50", func(l measure.Latency) float64 { return l.P50 }},
			{"p99", func(l measure.Latency) float64 { return l.P99 }},
			{"max", func(l measure.Latency) float64 { return l.Max }},
			// A job may end before its status has said that it runs.
			{"seen of so many jobs", func(l measure.Latency) float64 { return float64(l.Of) }},
		} {
			of := func(runs []*run) float64 { return figure.of(latencyOf(jobsOf(runs), l.from, l.to)) }
			if name := l.name + ", " + figure.name; l.alone {
				c.Row(name, of(c.spiders))
			} else {
				c.figure(name, of)
			}
		}
	}
}

// reportComparison reports what either kind of job costs and how late its status is.
func (o *Options) reportComparison(bursts, steady []*run) *measure.Report {
	r := &measure.Report{}
	c := compareRuns(r, fmt.Sprintf("burst of %d", o.jobs), bursts)
	c.figure("jobs per second, median", func(runs []*run) float64 { return measure.Median(throughputs(runs)) })
	for i := range c.spiders {
		c.figure(fmt.Sprintf("round %d", i+1), func(runs []*run) float64 { return runs[i].throughput() })
	}
	c.figure("processors busy with other things meanwhile", othersOf)
	r.ThroughputRatio = measure.MedianRatio(throughputs(c.spiders), throughputs(c.bare))
	compareRuns(r, "in the burst, ms", bursts).latencies()
	if len(steady) > 0 {
		compareRuns(r, fmt.Sprintf("at %g jobs per second, ms", o.rate), steady).latencies()
	}

	names := func(of func(*run) measure.Counts) []string {
		var all []measure.Counts
		for _, one := range bursts {
			all = append(all, of(one))
		}
		return measure.ByValue(all...)
	}
	c = compareRuns(r, "API writes per job, whole cluster", bursts)
	c.perJob("all", 1, func(used system.Reading) float64 { return used.Writes.Sum() })
	for _, name := range names(func(one *run) measure.Counts { return one.used.Writes }) {
		writes := func(used system.Reading) float64 { return used.Writes[name] }
		if max(usedPerJob(c.spiders, writes), usedPerJob(c.bare, writes)) >= rare {
			c.perJob(name, 1, writes)
		}
	}
	c.alone("of them the operator's", system.OperatorWrites)
	c.alone("reads of the operator", system.OperatorReads)
	c.alone("requests of the operator refused", system.OperatorRefused)
	c.alone("reconciles", system.Reconciles)

	c = compareRuns(r, "CPU seconds per 1,000 jobs", bursts)
	c.perJob("all", 1000, func(used system.Reading) float64 { return used.CPU.Sum() })
	for _, name := range names(func(one *run) measure.Counts { return one.used.CPU }) {
		c.perJob(name, 1000, func(used system.Reading) float64 { return used.CPU[name] })
	}
	c = compareRuns(r, "peak memory, MiB", bursts)
	for _, name := range names(func(one *run) measure.Counts { return one.peaks }) {
		c.figure(name, func(runs []*run) float64 {
			peak := 0.0
			for _, one := range runs {
				peak = max(peak, one.peaks[name])
			}
			return peak / mebibyte
		})
	}
	heaps := []float64{}
	for _, one := range c.spiders {
		heaps = append(heaps, one.heapPerJob/kibibyte)
	}
	r.Table("operator memory, KiB per SpiderJob", "SpiderJob").Row("just ended, with its Job and Pod: heap", measure.Median(heaps))
	r.Note(`Bare Jobs have the very spec that the operator gives its own. Pods run %s on nodes played by KWOK. Rate limits of
clients: kube-controller-manager and kube-scheduler 2,000 requests per second with bursts of 4,000, all others none.
kube-controller-manager syncs 16 Jobs at the same time, the operator reconciles %d SpiderJobs, %d calls create jobs.`,
		o.podTime, o.workers, system.Creators)
	return r
}

func throughputs(runs []*run) []float64 {
	values := make([]float64, 0, len(runs))
	for _, r := range runs {
		values = append(values, r.throughput())
	}
	return values
}

// usedPerJob is what was used in all runs by the number of their jobs.
func usedPerJob(runs []*run, of func(used system.Reading) float64) float64 {
	used, jobs := 0.0, 0.0
	for _, r := range runs {
		used, jobs = used+of(r.used), jobs+float64(r.jobs)
	}
	return measure.Ratio(used, jobs)
}

// othersOf is how many of the machine's processors were busy with what is not measured. The less, the better.
func othersOf(runs []*run) float64 {
	var others, took float64
	for _, r := range runs {
		others, took = others+r.used.Others(), took+r.took.Seconds()
	}
	return measure.Ratio(others, took)
}

// jobsOf are the jobs of all runs, no two of which have the same name.
func jobsOf(runs []*run) map[string]*timeline {
	all := map[string]*timeline{}
	for _, r := range runs {
		maps.Copy(all, r.timelines)
	}
	return all
}

// latencyOf is the distribution of the times between two events of jobs, if both were seen. It may be negative where
// one watch was ahead of another.
func latencyOf(jobs map[string]*timeline, from, to event) measure.Latency {
	var times []time.Duration
	for _, t := range jobs {
		if !t.at[from].IsZero() && !t.at[to].IsZero() {
			times = append(times, t.at[to].Sub(t.at[from]))
		}
	}
	return measure.LatencyOf(times)
}
