package spiderjob

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// countsOfLog are the counts that a Pod's log gave, of a Pod whose process still runs or has ended.
func countsOfLog(st *v1alpha1.SpiderJobStatus, counts stats.Counts, ended, sum bool) {
	if sum {
		st.EarlierStats = earlierStats(st)
	}
	st.Unstarted = 0
	pod := &podView{objectRef: objectRef{uid: "pod"}}
	r := podlog.Reading{Known: true, Counts: counts, ObservedAt: epoch}
	if ended {
		pod.spider = &containerView{state: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			StartedAt: metav1.Time{Time: epoch}, FinishedAt: metav1.Time{Time: epoch},
		}}}
		r.Since, r.Done = epoch, true
	}
	o := &observation{sj: &v1alpha1.SpiderJob{}, readings: map[types.UID]podlog.Reading{"pod": r}}
	p := plan{StatsSource: v1alpha1.StatsFromScrapy, SumAttempts: sum}
	st.Stats = currentStats(o, p, pod, ended, st)
}

func finalOf(items, responses int64, reason string) stats.Counts {
	return stats.Counts{
		Items:        items,
		Responses:    &responses,
		FinishReason: reason,
		Origin:       v1alpha1.OriginScrapyStats,
		Crawls:       1,
		Final:        true,
	}
}

// TestAttemptsAreSummedUp checks the sum for the spider of resumed-1.log, which was interrupted, and resumed as resumed-2.log.
func TestAttemptsAreSummedUp(t *testing.T) {
	st := &v1alpha1.SpiderJobStatus{Attempts: 1}
	countsOfLog(st, stats.Counts{Items: 3, Origin: v1alpha1.OriginScrapyLog}, false, true)
	countsOfLog(st, finalOf(7, 7, "shutdown"), true, true)
	if st.Stats.ItemsScraped != 7 || st.EarlierStats != nil {
		t.Errorf("of the first attempt: %+v, earlier %+v", st.Stats, st.EarlierStats)
	}
	st.Attempts, st.Unstarted = 4, 2 // the second and third never began
	countsOfLog(st, stats.Counts{Items: 1, Origin: v1alpha1.OriginScrapyLog}, false, true)
	if st.Stats.ItemsScraped != 8 || st.Stats.Final || *st.Stats.Responses != 7 {
		t.Errorf("while the fourth runs: %+v", st.Stats)
	}
	for range 3 {
		countsOfLog(st, finalOf(5, 5, "finished"), true, true)
	}
	want := v1alpha1.Stats{ItemsScraped: 12, Source: v1alpha1.OriginScrapyStats, Attempt: 4, Final: true, FinishReason: "finished",
		Responses: new(int64(12)), ObservedAt: &metav1.Time{Time: epoch}}
	if diff := cmp.Diff(want, *st.Stats); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	if st.EarlierStats.ItemsScraped != 7 || st.EarlierStats.Attempt != 3 {
		t.Errorf("earlier %+v", st.EarlierStats)
	}
}

func TestSumIsNotFinalUnlessAllAttemptsAre(t *testing.T) {
	for name, first := range map[string]func(*v1alpha1.SpiderJobStatus){
		"where the first attempt's counts were not": func(st *v1alpha1.SpiderJobStatus) {
			countsOfLog(st, stats.Counts{Items: 3, Origin: v1alpha1.OriginScrapyLog}, true, true)
		},
		"where the first attempt left none": func(*v1alpha1.SpiderJobStatus) {},
	} {
		t.Run(name, func(t *testing.T) {
			st := &v1alpha1.SpiderJobStatus{Attempts: 1}
			first(st)
			st.Attempts = 2
			countsOfLog(st, finalOf(5, 5, "finished"), true, true)
			if st.Stats.Final || st.Stats.ItemsScraped < 5 {
				t.Errorf("sum %+v", st.Stats)
			}
		})
	}
}

// TestSumOfAttemptsCountsEachOnce checks that the sum never goes down, never counts an attempt twice, and is final only if all
// of it is. Attempts come and go, reads find more or fewer counts, and the process dies at any moment, which loses what was
// decided and not yet recorded.
func TestSumOfAttemptsCountsEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recorded := &v1alpha1.SpiderJobStatus{}
		var before int64 // of all attempts that are over
		shown, allFinal := int64(0), true
		for range rapid.IntRange(1, 6).Draw(t, "attempts") {
			recorded.Attempts++
			if rapid.IntRange(0, 3).Draw(t, "never starts") == 0 {
				recorded.Unstarted++
				continue
			}
			most, final, read := int64(0), false, false
			var last *stats.Counts // of the process, once it has ended
			for range rapid.IntRange(0, 4).Draw(t, "reads") {
				st := recorded.DeepCopy()
				counts := stats.Counts{Items: rapid.Int64Range(0, 9).Draw(t, "items"), Origin: v1alpha1.OriginScrapyLog}
				counts.Final = rapid.Bool().Draw(t, "final")
				ended := counts.Final && rapid.Bool().Draw(t, "ended")
				if last != nil {
					counts, ended = *last, true
				} else if counts.Items = max(counts.Items, most); ended {
					last = &counts
				}
				countsOfLog(st, counts, ended, true)
				if rapid.IntRange(0, 2).Draw(t, "dies") == 0 {
					continue // before the status was written
				}
				if !final {
					most, final = max(most, counts.Items), ended
				}
				read, recorded = true, st
				if st.Stats.ItemsScraped < shown {
					t.Fatalf("counts down from %d to %d", shown, st.Stats.ItemsScraped)
				}
				shown = st.Stats.ItemsScraped
				if shown != before+most {
					t.Fatalf("%d items, want %d of earlier attempts and %d", shown, before, most)
				}
				if want := allFinal && final; st.Stats.Final != want {
					t.Fatalf("final %v, want %v", st.Stats.Final, want)
				}
			}
			before += most
			allFinal = allFinal && final && read
			if !read {
				recorded.Unstarted = 0
			}
		}
	})
}

