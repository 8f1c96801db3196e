package controller

import (
	"maps"
	"time"

	"github.com/scrapethis/spider-operator/hack/load/measure"
)

// results are those of the comparison.
type results struct {
	// ThroughputRatio is the median of the rounds' ratios of SpiderJobs per second to bare Jobs per second.
	ThroughputRatio float64 `json:"throughputRatio"`
	// Bursts are the rounds, and Steady the runs at Rate per second.
	Bursts []*run  `json:"bursts"`
	Steady []*run  `json:"steady"`
	Rate   float64 `json:"ratePerSecond"`
	// PodSeconds is how long each Pod ran.
	PodSeconds float64 `json:"podSeconds"`
	// Workers is how many SpiderJobs the operator reconciled at the same time.
	Workers int `json:"workers"`
	// SpiderJobs and Jobs are what either kind costs and how late its status is.
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

// latencies are how late a status was.
type latencies struct {
	CreateToJob     measure.Latency `json:"createToJob"`
	RunningToStatus measure.Latency `json:"podRunningToStatus"`
	EndToStatus     measure.Latency `json:"podEndToStatus"`
}

func summarize(o *Options, bursts, steady []*run) *results {
	r := &results{Bursts: bursts, Steady: steady, Rate: o.rate, PodSeconds: o.podTime.Seconds(), Workers: o.workers}
	spiders, bare := bySubject(bursts)
	r.SpiderJobs, r.Jobs = figuresOf(spiders), figuresOf(bare)
	r.ThroughputRatio = measure.MedianRatio(throughputs(spiders), throughputs(bare))
	spiders, bare = bySubject(steady)
	r.SpiderJobs.Steady, r.Jobs.Steady = latenciesOf(spiders...), latenciesOf(bare...)
	return r
}

// bySubject separates runs, in order.
func bySubject(runs []*run) (spiders, bare []*run) {
	for _, r := range runs {
		if r.Subject == spiderSubject {
			spiders = append(spiders, r)
		} else {
			bare = append(bare, r)
		}
	}
	return spiders, bare
}

func throughputs(runs []*run) []float64 {
	values := make([]float64, 0, len(runs))
	for _, r := range runs {
		values = append(values, r.throughput())
	}
	return values
}

func figuresOf(runs []*run) figures {
	f := figures{
		Writes: map[string]float64{}, CPU: map[string]float64{}, PeakMemory: map[string]uint64{},
		Throughput: measure.Median(throughputs(runs)), Burst: latenciesOf(runs...),
	}
	n := 0.0
	for _, r := range runs {
		n += float64(r.Jobs)
	}
	var others, took time.Duration
	heaps := make([]float64, 0, len(runs))
	for _, r := range runs {
		for name, value := range r.used.Writes {
			f.Writes[name] += value / n
			f.WritesPerJob += value / n
		}
		for name, value := range r.used.CPU {
			seconds := value.Seconds() / n * 1000
			f.CPU[name] += seconds
			f.CPUSeconds += seconds
		}
		for name, value := range r.PeakMemory {
			f.PeakMemory[name] = max(f.PeakMemory[name], value)
		}
		f.OperatorWrites += r.used.OperatorWrites / n
		f.OperatorReads += r.used.OperatorReads / n
		f.OperatorRefused += r.used.OperatorRefused / n
		f.Reconciles += r.used.Reconciles / n
		others, took = others+r.used.Others(), took+r.took
		heaps = append(heaps, r.HeapPerJob)
	}
	f.Others = measure.Ratio(others.Seconds(), took.Seconds())
	f.HeapPerJob = measure.Median(heaps)
	return f
}

func latenciesOf(runs ...*run) latencies {
	all := map[string]*timeline{}
	for _, r := range runs {
		maps.Copy(all, r.jobs) // no two runs have jobs of the same name
	}
	return latencies{
		CreateToJob:     latencyOf(all, func(t *timeline) (from, to time.Time) { return t.created, t.job }),
		RunningToStatus: latencyOf(all, func(t *timeline) (from, to time.Time) { return t.podRunning, t.running }),
		EndToStatus:     latencyOf(all, func(t *timeline) (from, to time.Time) { return t.podEnded, t.ended }),
	}
}

// latencyOf is the distribution of the times between two moments of jobs, of which both were seen. It may be negative where
// one watch was ahead of another.
func latencyOf(jobs map[string]*timeline, between func(*timeline) (from, to time.Time)) measure.Latency {
	var times []time.Duration
	for _, t := range jobs {
		if from, to := between(t); !from.IsZero() && !to.IsZero() {
			times = append(times, to.Sub(from))
		}
	}
	return measure.LatencyOf(times)
}
