package view

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// Judgement says whether a job kept its expectations.
type Judgement struct {
	// Judged says that it could be told, and Met that all were kept.
	Judged, Met bool
	// Message says why it could not be judged.
	Message string
	// Violations is a JSON array of the rules that were broken, as the contract shows them; empty when there are none.
	Violations string
}

// met is the judgement of every job that kept its expectations.
var met = &Judgement{Judged: true, Met: true}

// judgementOf returns nil for a job that nothing was expected of, and for one that is not judged yet: it has not ended, and has
// not stalled either. What the condition says in between may be of an attempt that another is about to follow.
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

// violation is a rule that was broken, in the contract's words.
type violation struct {
	Rule     string `json:"rule"`
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
}

// broken reports whether a job has broken what was expected of it.
func (j *Job) broken() bool {
	return j.Expectations != nil && j.Expectations.Judged && !j.Expectations.Met
}
