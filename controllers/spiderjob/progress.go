package spiderjob

import (
	"fmt"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/expect"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// livesOnAfter is how long a process may take to exit after its spider has closed before the status reports that it lives on.
const livesOnAfter = 30 * time.Second

// A running spider can stop making progress in two ways: its counts no longer change although it has not closed (a stall), or
// it has closed and its process does not exit. Both need a read of its log that was made after the allowed time; a missing read
// shows neither.

// watchProgress decides whether a running spider makes progress, and what follows if not.
func (d *decision) watchProgress(o *observation, p plan, pod *podView, now time.Time) decision {
	if p.StatsSource != v1alpha1.StatsFromScrapy {
		return *d
	}
	r := o.reading(pod)
	if r.Counts.Closed {
		return d.livesOn(o, p, pod, r, now)
	}
	return d.stall(o, p, r, now)
}

// lookAt schedules the next look at a running spider in time. If that is overdue, a read has to come first.
func (d *decision) lookAt(left time.Duration) {
	if left <= 0 {
		left = recheck
	}
	if d.after == 0 || left < d.after {
		d.after, d.class = left, queue.End
	}
}

// livesOn handles a process whose spider has closed. It is stopped if the Spider has an exitPatienceSeconds, and the run ends
// with the result that the spider reported: having to be stopped is no failure of the run.
func (d *decision) livesOn(o *observation, p plan, pod *podView, r podlog.Reading, now time.Time) decision {
	silence := r.Read.Sub(r.Quiet)
	if r.Quiet.IsZero() || silence < 0 {
		return *d
	}
	if silence >= livesOnAfter {
		d.status.Message = truncate(fmt.Sprintf("the spider closed%s, its log ends at %s, and its process lives on%s",
			withReason(r.Counts.FinishReason), moment(r.Quiet), patienceHint(p)), maxMessage)
	} else if p.ExitPatienceSeconds == 0 {
		d.lookAt(r.Quiet.Add(livesOnAfter).Sub(now))
	}
	if p.ExitPatienceSeconds == 0 {
		return *d
	}
	patience := time.Duration(p.ExitPatienceSeconds) * time.Second
	if silence < patience {
		d.lookAt(r.Quiet.Add(patience).Sub(now))
		return *d
	}
	if !o.live {
		return decision{need: needLive}
	}
	return d.judgeClosed(o, p, pod, now)
}

func withReason(finishReason string) string {
	if finishReason == "" {
		return ""
	}
	return " with finish reason " + finishReason
}

func patienceHint(p plan) string {
	if p.ExitPatienceSeconds == 0 {
		return "; with exitPatienceSeconds it would be stopped"
	}
	return ""
}

// moment formats a time for messages.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stall watches for a spider whose counts do not change. Its progress is the last recorded change of counts, or the start of
// its process without one: both survive a restart of the operator.
func (d *decision) stall(o *observation, p plan, r podlog.Reading, now time.Time) decision {
	rules, st := p.Expectations, &d.status
	if stall := reportedStall(st); stall != "" {
		st.Message = truncate("has stalled: "+stall, maxMessage)
		return *d
	}
	if rules == nil || rules.NoProgressSeconds == nil || st.RunningSince == nil {
		return *d
	}
	since := st.RunningSince.Time
	if s := st.Stats; s != nil && s.Attempt == st.Attempts && s.ObservedAt != nil {
		since = latest(since, s.ObservedAt.Time)
	}
	patience := time.Duration(*rules.NoProgressSeconds) * time.Second
	due := since.Add(patience + time.Second) // times of the API are cut to whole seconds
	if r.Read.Before(due) {
		d.lookAt(due.Sub(now))
		return *d
	}
	if rules.OnStall != v1alpha1.StallReport && !o.live {
		return decision{need: needLive}
	}
	violation := v1alpha1.Violation{
		Rule: v1alpha1.RuleNoProgressSeconds, Expected: fmt.Sprintf("progress at least every %s", patience),
		Actual: fmt.Sprintf("none since %s (%s)", moment(since), soFar(st)),
	}
	sentence := expect.Judgement{Broken: []v1alpha1.Violation{violation}}.Sentence()
	d.violated(o, []v1alpha1.Violation{violation}, v1alpha1.ReasonStalled, sentence, now)
	message := fmt.Sprintf("no progress since %s (%s), for longer than %s", moment(since), soFar(st), patience)
	switch {
	case rules.OnStall == v1alpha1.StallReport:
		st.Message = truncate("has stalled: "+reportedStall(st), maxMessage)
		return *d
	case rules.OnStall == v1alpha1.StallRetry && d.failures() < p.Retries:
		return d.retry(v1alpha1.ReasonStalled, message, now)
	}
	return d.stopJob(o, v1alpha1.ReasonStalled, message, now)
}

// reportedStall returns what was already reported of a stall of this attempt, "" if it has not stalled.
func reportedStall(st *v1alpha1.SpiderJobStatus) string {
	for _, v := range st.Violations {
		if v.Rule == v1alpha1.RuleNoProgressSeconds {
			return v.Actual + ", expected " + v.Expected
		}
	}
	return ""
}

// soFar describes the result of a run so far.
func soFar(st *v1alpha1.SpiderJobStatus) string {
	if st.Stats == nil || st.Stats.Source == v1alpha1.OriginNone {
		return "nothing was counted"
	}
	text := fmt.Sprintf("%d items", st.Stats.ItemsScraped)
	if st.Stats.Responses != nil {
		text += fmt.Sprintf(" of %d responses", *st.Stats.Responses)
	}
	return text
}
