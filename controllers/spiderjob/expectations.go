package spiderjob

import (
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/earlier"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/expect"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// earlierRuns are the items of the runs to compare with.
type earlierRuns struct {
	// known says that they were requested.
	known bool
	items []int64
}

// comparison selects the earlier runs to compare with.
type comparison struct {
	key          string
	anyArguments bool
	runs         int
}

// expected applies the expectations to a run that has ended, with the counts of the status. Only a run that finished is judged:
// a failed run has failed already. unsettled is what to do first, nil for nothing.
//
// Broken rules are reported in any case. The policy decides what follows, except for failed feeds without a rule about feeds.
func (d *decision) expected(
	o *observation, p plan, e ending, ran time.Duration, feedError string, now time.Time,
) (next ending, unsettled *decision) {
	if e.phase != v1alpha1.PhaseFinished {
		return e, nil
	}
	rules := p.Expectations
	final := d.status.Stats != nil && d.status.Stats.Final
	if rules != nil && rules.ComparedToPrevious != nil && final && !o.earlier.known {
		c := rules.ComparedToPrevious
		return e, &decision{need: needEarlierRuns, compare: comparison{
			key: p.comparisonKey(o), anyArguments: !ptr.Deref(c.SameArguments, true), runs: expect.Runs(c),
		}}
	}
	j := expect.Judge(rules, expect.Run{
		Stats: d.status.Stats, Feeds: p.StatsSource == v1alpha1.StatsFromScrapy, FeedError: oneLine(feedError), Duration: ran,
		Earlier: o.earlier.items, Kept: time.Duration(currentTTL(o)) * time.Second,
	})
	d.noteJudgement(o, p, j, now)
	if len(j.Broken) == 0 {
		return e, nil
	}
	policy := v1alpha1.ViolationError
	if rules != nil && rules.OnViolation != "" {
		policy = rules.OnViolation
	}
	feeds := j.Broke(v1alpha1.RuleFeedFailures)
	if policy == v1alpha1.ViolationReport && !(feeds && j.Unasked) {
		e.message += "; not as expected: " + j.Sentence()
		return e, nil
	}
	e.phase, e.reason = v1alpha1.PhaseError, v1alpha1.ReasonExpectationsNotMet
	e.message = "the spider finished, but not as expected: " + j.Sentence()
	if feeds {
		e.reason = v1alpha1.ReasonFeedFailed
		e.message = "the spider finished, but items could not be written or delivered: " + j.Sentence() + "; " + expect.FeedRemedy(
			feedError,
		)
	}
	// Another attempt costs the site as much again: it is made only if the Spider asks for it.
	e.retries = policy == v1alpha1.ViolationRetry && !(feeds && j.Unasked)
	return e, nil
}

// noteJudgement writes the result for the rules into the status, in addition to a stall that was reported before.
func (d *decision) noteJudgement(o *observation, p plan, j expect.Judgement, now time.Time) {
	st := &d.status
	broken := slices.DeleteFunc(slices.Clone(st.Violations), func(v v1alpha1.Violation) bool {
		return v.Rule != v1alpha1.RuleNoProgressSeconds
	})
	stalled := len(broken) > 0
	broken = append(broken, j.Broken...)
	sentence := expect.Judgement{Broken: broken, Unknown: j.Unknown}.Sentence()
	switch {
	case len(broken) > 0:
		reason := v1alpha1.ReasonExpectationsNotMet
		switch {
		case j.Broke(v1alpha1.RuleFeedFailures):
			reason = v1alpha1.ReasonFeedFailed
		case stalled && len(broken) == 1:
			reason = v1alpha1.ReasonStalled
		}
		d.violated(o, broken, reason, sentence, now)
	case p.Expectations == nil: // no result is required
	case j.Missing:
		d.noteExpectations(o, metav1.ConditionUnknown, v1alpha1.ExpectationsWithoutCounts, sentence, now)
	case j.Few:
		d.noteExpectations(o, metav1.ConditionUnknown, v1alpha1.ExpectationsTooFewRuns, sentence, now)
	case len(j.Unknown) > 0:
		d.noteExpectations(o, metav1.ConditionUnknown, v1alpha1.ExpectationsNotJudged, sentence, now)
	default:
		d.noteExpectations(o, metav1.ConditionTrue, v1alpha1.ExpectationsMet, "", now)
	}
}

// violated writes broken rules into the status, within the bounds of the schema.
func (d *decision) violated(o *observation, broken []v1alpha1.Violation, reason, sentence string, now time.Time) {
	bounded := make([]v1alpha1.Violation, 0, len(broken))
	for _, v := range broken[:min(len(broken), allowed.MaxViolations)] {
		bounded = append(bounded, v1alpha1.Violation{
			Rule:     v.Rule,
			Expected: truncate(oneLine(v.Expected), allowed.MaxViolationText),
			Actual:   truncate(oneLine(v.Actual), allowed.MaxViolationText),
		})
	}
	d.status.Violations = bounded
	d.noteExpectations(o, metav1.ConditionFalse, reason, sentence, now)
}

func (d *decision) noteExpectations(o *observation, status metav1.ConditionStatus, reason, message string, now time.Time) {
	apimeta.SetStatusCondition(&d.status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionExpectationsMet, Status: status, Reason: reason, Message: truncate(message, maxMessage),
		ObservedGeneration: o.sj.Generation, LastTransitionTime: metav1.Time{Time: now},
	})
}

// forgetExpectations removes what the status says about an attempt that is followed by another.
func (d *decision) forgetExpectations() {
	d.status.Violations = nil
	apimeta.RemoveStatusCondition(&d.status.Conditions, v1alpha1.ConditionExpectationsMet)
}

// settleExpectations says at the end of a run, of whatever kind, that its expectations could not be judged if they were not;
// and marks a run that later ones are compared with.
func (d *decision) settleExpectations(o *observation, now time.Time) {
	st := &d.status
	p := o.plan()
	if p.Expectations != nil && apimeta.FindStatusCondition(st.Conditions, v1alpha1.ConditionExpectationsMet) == nil {
		d.noteExpectations(o, metav1.ConditionUnknown, v1alpha1.ExpectationsNotJudged,
			"the run did not finish, so it was not judged", now)
	}
	st.ComparisonKey = ""
	if st.Phase == v1alpha1.PhaseFinished && st.Stats != nil && st.Stats.Final && len(st.Violations) == 0 {
		st.ComparisonKey = truncate(p.comparisonKey(o), allowed.MaxComparisonKey)
	}
}

// comparisonKey returns the key of the runs to compare with, as recorded in the Job. If the Job is gone, it follows from the
// SpiderJob in kube-apiserver: the cache does not keep its arguments.
func (p plan) comparisonKey(o *observation) string {
	if p.ComparisonKey == "" && o.live && o.spider != nil && !o.jobIsOurs() {
		return earlier.KeyOf(o.spider.UID, o.sj.User(), o.sj.Spec.Arguments)
	}
	return p.ComparisonKey
}
