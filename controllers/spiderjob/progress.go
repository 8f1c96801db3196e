package spiderjob

import (
	"fmt"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/expect"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// livesOnAfter is how long a process may take to exit after its spider has closed before the status says that it lives on.
const livesOnAfter = 30 * time.Second

// A spider that runs can stand still in two ways: its counts no longer change though it has not closed (a stall), or it has closed and
// its process does not exit. Both are told by reads of its log that were made after the time was over, never by the lack of a read.

// watchProgress says of a spider that runs whether it stands still, and what follows.
func (d decision) watchProgress(o *observation, p plan, pod *podView, now time.Time) decision {
	if p.StatsSource != v1alpha1.StatsFromScrapy {
		return d
	}
	r := o.reading(pod)
	if r.Counts.Closed {
		return d.livesOn(o, p, pod, r, now)
	}
	return d.stall(o, p, r, now)
}

// lookAt has a running spider looked at again in time. What is overdue waits for a read.
func (d *decision) lookAt(left time.Duration) {
	if left <= 0 {
		left = recheck
	}
	if d.after == 0 || left < d.after {
		d.after, d.class = left, queue.End
	}
}

// livesOn follows a process whose spider has closed. It is stopped where the Spider has a patience with it, and the run ends as what
// the spider said: that it had to be stopped is no failure of the run.
func (d decision) livesOn(o *observation, p plan, pod *podView, r podlog.Reading, now time.Time) decision {
	silence := r.Read.Sub(r.Quiet)
	if r.Quiet.IsZero() || silence < 0 {
		return d
	}
	if silence >= livesOnAfter {
		d.status.Message = truncate(fmt.Sprintf("the spider closed%s, its log ends at %s, and its process lives on%s",
			withReason(r.Counts.FinishReason), moment(r.Quiet), patienceHint(p)), maxMessage)
	} else if p.ExitPatienceSeconds == 0 {
		d.lookAt(r.Quiet.Add(livesOnAfter).Sub(now))
	}
	if p.ExitPatienceSeconds == 0 {
		return d
	}
	patience := time.Duration(p.ExitPatienceSeconds) * time.Second
	if silence < patience {
		d.lookAt(r.Quiet.Add(patience).Sub(now))
		return d
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

// moment is a time as messages tell it.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stall watches for a spider whose counts stand still. The last change of counts that is recorded is its progress, else the start of
// its process: both survive a restart of the operator.
func (d decision) stall(o *observation, p plan, r podlog.Reading, now time.Time) decision {
	rules, st := p.Expectations, &d.status
	if told := stallTold(st); told != "" {
		st.Message = truncate("has stalled: "+told, maxMessage)
		return d
	}
	if rules == nil || rules.NoProgressSeconds == nil || st.RunningSince == nil {
		return d
	}
	since := st.RunningSince.Time
	if s := st.Stats; s != nil && s.Attempt == st.Attempts && s.ObservedAt != nil {
		since = latest(since, s.ObservedAt.Time)
	}
	patience := time.Duration(*rules.NoProgressSeconds) * time.Second
	due := since.Add(patience + time.Second) // times of the API are cut to whole seconds
	if r.Read.Before(due) {
		d.lookAt(due.Sub(now))
		return d
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
		st.Message = truncate("has stalled: "+stallTold(st), maxMessage)
		return d
	case rules.OnStall == v1alpha1.StallRetry && d.failures() < p.Retries:
		return d.retry(v1alpha1.ReasonStalled, message, now)
	}
	return d.stopJob(o, v1alpha1.ReasonStalled, message, now)
}

// stallTold is what is told already of a stall of this attempt, "" where it has not stalled.
func stallTold(st *v1alpha1.SpiderJobStatus) string {
	for _, v := range st.Violations {
		if v.Rule == v1alpha1.RuleNoProgressSeconds {
			return v.Actual + ", expected " + v.Expected
		}
	}
	return ""
}

// soFar is what a run has come to.
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
