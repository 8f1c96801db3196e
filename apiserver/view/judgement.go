package view

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// Judgement says whether a job met its expectations.
type Judgement struct {
	// Judged says that it could be decided, and Met that all were met.
	Judged, Met bool
	// Message says why it could not be judged.
	Message string
	// Violations is a JSON array of the broken rules, as in the contract; empty if there are none.
	Violations string
}

// met is the judgement of every job that met its expectations.
var met = &Judgement{Judged: true, Met: true}

// judgementOf returns nil for a job without expectations, and for one that is not judged yet: it has neither ended nor stalled.
// What the condition says in between may be about an attempt that is followed by another.
func judgementOf(status *v1alpha1.SpiderJobStatus) (*Judgement, error) {
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionExpectationsMet)
	switch {
	case condition == nil, !status.Phase.Terminal() && condition.Reason != v1alpha1.ReasonStalled:
		return nil, nil
	case condition.Status == metav1.ConditionTrue:
		return met, nil
	case condition.Status != metav1.ConditionFalse:
		return &Judgement{Message: intern(condition.Message)}, nil
	}
	judgement := &Judgement{Judged: true}
	if len(status.Violations) == 0 {
		return judgement, nil
	}
	violations := make([]violation, len(status.Violations))
	for i, v := range status.Violations {
		violations[i] = violation{Rule: failure.FieldName(v.Rule), Expected: v.Expected, Actual: v.Actual}
	}
	text, err := json.Marshal(violations)
	if err != nil {
		return nil, err
	}
	judgement.Violations = string(text)
	return judgement, nil
}

// violation is a broken rule, as in the contract.
type violation struct {
	Rule     string `json:"rule"`
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
}

// broken reports whether a job broke an expectation.
func (j *Job) broken() bool {
	return j.Expectations != nil && j.Expectations.Judged && !j.Expectations.Met
}
