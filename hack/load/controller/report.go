package controller

import (
	"fmt"
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

// lateness are the times between two events of a job. Bare Jobs do not have the first.
var lateness = []struct {
	name     string
	from, to event
}{
	{"create → Job", created, hasJob},
	{"Pod running → status", podRunning, running},
	{podEndToStatus, podEnded, ended},
}

const podEndToStatus = "Pod end → status"

// reportComparison reports what either kind of job costs and how late its status is.
func (o *Options) reportComparison(bursts, steady runs) *measure.Report {
	r := &measure.Report{}
	spiders, bare := bursts[spiderSubject], bursts[jobSubject]
	of, to := values(spiders, (*run).throughput), values(bare, (*run).throughput)
	r.ThroughputRatio = measure.MedianRatio(of, to)
	t := r.Comparison(fmt.Sprintf("burst of %d", o.jobs), "SpiderJobs", "bare Jobs")
	t.Compare("jobs per second, median", measure.Median(of), measure.Median(to))
	for i := range spiders {
		t.Compare(fmt.Sprintf("round %d", i+1), of[i], to[i])
	}
	t.Compare("processors busy with other things meanwhile", othersOf(spiders), othersOf(bare))
	reportLatencies(r, "in the burst, ms", bursts)
	if len(steady) > 0 {
		reportLatencies(r, fmt.Sprintf("at %g jobs per second, ms", o.rate), steady)
	}
	for _, costs := range []struct {
		title string
		jobs  float64
		of    func(system.Reading) measure.Counts
	}{
		{"API writes per job, whole cluster", 1, func(used system.Reading) measure.Counts { return used.Writes }},
		{"CPU seconds per 1,000 jobs", 1000, func(used system.Reading) measure.Counts { return used.CPU }},
	} {
		t := r.Comparison(costs.title, "SpiderJobs", "bare Jobs")
		of, to := perJobs(spiders, costs.jobs, costs.of), perJobs(bare, costs.jobs, costs.of)
		t.Compare("all", of.Sum(), to.Sum())
		for _, name := range measure.ByValue(of, to) {
			if max(of[name], to[name]) >= rare {
				t.Compare(name, of[name], to[name])
			}
		}
	}
	peaks := values(spiders, func(r *run) float64 { return r.peak / mebibyte })
	heaps := values(spiders, func(r *run) float64 { return r.heapPerJob / kibibyte })
	t = r.Table("the operator", "SpiderJobs")
	counted := perJobs(spiders, 1, func(used system.Reading) measure.Counts { return used.Counted })
	for _, name := range []string{system.OperatorWrites, system.OperatorReads, system.Reconciles} {
		t.Row(name+" per job", counted[name])
	}
	t.Row("peak memory, MiB", measure.Median(peaks))
	t.Row("heap, KiB per job just ended", measure.Median(heaps))
	r.Note(`Bare Jobs have the very spec that the operator gives its own. Pods run 3 s on nodes played by KWOK. Rate limits of
clients: kube-controller-manager and kube-scheduler 2,000 requests per second with bursts of 4,000, all others none.
kube-controller-manager syncs 16 Jobs at the same time, the operator has its defaults, %d calls create jobs.`, system.Creators)
	return r
}

// reportLatencies reports how late the status of either kind of job is. A job may end before its status has said that it runs.
func reportLatencies(r *measure.Report, title string, runs runs) {
	t := r.Table(title, latencyColumns...)
	for _, l := range lateness {
		of, to := latencyOf(runs[spiderSubject], l.from, l.to), latencyOf(runs[jobSubject], l.from, l.to)
		rowOf(t, l.name, of)
		if to.Of > 0 && l.to != hasJob {
			rowOf(t, "  of bare Jobs", to)
			t.Row("  ratio", measure.Ratio(of.P50, to.P50), measure.Ratio(of.P99, to.P99), measure.Ratio(of.Max, to.Max))
		}
	}
}

var latencyColumns = []string{"p50", "p99", "max", "of"}

func rowOf(t *measure.Table, name string, l measure.Latency) {
	t.Row(name, l.P50, l.P99, l.Max, float64(l.Of))
}

// values are one of each run.
func values(runs []*run, of func(*run) float64) []float64 {
	all := make([]float64, 0, len(runs))
	for _, r := range runs {
		all = append(all, of(r))
	}
	return all
}

// perJobs is what was counted in all runs per so many jobs.
func perJobs(runs []*run, per float64, of func(used system.Reading) measure.Counts) measure.Counts {
	all, jobs := measure.Counts{}, 0
	for _, r := range runs {
		jobs += r.jobs
		for name, value := range of(r.used) {
			all[name] += value
		}
	}
	for name := range all {
		all[name] *= per / float64(jobs)
	}
	return all
}

// othersOf is how many of the machine's processors were busy with what is not measured. The less, the better.
func othersOf(runs []*run) float64 {
	var others, took float64
	for _, r := range runs {
		others, took = others+r.used.Others(), took+r.used.Took.Seconds()
	}
	return measure.Ratio(others, took)
}

// latencyOf is the distribution of the times between two events of the jobs of runs, if both were seen. It may be negative where
// one watch was ahead of another.
func latencyOf(runs []*run, from, to event) measure.Latency {
	var times []time.Duration
	for _, r := range runs {
		for _, t := range r.timelines {
			if !t.at[from].IsZero() && !t.at[to].IsZero() {
				times = append(times, t.at[to].Sub(t.at[from]))
			}
		}
	}
	return measure.LatencyOf(times)
}
