package controller

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// at is a job whose every moment was seen, each as late as said, in milliseconds.
func at(created, job, podRunning, running, podEnded, ended int) *timeline {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	after := func(ms int) time.Time {
		if ms < 0 {
			return time.Time{}
		}
		return start.Add(time.Duration(ms) * time.Millisecond)
	}
	return &timeline{
		created: after(created), job: after(job), podRunning: after(podRunning), running: after(running),
		podEnded: after(podEnded), ended: after(ended),
	}
}

func TestLatenciesOfWhatWasSeen(t *testing.T) {
	got := latenciesOf(&run{jobs: map[string]*timeline{
		"a": at(0, 4, 50, 58, 100, 110),
		"b": at(0, 6, 50, -1, 100, 130), // it ended before its status said that it runs
	}})
	want := latencies{
		CreateToJob:     measure.Latency{P50: 4, P99: 6, Max: 6, Of: 2},
		RunningToStatus: measure.Latency{P50: 8, P99: 8, Max: 8, Of: 1},
		EndToStatus:     measure.Latency{P50: 10, P99: 30, Max: 30, Of: 2},
	}
	if got != want {
		t.Errorf("latencies are %+v, want %+v", got, want)
	}
}

func TestReport(t *testing.T) {
	burst := func(subject string, seconds float64) *run {
		return &run{Subject: subject, Jobs: 100, Seconds: seconds, took: 2 * time.Duration(seconds) * time.Second, used: system.Reading{
			Busy:   4 * time.Duration(seconds) * time.Second,
			CPU:    map[string]time.Duration{"kube-apiserver": time.Duration(seconds) * time.Second},
			Writes: map[string]float64{"POST jobs": 100},
		}}
	}
	// The kinds take turns to be first.
	bursts := []*run{
		burst(spiderSubject, 5), burst("jobs", 4),
		burst("jobs", 4), burst(spiderSubject, 10),
		burst(spiderSubject, 8), burst("jobs", 4),
	}
	results := summarize(&Options{rate: 5, workers: 8}, bursts, nil)
	var out bytes.Buffer
	results.Print(&out)

	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if got, want := lines[len(lines)-1], "throughput ratio: 0.50"; got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
	for _, want := range []string{
		"round 2 10.0 25.0 0.40",
		"POST jobs 1.00 1.00 1.00",
		"processors busy with other things meanwhile 1.5 1.5 1.00",
	} {
		same := func(line string) bool { return strings.Join(strings.Fields(line), " ") == want }
		if !slices.ContainsFunc(lines, same) {
			t.Errorf("there is no line %q in\n%s", want, out.String())
		}
	}
}

func TestReportOfNothing(t *testing.T) {
	used := system.Reading{
		CPU:            map[string]time.Duration{system.Operator: time.Second, "kube-apiserver": 3 * time.Second},
		Writes:         map[string]float64{system.Leases: 7, "PUT spiderjobs/status": 2, "POST jobs": 1},
		OperatorWrites: 3, OperatorReads: 1, Reconciles: 5,
	}
	nothing := idleOf(used, 2*time.Minute)
	nothing.Ended, nothing.Running = 10, 4
	results := summarize(&Options{}, []*run{{Subject: spiderSubject, Seconds: 1}, {Subject: "jobs", Seconds: 1}}, nil)
	results.Idle = nothing
	var out bytes.Buffer
	results.Print(&out)
	for _, want := range []string{
		"With 10 ended and 4 running SpiderJobs, and nothing happening to them, in 120 s: " +
			"3 writes without leases (2 PUT spiderjobs/status, 1 POST jobs).",
		"The operator made 4 requests and 5 reconciles, and used 0.50 CPU seconds per minute (kube-apiserver 1.50).",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("there is no line %q in\n%s", want, out.String())
		}
	}
}

// The aim is missed by one sample that is too late, and by one that was never seen.
func TestTroubleSaysWhetherTheAimIsMet(t *testing.T) {
	good := measure.Latency{P50: 10, P99: 1000, Max: 5000, Of: 60}
	for name, test := range map[string]struct {
		change func(*trouble)
		want   string
	}{
		"all in time":          {func(*trouble) {}, "met"},
		"p99 too late":         {func(r *trouble) { r.CancelToDeletion.P99 = 1001 }, "MISSED"},
		"one much too late":    {func(r *trouble) { r.EndToStatus.Max = 5001 }, "MISSED"},
		"one that never comes": {func(r *trouble) { r.EndToStatus.Of = 59 }, "MISSED"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &trouble{Hung: 1000, Seconds: 60, Workers: 64, CancelToDeletion: good, EndToStatus: good}
			test.change(r)
			var out bytes.Buffer
			r.Print(&out)
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if !strings.HasPrefix(lines[len(lines)-1], test.want+" ") {
				t.Errorf("it says\n%s", out.String())
			}
		})
	}
}

// The costs of waiting are per second and do not include those of the burst before.
func TestCostsOfABacklog(t *testing.T) {
	burst := system.Reading{
		RefusedPods: 620, OperatorWrites: 1200,
		Writes: map[string]float64{"POST jobs": 305, "DELETE jobs": 296, "POST pods": 630},
	}
	r := &backlogs{Pods: 5, Sizes: []*backlog{{
		Waiting: 300,
		Burst:   waitCostOf(burst, 6*time.Second),
		Wait:    waitCostOf(system.Reading{RefusedPods: 15, OperatorReads: 3, OperatorWrites: 3, Reconciles: 30}, time.Minute),
	}}}
	var out bytes.Buffer
	r.Print(&out)
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"room for 5 Pods: waiting 300 until all say so and the operator is calm: s 6.0 Pods refused 620 Jobs made 305 Jobs deleted 296 " +
			"requests of the operator 1200 then, waiting: s 60.0 Pods refused 15 Pods refused per second 0.25",
		"requests of the operator per second 0.10 its reconciles per second 0.50",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
}
