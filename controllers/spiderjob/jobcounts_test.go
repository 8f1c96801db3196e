package spiderjob

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestJobCountsEqualARecount checks that after any additions, changes and deletions the counts are those of the SpiderJobs
// that are left.
func TestJobCountsEqualARecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newJobCounts(nil, clocktesting.NewFakePassiveClock(epoch.Add(time.Hour)))
		there := map[string]*v1alpha1.SpiderJob{}
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			before, exists := there[name]
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0: // gone, as seen or only noticed later
				if exists {
					delete(there, name)
					p.OnDelete(rapid.SampledFrom([]any{before, toolscache.DeletedFinalStateUnknown{Key: name, Obj: before}}).Draw(t, "how"))
				}
			default:
				after := makeSpiderJob().SpiderJob
				after.Name, after.UID = name, types.UID(fmt.Sprintf("%s-%d", name, i))
				after.CreationTimestamp = at(time.Duration(rapid.IntRange(0, 3).Draw(t, "created")) * time.Minute)
				if exists && rapid.Bool().Draw(t, "the same object") {
					after.UID, after.CreationTimestamp = before.UID, before.CreationTimestamp
				}
				after.Status.Phase = rapid.SampledFrom([]v1alpha1.Phase{"", v1alpha1.PhasePending, v1alpha1.PhaseRunning, v1alpha1.PhaseError}).
					Draw(t, "phase")
				after.Status.Reason = rapid.SampledFrom([]string{"", v1alpha1.ReasonQueued, v1alpha1.ReasonImagePull, "Unheard"}).
					Draw(t, "reason")
				there[name] = after
				if exists {
					p.OnUpdate(before, after)
				} else {
					p.OnAdd(after, false)
				}
			}
		}
		want, wantOldest := map[condition]int{}, map[string]time.Time{}
		for _, sj := range there {
			c := conditionOf(sj)
			want[c]++
			if since, found := wantOldest[c.reason]; c.phase == v1alpha1.PhasePending &&
				(!found || sj.CreationTimestamp.Time.Before(since)) {
				wantOldest[c.reason] = sj.CreationTimestamp.Time
			}
		}
		got := map[condition]int{}
		for c, n := range p.jobs {
			if n != 0 {
				got[c] = n
			}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(condition{})); diff != "" {
			t.Fatalf("(-counted +jobCounts):\n%s", diff)
		}
		if diff := cmp.Diff(wantOldest, p.oldest()); diff != "" {
			t.Fatalf("the oldest (-counted +jobCounts):\n%s", diff)
		}
	})
}

// TestOnlyTheLeaderShowsJobCounts checks that the process that leads shows its SpiderJobs, by the reasons of the API, and that
// another shows none.
func TestOnlyTheLeaderShowsJobCounts(t *testing.T) {
	p := newJobCounts(nil, clocktesting.NewFakePassiveClock(epoch.Add(time.Hour)))
	odd := makeSpiderJob().SpiderJob
	odd.UID, odd.Status.Reason = "sj-2", "WrittenBySomebodyElse"
	ended := makeSpiderJob().ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, time.Minute).SpiderJob
	slimSpiderJob(ended)
	for _, sj := range []*v1alpha1.SpiderJob{makeSpiderJob().SpiderJob, odd, ended} {
		p.OnAdd(sj, true)
	}
	before := samples(t)
	shownCounts.shown.Store(p)
	shown := samples(t)
	shownCounts.shown.Store(nil)
	want := map[string]float64{
		"spider_operator_jobs Pending Created":           1,
		"spider_operator_jobs Pending Other":             1,
		"spider_operator_jobs Finished Completed":        1,
		"spider_operator_oldest_pending_seconds Created": 3600,
		"spider_operator_oldest_pending_seconds Other":   3600,
	}
	if diff := cmp.Diff(want, added(before, shown)); diff != "" {
		t.Errorf("while leading (-want +got):\n%s", diff)
	}
	if diff := added(shown, samples(t)); len(diff) > 0 || samples(t)["spider_operator_jobs Pending Created"] != 0 {
		t.Errorf("afterwards: %v", diff)
	}
}

// BenchmarkJobCountsCollect measures a scrape with a hundred thousand SpiderJobs, a tenth of them Pending.
func BenchmarkJobCountsCollect(b *testing.B) {
	p := newJobCounts(nil, clocktesting.NewFakePassiveClock(epoch))
	for i := range 100_000 {
		sj := makeSpiderJob().SpiderJob
		sj.UID = types.UID(fmt.Sprint(i))
		if i%10 > 0 {
			sj.Status.Phase, sj.Status.Reason = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted
		}
		p.OnAdd(sj, true)
	}
	for b.Loop() {
		p.oldest()
	}
}
