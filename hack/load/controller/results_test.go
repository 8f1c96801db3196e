package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	upTo := func(n int) []time.Duration {
		var times []time.Duration
		for i := range n {
			times = append(times, time.Duration(i+1)*time.Millisecond)
		}
		return times
	}
	for _, test := range []struct {
		name  string
		times []time.Duration
		p     int
		want  float64
	}{
		{"of nothing", nil, 99, 0},
		{"of one", upTo(1), 50, 1},
		{"the median of an even number is the lower of the middle two", upTo(4), 50, 2},
		{"the 99th of a hundred", upTo(100), 99, 99},
		{"the 99th of fewer is the last", upTo(20), 99, 20},
		{"the most", upTo(1000), 100, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := percentile(test.times, test.p); got != test.want {
				t.Errorf("percentile %d is %g, want %g", test.p, got, test.want)
			}
		})
	}
}

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
	got := latenciesOf(&run{jobs: []*timeline{
		at(0, 4, 50, 58, 100, 110),
		at(0, 6, 50, -1, 100, 130), // it ended before its status said that it runs
	}})
	want := latencies{
		CreateToJob:     latency{P50: 4, P99: 6, Max: 6, Of: 2},
		RunningToStatus: latency{P50: 8, P99: 8, Max: 8, Of: 1},
		EndToStatus:     latency{P50: 10, P99: 30, Max: 30, Of: 2},
	}
	if got != want {
		t.Errorf("latencies are %+v, want %+v", got, want)
	}
}

func TestReport(t *testing.T) {
	burst := func(subject string, seconds float64) *run {
		return &run{Subject: subject, Jobs: 100, Seconds: seconds, took: 2 * time.Duration(seconds) * time.Second, used: reading{
			busy:   4 * time.Duration(seconds) * time.Second,
			cpu:    map[string]time.Duration{"kube-apiserver": time.Duration(seconds) * time.Second},
			writes: map[string]float64{"POST jobs": 100},
		}}
	}
	// The kinds take turns in being the first.
	bursts := []*run{
		burst(spiderSubject, 5), burst("jobs", 4),
		burst("jobs", 4), burst(spiderSubject, 10),
		burst(spiderSubject, 8), burst("jobs", 4),
	}
	results := summarize(options{rate: 5, workers: 8}, bursts, nil)
	var out bytes.Buffer
	results.print(&out)

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
	used := reading{
		cpu:            map[string]time.Duration{operatorCommand: time.Second, "kube-apiserver": 3 * time.Second},
		writes:         map[string]float64{leases: 7, "PUT spiderjobs/status": 2, "POST jobs": 1},
		operatorWrites: 3, operatorReads: 1, reconciles: 5,
	}
	nothing := idleOf(used, 2*time.Minute)
	nothing.Ended, nothing.Running = 10, 4
	results := summarize(options{}, []*run{{Subject: spiderSubject, Seconds: 1}, {Subject: "jobs", Seconds: 1}}, nil)
	results.Idle = nothing
	var out bytes.Buffer
	results.print(&out)
	for _, want := range []string{
		"With 10 ended and 4 running SpiderJobs, and nothing happening to them, in 120 s: " +
			"3 writes but leases (2 PUT spiderjobs/status, 1 POST jobs).",
		"The operator made 4 requests and 5 reconciles, and used 0.50 CPU seconds per minute (kube-apiserver 1.50).",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("there is no line %q in\n%s", want, out.String())
		}
	}
}

func TestSeriesOfAMetric(t *testing.T) {
	const text = `# TYPE apiserver_request_total counter
apiserver_request_total{verb="POST",resource="jobs"} 3
apiserver_request_total{verb="GET",resource="jobs"} 9
# TYPE other gauge
other 1
`
	got := map[string]float64{}
	err := each(strings.NewReader(text), "apiserver_request_total", func(labels map[string]string, value float64) {
		got[labels["verb"]+" "+labels["resource"]] = value
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["POST jobs"] != 3 || got["GET jobs"] != 9 {
		t.Errorf("the series are %v", got)
	}
}

// The aim is missed by one sample that is too late, and by one that was never seen.
func TestTroubleSaysWhetherTheAimIsMet(t *testing.T) {
	good := latency{P50: 10, P99: 1000, Max: 5000, Of: 60}
	for name, test := range map[string]struct {
		change func(*trouble)
		want   string
	}{
		"all in time":          {func(*trouble) {}, "met"},
		"p99 too late":         {func(r *trouble) { r.CancelToDeletion.P99 = 1001 }, "missed"},
		"one much too late":    {func(r *trouble) { r.EndToStatus.Max = 5001 }, "missed"},
		"one that never comes": {func(r *trouble) { r.EndToStatus.Of = 59 }, "missed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &trouble{Hung: 1000, Seconds: 60, Workers: 64, CancelToDeletion: good, EndToStatus: good}
			test.change(r)
			var out bytes.Buffer
			r.print(&out)
			if !strings.HasSuffix(out.String(), ": "+test.want+"\n") {
				t.Errorf("it says\n%s", out.String())
			}
		})
	}
}

func TestSizesOfBacklogs(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "300": {300}, "300,1200": {300, 1200}} {
		if got, err := parseSizes(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "300,", "many", "300, 1200"} {
		if got, err := parseSizes(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

// The costs of waiting are told per second, those of the burst before it are not mixed with them.
func TestCostsOfABacklog(t *testing.T) {
	burst := reading{refusedPods: 620, writes: map[string]float64{"POST jobs": 305, "DELETE jobs": 296, "POST pods": 630}, operatorWrites: 1200}
	r := &backlogs{Pods: 5, Sizes: []*backlog{{
		Waiting: 300,
		Burst:   waitCostOf(burst, 6*time.Second),
		Wait:    waitCostOf(reading{refusedPods: 15, operatorReads: 3, operatorWrites: 3, reconciles: 30}, time.Minute),
	}}}
	var out bytes.Buffer
	r.print(&out)
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
