package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// everyMinute applies a schedule as users do.
func everyMinute(n *harness.Namespace, name, spider, more string) {
	n.Run(fmt.Sprintf(`{"apiVersion": "scrapethis.app/v1alpha1", "kind": "SpiderSchedule", "metadata": {"name": %q},
		"spec": {"spiderRef": {"name": %q}, "cron": "* * * * *"%s}}`, name, spider, more), "apply", "--filename=-")
}

// scheduledRuns returns the runs of a schedule, the earliest first.
func scheduledRuns(ctx context.Context, n *harness.Namespace, schedule string) ([]v1alpha1.SpiderJob, error) {
	var list v1alpha1.SpiderJobList
	err := cluster.Client.List(ctx, &list, client.InNamespace(n.Name), client.MatchingLabels{v1alpha1.LabelSchedule: schedule})
	slices.SortFunc(list.Items, func(a, b v1alpha1.SpiderJob) int {
		return scheduledFor(a).Compare(scheduledFor(b))
	})
	return list.Items, err
}

// scheduledFor is the time of a run, zero for one that was started by hand.
func scheduledFor(sj v1alpha1.SpiderJob) time.Time {
	if sj.Spec.ScheduledFor == nil {
		return time.Time{}
	}
	return sj.Spec.ScheduledFor.Time
}

// awaitRuns waits until a schedule has started so many runs, and returns them.
func awaitRuns(t *testing.T, n *harness.Namespace, schedule string, count int, within time.Duration) []v1alpha1.SpiderJob {
	t.Helper()
	var runs []v1alpha1.SpiderJob
	cluster.Eventually(t, within, fmt.Sprintf("schedule %s has started %d runs", schedule, count), func(ctx context.Context) (err error) {
		if runs, err = scheduledRuns(ctx, n, schedule); err == nil && len(runs) < count {
			err = fmt.Errorf("it has started %d", len(runs))
		}
		return err
	})
	return runs
}

// TestSchedulesRunEveryMinute has runs that take a minute and a half, of a schedule every minute, with each policy on overlap.
func TestSchedulesRunEveryMinute(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) { spec.TerminationGracePeriodSeconds = new(int64(2)) })
	n.Scrapy("category")
	const long = `, "arguments": {"n": "900", "delay": "100ms"}, "overlap": `
	for schedule, more := range map[string]string{
		"skip": long + `"Skip"`, "queue": long + `"Queue"`, "replace": long + `"Replace"`, "allow": long + `"Allow"`,
	} {
		everyMinute(n, schedule, "counter", more)
	}
	everyMinute(n, "suspended", "category", `, "arguments": {"category": "Travel"}, "scheduledTimeArgument": "at"`)
	first := awaitRuns(t, n, "suspended", 1, 90*time.Second)[0]
	n.Run("", "patch", "spiderschedule", "suspended", "--type=merge", "--patch", `{"spec": {"suspend": true}}`)
	if at := string(first.Spec.Arguments["at"]); at != first.Spec.ScheduledFor.UTC().Format(time.RFC3339) {
		t.Errorf("the run of %s gets the time %s", first.Spec.ScheduledFor, at)
	}
	for schedule, want := range map[string]struct {
		runs int           // to wait for
		gap  time.Duration // between the times of two runs, 0 for any
		end  v1alpha1.Phase
	}{
		"skip":    {2, 2 * time.Minute, v1alpha1.PhaseFinished},
		"queue":   {3, 0, v1alpha1.PhaseFinished},
		"replace": {3, time.Minute, v1alpha1.PhaseCancelled},
		"allow":   {4, time.Minute, v1alpha1.PhaseFinished},
	} {
		t.Run(schedule, func(t *testing.T) {
			t.Parallel()
			awaitRuns(t, n, schedule, want.runs, 6*time.Minute)
			n.Run("", "patch", "spiderschedule", schedule, "--type=merge", "--patch", `{"spec": {"suspend": true}}`)
			runs, err := scheduledRuns(t.Context(), n, schedule)
			if err != nil {
				t.Fatal(err)
			}
			for i := range runs {
				n := n.In(t)
				runs[i] = *n.AwaitEnd(runs[i].Name, 3*time.Minute)
				if phase := runs[i].Status.Phase; phase != want.end && i < len(runs)-1 {
					t.Errorf("run %s ended %s", runs[i].Name, phase)
				}
				if i == 0 {
					continue
				}
				before := runs[i-1]
				if gap := runs[i].Spec.ScheduledFor.Sub(before.Spec.ScheduledFor.Time); want.gap > 0 && gap != want.gap {
					t.Errorf("run %s follows %s by %s", runs[i].Name, before.Name, gap)
				}
				if schedule != "allow" && runs[i].CreationTimestamp.Before(before.Status.FinishedAt) {
					t.Errorf("run %s was created before %s had ended", runs[i].Name, before.Name)
				}
			}
		})
	}
	t.Run("suspended for three minutes", func(t *testing.T) {
		t.Parallel()
		n := n.In(t)
		awaitRuns(t, n, "allow", 4, 6*time.Minute) // three minutes later
		resumed := time.Now()
		n.Run("", "patch", "spiderschedule", "suspended", "--type=merge", "--patch", `{"spec": {"suspend": false}}`)
		for _, run := range awaitRuns(t, n, "suspended", 2, 90*time.Second) {
			if run.Name != first.Name && run.Spec.ScheduledFor.Before(&first.CreationTimestamp) ||
				run.Name != first.Name && run.Spec.ScheduledFor.Time.Before(resumed.Add(-time.Second)) {
				t.Errorf("run %s for %s was made up for, although the schedule was suspended", run.Name, run.Spec.ScheduledFor)
			}
		}
		row := n.Run("", "get", "spiderschedule", "suspended", "--output=wide")
		for _, word := range []string{"CRON", "ZONE", "SUSPENDED", "LAST", "NEXT", "LAST RESULT", "* * * * *", "UTC", "Finished", "Scheduled"} {
			if !strings.Contains(row, word) {
				t.Errorf("kubectl does not show %s:\n%s", word, row)
			}
		}
	})
}

// TestAControllerKilledOverTheFullMinuteRunsEachTimeOnce kills the controller a moment before a run is due.
func TestAControllerKilledOverTheFullMinuteRunsEachTimeOnce(t *testing.T) {
	n := cluster.Namespace(t)
	n.Counter("counter")
	everyMinute(n, "minutely", "counter", `, "arguments": {"n": "1"}, "overlap": "Skip"`)
	first := awaitRuns(t, n, "minutely", 1, 90*time.Second)[0].Spec.ScheduledFor.Time
	due := first.Add(time.Minute)
	time.Sleep(time.Until(due.Add(-time.Second)))
	cluster.KillPods(t, "controller")
	runs := awaitRuns(t, n, "minutely", 2, 90*time.Second)
	n.AwaitPhase(runs[1].Name, v1alpha1.PhaseFinished, soon)
	if late := runs[1].CreationTimestamp.Sub(due); !runs[1].Spec.ScheduledFor.Time.Equal(due) || late > 55*time.Second {
		t.Errorf("after the run of %s comes that of %s, %s late", first, runs[1].Spec.ScheduledFor, late)
	}
	if pods := n.Pods(runs[1].Name); len(pods) != 1 {
		t.Errorf("run %s has had %d Pods", runs[1].Name, len(pods))
	}
}
