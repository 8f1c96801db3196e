package view

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
)

// listOf returns the jobs of a view as a complete list shows them: other objects of the same states.
func listOf(v *Jobs) (list []*Job) {
	for _, names := range v.objects {
		for _, job := range names {
			again := *job
			again.kept = note{}
			list = append(list, &again)
		}
	}
	return list
}

func TestRelistTakesOnlyWhatHasChanged(t *testing.T) {
	const changed, unchanged = "0198b2a0-0000-7000-8000-000000000001", "0198b2a0-0000-7000-8000-000000000002"
	for _, test := range []struct {
		name            string
		resourceVersion string // of the list
		taken           bool   // whether it takes what has not changed as well
	}{
		{"a newer list", "30", false},
		{"a list of what the watch has shown last", "21", false},
		{"a list from before a restore of etcd, which gives numbers a second time", "20", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			jobs := NewJobs(unnamed{})
			jobs.Set("", compact(t, spiderJob(changed, 19)))
			jobs.Set("", compact(t, spiderJob(unchanged, 20)))
			jobs.Bookmark("", "21")
			was := jobs.Get(ns, uuid.MustParse(unchanged))
			list := []*Job{compact(t, spiderJob(changed, 21, phase("Running"))), compact(t, spiderJob(unchanged, 20))}
			jobs.Replace("", list, test.resourceVersion)
			if got := jobs.Get(ns, list[0].ID); got != list[0] {
				t.Errorf("what has changed is %v, want what is listed", got)
			}
			if taken := jobs.Get(ns, list[1].ID) != was; taken != test.taken {
				t.Errorf("what has not changed is taken: %t, want %t", taken, test.taken)
			}
		})
	}
}

// TestRelistHoldsUpNobody reads, again and again, while a complete list of 100,000 jobs that changes nothing is taken.
func TestRelistHoldsUpNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("measures a view of 100,000 jobs")
	}
	const n = 100_000
	jobs := populated(n)
	list := listOf(jobs)
	best := 1.0
	for range 5 { // The best of several, on a machine that does other things as well.
		taken := make(chan struct{})
		begun := time.Now()
		go func() {
			defer close(taken)
			jobs.Replace("", list, strconv.Itoa(n))
		}()
		longest, reads := time.Duration(0), 0
		for reading := true; reading; reads++ {
			select {
			case <-taken:
				reading = false
			default:
			}
			asked := time.Now()
			jobs.Get(ns, uuid.UUID{})
			longest = max(longest, time.Since(asked))
		}
		took := time.Since(begun)
		t.Logf("the list took %s, the longest of %d reads meanwhile %s", took.Round(time.Millisecond), reads, longest)
		best = min(best, float64(longest)/float64(took))
	}
	if best > 0.5 {
		t.Errorf("a read waited for %.0f %% of the time", 100*best)
	}
}

// BenchmarkRelist takes a complete list of 100,000 jobs that changes nothing. What it allocates is what a list takes beside its
// pages.
func BenchmarkRelist(b *testing.B) {
	const n = 100_000
	jobs := populated(n)
	list := listOf(jobs)
	b.ReportAllocs()
	for b.Loop() {
		page, done := jobs.Relist("", strconv.Itoa(n))
		var longest time.Duration
		for i := 0; i < n; i += relistBatch {
			begun := time.Now()
			page(list[i:min(n, i+relistBatch)])
			longest = max(longest, time.Since(begun))
		}
		done()
		b.ReportMetric(float64(longest.Nanoseconds()), "longest-lock-ns")
	}
}
