package view

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestJudgement(t *testing.T) {
	broken := v1alpha1.Violation{Rule: "comparedToPrevious", Expected: "at least 90", Actual: "80"}
	for name, test := range map[string]struct {
		change func(*v1alpha1.SpiderJob)
		want   *Judgement
		broken bool
	}{
		"nothing was expected":   {func(*v1alpha1.SpiderJob) {}, nil, false},
		"all rules were kept":    {expectationsMet("True", "all were kept"), &Judgement{Judged: true, Met: true}, false},
		"it could not be judged": {expectationsMet("Unknown", "there are too few runs"), &Judgement{Message: "there are too few runs"}, false},
		"rules were broken": {
			expectationsMet("False", "it has too few items", broken),
			&Judgement{Judged: true, Violations: `[{"rule":"compared_to_previous","expected":"at least 90","actual":"80"}]`}, true,
		},
		"rules were broken, nobody says which": {expectationsMet("False", "it has too few items"), &Judgement{Judged: true}, true},
		"what is left from an earlier attempt": {expectationsMet("True", "all were kept", broken), &Judgement{Judged: true, Met: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			job := compact(t, spiderJob("a", 1, phase(v1alpha1.PhaseFinished), test.change))
			if diff := gocmp.Diff(test.want, job.Expectations); diff != "" || job.broken() != test.broken {
				t.Errorf("broken %t, want %t; judgement (-want +got):\n%s", job.broken(), test.broken, diff)
			}
		})
	}
}

// Until a job has ended it may be tried again. That it has stalled is true at once.
func TestAJobIsJudgedAtItsEnd(t *testing.T) {
	for _, test := range []struct {
		phase  v1alpha1.Phase
		reason string
		judged bool
	}{
		{v1alpha1.PhaseRunning, v1alpha1.ReasonExpectationsNotMet, false},
		{v1alpha1.PhaseRunning, v1alpha1.ReasonFeedFailed, false},
		{v1alpha1.PhaseRunning, v1alpha1.ReasonStalled, true},
		{v1alpha1.PhasePending, v1alpha1.ReasonExpectationsNotMet, false},
		{v1alpha1.PhaseFinished, v1alpha1.ReasonExpectationsNotMet, true},
		{v1alpha1.PhaseError, v1alpha1.ReasonFeedFailed, true},
		{v1alpha1.PhaseCancelled, v1alpha1.ReasonStalled, true},
	} {
		job := compact(t, spiderJob("a", 1, phase(test.phase), expectationsMet("False", ""), func(job *v1alpha1.SpiderJob) {
			job.Status.Conditions[1].Reason = test.reason
		}))
		if job.broken() != test.judged {
			t.Errorf("%s %s: is shown as broken: %t", test.phase, test.reason, job.broken())
		}
	}
}
