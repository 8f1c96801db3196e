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
			job := compact(t, spiderJob("a", 1, test.change))
			if diff := gocmp.Diff(test.want, job.Expectations); diff != "" || job.broken() != test.broken {
				t.Errorf("broken %t, want %t; judgement (-want +got):\n%s", job.broken(), test.broken, diff)
			}
		})
	}
}

func TestContractNames(t *testing.T) {
	for field, want := range map[string]string{
		"minItems": "min_items", "maxFailedResponsePercent": "max_failed_response_percent", "feed": "feed", "": "",
		"comparedToPrevious.minItemsPercent": "compared_to_previous.min_items_percent",
	} {
		if got := ContractName(field); got != want {
			t.Errorf("%s is called %s, want %s", field, got, want)
		}
	}
}