func TestOnlyTheLastAttemptCountsWithoutASum(t *testing.T) {
	st := &v1alpha1.SpiderJobStatus{Attempts: 1}
	countsOfLog(st, finalOf(7, 7, "shutdown"), true, false)
	st.Attempts = 2
	countsOfLog(st, finalOf(5, 5, "finished"), true, false)
	if st.Stats.ItemsScraped != 5 || !st.Stats.Final || st.EarlierStats != nil {
		t.Errorf("counts %+v, earlier %+v", st.Stats, st.EarlierStats)
	}
}

// TestCountsReadWhileASpiderRunsAreNotFinal checks that the counts which a running spider's log ended with are not final once
// the spider has ended: another crawl may have begun since.
func TestCountsReadWhileASpiderRunsAreNotFinal(t *testing.T) {
	pod := &podView{spider: &containerView{state: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	r := podlog.Reading{Known: true, Counts: finalOf(7, 7, "finished")}
	if got := logCounts(r, pod); got.Final || got.FinishReason != "" || got.Items != 7 {
		t.Errorf("counts %+v", got)
	}
	r.Since = epoch
	if got := logCounts(r, pod); !got.Final {
		t.Errorf("counts of a final read %+v", got)
	}
}

// statusWith is the status of a job that has ended, with a message of so many bytes, and texts and counts as long as they can be.
func statusWith(message int, full bool) v1alpha1.SpiderJobStatus {
	text := func(n int) string { return strings.Repeat("x", n) }
	now := &metav1.Time{Time: epoch}
	uid := text(36)
	counts := v1alpha1.Stats{
		ItemsScraped: 123456,
		FinishReason: "finished",
		Source:       v1alpha1.OriginScrapyStats,
		Attempt:      1,
		ObservedAt:   now,
		Final:        true,
	}
	for _, count := range optionalCounts(&counts) {
		*count = new(int64(123456789))
	}
	st := v1alpha1.SpiderJobStatus{
		ObservedGeneration: 1,
		ID:                 uid,
		Phase:              v1alpha1.PhaseFinished,
		Reason:             v1alpha1.ReasonCompleted,
		Message:            text(message),
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionSucceeded, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCompleted,
				Message: text(message), LastTransitionTime: *now, ObservedGeneration: 1},
		},
		StartedAt:               now,
		FinishedAt:              now,
		Duration:                "1h2m3s",
		ExitCode:                new(int32),
		JobUID:                  uid,
		PodName:                 text(40),
		PodUID:                  uid,
		Attempts:                1,
		Stats:                   &counts,
		TTLSecondsAfterFinished: new(int64(604800)),
		Spider:                  &v1alpha1.SpiderSnapshot{Name: "shop", Image: text(80), ImageID: text(150)},
	}
	if !full {
		return st
	}
	for _, count := range optionalCounts(&counts) {
		*count = new(stats.MaxCount)
	}
	counts.ItemsScraped, counts.FinishReason = stats.MaxCount, text(stats.MaxFinishReason)
	st.EarlierStats = counts.DeepCopy()
	st.Conditions = append(st.Conditions, st.Conditions[0])
	st.Conditions[1].Type = v1alpha1.ConditionExpectationsMet
	for range 10 { // there are fewer rules, and each is broken once
		st.Violations = append(st.Violations, v1alpha1.Violation{Rule: text(64), Expected: text(256), Actual: text(256)})
	}
	st.Spider = &v1alpha1.SpiderSnapshot{Name: text(128), RepoPath: text(512), Image: text(512), ImageID: text(1024)}
	st.PodName = text(253)
	st.RunningSince, st.FailingSince, st.AttemptFrom = now, now, now
	st.Stop = &v1alpha1.Stop{
		JobUID:  uid,
		Since:   now,
		Phase:   v1alpha1.PhaseFinished,
		Reason:  text(64),
		Message: text(message),
		Retry:   true,
	}
	return st
}

// TestStatusesAreSmall checks the size of a status: each is kept in etcd, in the cache and in every answer of the REST API.
func TestStatusesAreSmall(t *testing.T) {
	for name, test := range map[string]struct {
		status v1alpha1.SpiderJobStatus
		most   int
	}{
		"usual":   {statusWith(80, false), 2 << 10},
		"largest": {statusWith(maxMessage, true), 16 << 10},
	} {
		encoded, err := json.Marshal(test.status)
		if err != nil {
			t.Fatal(err)
		}
		if t.Logf("%s: %d bytes", name, len(encoded)); len(encoded) > test.most {
			t.Errorf("the %s status has %d bytes, want at most %d", name, len(encoded), test.most)
		}
	}
}
