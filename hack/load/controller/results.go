package main

import (
	"cmp"
	"slices"
	"time"
)

// results are what a benchmark has found out.
type results struct {
	// ThroughputRatio is the median of the rounds' ratios of SpiderJobs per second to bare Jobs per second.
	ThroughputRatio float64 `json:"throughputRatio"`
	// Bursts are the rounds, and Steady the runs at Rate per second.
	Bursts []*run  `json:"bursts"`
	Steady []*run  `json:"steady"`
	Rate   float64 `json:"ratePerSecond"`
	// PodSeconds is how long each Pod ran.
	PodSeconds float64 `json:"podSeconds"`
	// Workers is how many SpiderJobs the operator reconciled at once.
	Workers int `json:"workers"`
	// SpiderJobs and Jobs are what either kind costs and how it fares.
	SpiderJobs figures `json:"spiderJobs"`
	Jobs       figures `json:"jobs"`
	Held       *held   `json:"held,omitempty"`
	Idle       *idle   `json:"idle,omitempty"`
}

// figures are of all runs of one kind of job. Costs are those of the bursts.
type figures struct {
	Throughput float64 `json:"throughputPerSecond"`
	// Writes are kube-apiserver's, per job, by verb and resource. WritesPerJob is their sum.
	Writes       map[string]float64 `json:"writes"`
	WritesPerJob float64            `json:"writesPerJob"`
	// The operator's own share, per job, and how much of it was refused.
	OperatorWrites  float64 `json:"operatorWritesPerJob"`
	OperatorReads   float64 `json:"operatorReadsPerJob"`
	OperatorRefused float64 `json:"operatorRefusedPerJob"`
	Reconciles      float64 `json:"reconcilesPerJob"`
	// CPU is in seconds per 1,000 jobs, by process. CPUSeconds is their sum.
	CPU        map[string]float64 `json:"cpuSecondsPer1000Jobs"`
	CPUSeconds float64            `json:"allCPUSecondsPer1000Jobs"`
	// Others is how many of the machine's processors were busy meanwhile with what is not measured. The less, the better.
	Others float64 `json:"processorsBusyWithOthers"`
	// PeakMemory is in bytes, by process.
	PeakMemory map[string]uint64 `json:"peakMemoryBytes"`
	// HeapPerJob is what each job that has ended, with its Job and its Pod, holds of the operator's heap, in bytes.
	HeapPerJob float64   `json:"heapPerJobBytes"`
	Burst      latencies `json:"burst"`
	Steady     latencies `json:"steady"`
}

// latencies are how late what has happened was told.
type latencies struct {
	CreateToJob     latency `json:"createToJob"`
	RunningToStatus latency `json:"podRunningToStatus"`
	EndToStatus     latency `json:"podEndToStatus"`
}

// latency is a distribution of times, in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
	// Of is how many jobs it was seen of. A job may end before its status has said that it runs.
	Of int `json:"of"`
}

func summarize(opts options, bursts, steady []*run) *results {
	r := &results{Bursts: bursts, Steady: steady, Rate: opts.rate, PodSeconds: opts.podTime.Seconds(), Workers: opts.workers}
	var spiders, bare []*run
	for _, b := range bursts {
		if b.Subject == spiderSubject {
			spiders = append(spiders, b)
		} else {
			bare = append(bare, b)
		}
	}
	ratios := make([]float64, 0, len(spiders))
	for i := range spiders {
		ratios = append(ratios, spiders[i].throughput()/bare[i].throughput())
	}
	r.ThroughputRatio = median(ratios)
	r.SpiderJobs, r.Jobs = figuresOf(spiders), figuresOf(bare)
	for _, s := range steady {
		if s.Subject == spiderSubject {
			r.SpiderJobs.Steady = latenciesOf(s)
		} else {
			r.Jobs.Steady = latenciesOf(s)
		}
	}
	return r
}

func figuresOf(runs []*run) figures {
	f := figures{Writes: map[string]float64{}, CPU: map[string]float64{}, PeakMemory: map[string]uint64{}, Burst: latenciesOf(runs...)}
	jobs := 0
	throughputs, heaps := make([]float64, 0, len(runs)), make([]float64, 0, len(runs))
	for _, r := range runs {
		jobs += r.Jobs
		throughputs = append(throughputs, r.throughput())
		heaps = append(heaps, r.HeapPerJob)
	}
	n := float64(jobs)
	var others, took time.Duration
	f.Throughput, f.HeapPerJob = median(throughputs), median(heaps)
	for _, r := range runs {
		for name, value := range r.used.writes {
			f.Writes[name] += value / n
			f.WritesPerJob += value / n
		}
		for name, value := range r.used.cpu {
			seconds := value.Seconds() / n * 1000
			f.CPU[name] += seconds
			f.CPUSeconds += seconds
		}
		others, took = others+r.used.others(), took+r.took
		for name, value := range r.PeakMemory {
			f.PeakMemory[name] = max(f.PeakMemory[name], value)
		}
		f.OperatorWrites += r.used.operatorWrites / n
		f.OperatorReads += r.used.operatorReads / n
		f.OperatorRefused += r.used.operatorRefused / n
		f.Reconciles += r.used.reconciles / n
	}
	if took > 0 {
		f.Others = others.Seconds() / took.Seconds()
	}
	return f
}

func latenciesOf(runs ...*run) latencies {
	var all []*timeline
	for _, r := range runs {
		all = append(all, r.jobs...)
	}
	return latencies{
		CreateToJob:     latencyOf(all, func(t *timeline) (from, to time.Time) { return t.created, t.job }),
		RunningToStatus: latencyOf(all, func(t *timeline) (from, to time.Time) { return t.podRunning, t.running }),
		EndToStatus:     latencyOf(all, func(t *timeline) (from, to time.Time) { return t.podEnded, t.ended }),
	}
}

// latencyOf is the distribution of the times between two moments of jobs, of which both were seen. It may be negative where
// one watch was ahead of another.
func latencyOf(all []*timeline, between func(*timeline) (from, to time.Time)) latency {
	var times []time.Duration
	for _, t := range all {
		if from, to := between(t); !from.IsZero() && !to.IsZero() {
			times = append(times, to.Sub(from))
		}
	}
	slices.Sort(times)
	return latency{P50: percentile(times, 50), P99: percentile(times, 99), Max: percentile(times, 100), Of: len(times)}
}

// percentile is the smallest of the sorted times that p percent of them do not exceed, in milliseconds; zero of none.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return float64(sorted[max(rank, 1)-1]) / float64(time.Millisecond)
}

// median is the middle of the values, the mean of the two in the middle if their number is even.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// byValue are the names in either map, those with the greatest values first.
func byValue[V cmp.Ordered](a, b map[string]V) []string {
	most := map[string]V{}
	for _, m := range []map[string]V{a, b} {
		for name, value := range m {
			most[name] = max(most[name], value)
		}
	}
	names := make([]string, 0, len(most))
	for name := range most {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(cmp.Compare(most[y], most[x]), cmp.Compare(x, y)) })
	return names
}
