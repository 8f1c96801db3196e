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

// seen is a job whose events were seen as late as said, in milliseconds.
func seen(milliseconds map[event]int) *timeline {
	t := &timeline{}
	for of, ms := range milliseconds {
		t.at[of] = time.Date(2026, 1, 1, 0, 0, 0, ms*int(time.Millisecond), time.UTC)
	}
	return t
}

func TestLatenciesOfWhatWasSeen(t *testing.T) {
	runs := []*run{{timelines: []*timeline{
		seen(map[event]int{created: 0, hasJob: 4, podRunning: 50, running: 58, podEnded: 100, ended: 110}),
	}}, {timelines: []*timeline{
		// It ended before its status said that it runs.
		seen(map[event]int{created: 0, hasJob: 6, podRunning: 50, podEnded: 100, ended: 130}),
	}}}
	for i, want := range []measure.Latency{
		{P50: 4, P99: 6, Max: 6, Of: 2},
		{P50: 8, P99: 8, Max: 8, Of: 1},
		{P50: 10, P99: 30, Max: 30, Of: 2},
	} {
		if got := latencyOf(runs, lateness[i].from, lateness[i].to); got != want {
			t.Errorf("%s: %+v, want %+v", lateness[i].name, got, want)
		}
	}
}

// assertLines fails unless each line is printed, whatever the space between its words, and returns all lines.
func assertLines(t *testing.T, r *measure.Report, want ...string) []string {
	t.Helper()
	var out bytes.Buffer
	r.Print(&out)
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("there is no line %q in\n%s", line, out.String())
		}
	}
	return lines
}

func TestReport(t *testing.T) {
	burst := func(seconds float64) *run {
		return &run{jobs: 100, seconds: seconds, used: system.Reading{
			Took: 2 * time.Duration(seconds) * time.Second, Busy: 4 * seconds,
			CPU: measure.Counts{"kube-apiserver": seconds}, Writes: measure.Counts{"POST jobs": 100},
		}}
	}
	r := (&Options{rate: 5}).reportComparison(runs{
		spiderSubject: {burst(5), burst(10), burst(8)}, jobSubject: {burst(4), burst(4), burst(4)},
	}, nil)
	lines := assertLines(t, r,
		"round 2 10.0 25.0 0.40",
		"POST jobs 1.00 1.00 1.00",
		"processors busy with other things meanwhile 1.50 1.50 1.00",
	)
	if got, want := lines[len(lines)-1], "throughput ratio: 0.50"; got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
}

func TestReportOfNothing(t *testing.T) {
	used := system.Reading{
		Took:    2 * time.Minute,
		CPU:     measure.Counts{system.Controller: 1, "kube-apiserver": 3},
		Writes:  measure.Counts{system.Leases: 7, "PUT spiderjobs/status": 2, "POST jobs": 1},
		Counted: measure.Counts{system.OperatorWrites: 3, system.OperatorReads: 1, system.Reconciles: 5},
	}
	r := &measure.Report{}
	(&Options{held: 10, running: 4}).reportIdle(r, used)
	assertLines(t, r,
		"10 ended and 4 running SpiderJobs, nothing happening all", "s 120",
		"writes without leases 3.00", "PUT spiderjobs/status 2.00", "POST jobs 1.00",
		"requests of the operator 4.00", "its reconciles 5.00",
		"CPU seconds per minute, controller 0.50", "CPU seconds per minute, kube-apiserver 1.50",
	)
}

// The aim is missed by one sample that is too late, and by one that was never seen.
func TestTroubleSaysWhetherTheAimIsMet(t *testing.T) {
	good := measure.Latency{P50: 10, P99: 1000, Max: 5000, Of: 60}
	for name, test := range map[string]struct {
		change func(cancel, end *measure.Latency)
		want   bool
	}{
		"all in time":          {func(_, _ *measure.Latency) {}, true},
		"p99 too late":         {func(cancel, _ *measure.Latency) { cancel.P99 = 1001 }, false},
		"one much too late":    {func(_, end *measure.Latency) { end.Max = 5001 }, false},
		"one that never comes": {func(_, end *measure.Latency) { end.Of = 59 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			cancel, end := good, good
			test.change(&cancel, &end)
			r := &measure.Report{}
			reportTrouble(r, 60, cancel, end)
			if r.Aims[0].Met != test.want {
				t.Errorf("it says %+v", r.Aims)
			}
		})
	}
}

// The costs of waiting are per second and do not include those of the burst before.
func TestCostsOfABacklog(t *testing.T) {
	burst := system.Reading{
		Took:    6 * time.Second,
		Writes:  measure.Counts{"POST jobs": 305, "DELETE jobs": 296, "POST pods": 630},
		Counted: measure.Counts{system.RefusedPods: 620, system.OperatorWrites: 1200},
	}
	wait := system.Reading{Took: time.Minute, Counted: measure.Counts{
		system.RefusedPods: 15, system.OperatorReads: 3, system.OperatorWrites: 3, system.Reconciles: 30,
	}}
	r := &measure.Report{}
	reportBacklog(r.Table("waiting"), 300, burst, wait)
	if got, want := r.Tables[0].Rows[0].Values, []float64{6, 620, 305, 296, 1200, 0.25, 0.1}; !slices.Equal(got, want) {
		t.Errorf("the costs are %v, want %v", got, want)
	}
}
