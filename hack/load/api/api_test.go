package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/measure"
)

func TestEveryFilterFindsAFullPageInTheSmallestPopulation(t *testing.T) {
	type kind struct {
		spider string
		phase  v1alpha1.Phase
	}
	found := map[kind]int{}
	for i := range leastJobs {
		if job := nthJob("ns", i); job.Spec.UserID == callingUser {
			found[kind{job.Spec.SpiderRef.Name, job.Status.Phase}]++
		}
	}
	for _, spider := range spiders {
		for _, phase := range phases {
			// One more than a page tells that there are more.
			if n := found[kind{spider, phase}]; n <= page {
				t.Errorf("%d jobs of %s are %s, which is no full page", n, spider, phase)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	parse := func(args ...string) (*Options, error) {
		var o Options
		flags := flag.NewFlagSet("api", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		o.Define(flags)
		return &o, cmp.Or(flags.Parse(args), o.Check())
	}
	if o, err := parse("--jobs", "100000,1000"); err != nil || !slices.Equal(o.sizes, []int{1000, 100000}) {
		t.Errorf("sizes %v, error %v", o.sizes, err)
	}
	for wrong, says := range map[string]string{
		"--jobs=999":        "999",
		"--jobs=1000,,2000": `""`,
		"--jobs=1000,1000":  "twice",
		"--clients=0":       "clients",
		"--duration=0s":     "duration",
	} {
		if _, err := parse(wrong); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v does not say %s", wrong, err, says)
		}
	}
}

func TestDriveEndsWithTheLastCall(t *testing.T) {
	left := 3
	latencies, err := drive(t.Context(), 1, time.Hour, func(context.Context) (bool, error) {
		left--
		return left >= 0, nil
	})
	if err != nil || len(latencies) != 3 {
		t.Errorf("%d calls, error %v; want 3", len(latencies), err)
	}
	broken := errors.New("broken")
	_, err = drive(t.Context(), 8, time.Hour, func(context.Context) (bool, error) { return false, broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// upTo are the milliseconds from 1 to n.
func upTo(n int) []time.Duration {
	var times []time.Duration
	for i := range n {
		times = append(times, time.Duration(i+1)*time.Millisecond)
	}
	return times
}

func TestResultsAreSummedUpAndJudged(t *testing.T) {
	r := &results{clients: 8, rounds: 2, views: []viewCost{
		{jobs: 1000, heap: 900, ready: []float64{1}, listed: []float64{1}},
		{jobs: 10000, heap: 1600, ready: []float64{2, 3, 9}, listed: []float64{1, 2, 9}},
	}}
	add := func(call string, jobs int, microseconds, perSecond float64, times ...time.Duration) {
		r.measured = append(r.measured, measurement{
			call: call, jobs: jobs, latencies: times, figures: measure.Counts{cpu: microseconds, rate: perSecond},
		})
	}
	add(getJob, 1000, 1, 100, upTo(2)...)
	add(getJob, 1000, 2, 200, upTo(2)...)
	add(getJob, 10000, 2, 100, upTo(4)...)
	add(getJob, 10000, 2, 200, upTo(4)...)
	add(bareCreate, 1000, 0, 600)
	add(startJob, 1000, 1000, 570)
	add(bareCreate, 10000, 0, 500)
	add(startJob, 10000, 1000, 475)
	report := r.report()

	// Calls per second, p50 and p99 in ms, CPU time in µs.
	want := []float64{1000, 150, 1, 2, 1.5}
	if got := report.Tables[0].Rows[0]; got.Name != getJob || !slices.Equal(got.Values[:5], want) {
		t.Errorf("get among 1000 is %+v, want %v", got, want)
	}
	var out bytes.Buffer
	report.Print(&out)
	text := out.String()
	for _, want := range []string{
		"MISSED a page of 50 or a get costs at most 1.2 times as much CPU among 10000 jobs as among 1000: at most 1.50 (get)",
		"met    a page or a get is answered to 8 clients within 5 ms in 99 of 100 calls: within 4.00 ms (get, 10000 jobs)",
		"met    starts at 0.9 or more of what kube-apiserver creates: 0.95 (median of 2 turns; 522/s and 550/s)",
		"MISSED at most 1536 bytes of heap per job in the view: 1600",
		"met    after a restart, ready with 10000 jobs in at most 1.5 times what a bare paged LIST takes: 1.50 (3.00 s of 2.00 s)",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
}
