package spiderjob

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/earlier"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
)

// selfWilled has a spider that would finish stop itself, or stand still.
func (h *history) selfWilled(spider *simulated.Script) {
	if spider.FinishReason == "finished" && h.chance(30) {
		spider.FinishReason = "shutdown"
	}
	if h.chance(30) {
		spider.Stalls = time.Duration(1+h.pick(6)) * 10 * time.Second
		spider.Runs = spider.Stalls + time.Duration(1+h.pick(4))*time.Minute
	}
}

// expectations are rules of a Spider, nil for none.
func (h *history) expectations() *v1alpha1.Expectations {
	if h.chance(30) {
		return nil
	}
	e := &v1alpha1.Expectations{
		OnViolation: []v1alpha1.ViolationPolicy{"", v1alpha1.ViolationRetry, v1alpha1.ViolationReport}[h.pick(3)],
	}
	if h.chance(60) {
		e.MinItems = new(int64(h.pick(60)))
	}
	if h.chance(50) {
		e.NoProgressSeconds = new(int64(60 + 30*h.pick(4)))
		e.OnStall = []v1alpha1.StallPolicy{"", v1alpha1.StallRetry, v1alpha1.StallReport}[h.pick(3)]
	}
	if h.chance(30) {
		e.ComparedToPrevious = &v1alpha1.ComparedToPrevious{Runs: 1, MinItemsPercent: 50}
	}
	e.RequireCounts = h.chance(10)
	return e
}

// cachedRuns are the earlier runs that the process's cache shows.
type cachedRuns struct{ process *process }

// HasSynced implements runHistory.
func (cachedRuns) HasSynced() bool { return true }

// Last implements runHistory.
func (r cachedRuns) Last(key string, anyArguments bool, n int) []int64 {
	runs := earlier.New(nil)
	for _, obj := range r.process.caches.Objects(simulated.SpiderJobs) {
		runs.OnAdd(obj, false)
	}
	return runs.Last(key, anyArguments, n)
}

// rulesOf are the rules that a SpiderJob's Spiders have ever had.
func (h *history) rulesOf(sj *v1alpha1.SpiderJob) []*v1alpha1.Expectations {
	var all []*v1alpha1.Expectations
	for _, spider := range h.spidersOf(sj) {
		if spider.Spec.Expectations != nil {
			all = append(all, spider.Spec.Expectations)
		}
	}
	return all
}

// spiderDeleted reports whether somebody has ever deleted the Spider that a SpiderJob names.
func (h *history) spiderDeleted(sj *v1alpha1.SpiderJob) bool {
	return slices.ContainsFunc(h.cluster.Log(), func(change *simulated.Change) bool {
		spider, ok := change.Before.(*v1alpha1.Spider)
		return ok && change.After == nil && spider.Namespace == sj.Namespace && spider.Name == sj.Spec.SpiderRef.Name
	})
}

// succeeded reports whether a process that has ended is not to be followed by another: it finished, or stopped itself, and no
// rule asks for another attempt at what it may have broken.
func (h *history) succeeded(p *simulated.Process) bool {
	if !p.Undisturbed() || p.FinishReason() != "finished" && p.FinishReason() != "shutdown" {
		return false
	}
	sj := h.cluster.SpiderJob(p.SpiderJob)
	return sj == nil || !slices.ContainsFunc(h.rulesOf(sj), func(e *v1alpha1.Expectations) bool {
		return e.OnViolation == v1alpha1.ViolationRetry || e.OnStall == v1alpha1.StallRetry
	})
}

// checkExpectations compares an end with what its Spiders expect: each reported violation is true, and what was broken is an error
// unless it is only to be reported.
func (h *history) checkExpectations(sj *v1alpha1.SpiderJob, j *trueJob, p *simulated.Process, untrue func(string, ...any)) {
	st, rules := &sj.Status, h.rulesOf(sj)
	if p == nil {
		untrue("no process ever ran")
		return
	}
	if st.Reason == v1alpha1.ReasonStoppedItself && (!p.Undisturbed() || p.Exit() != 0 || p.FinishReason() != "shutdown") {
		untrue("Pod %s ended with %d, finish reason %q; signalled to end: %q", p.PodName, p.Exit(), p.FinishReason(), p.SignalledBy)
	}
	for _, v := range st.Violations {
		switch v.Rule {
		case v1alpha1.RuleNoProgressSeconds:
			h.checkStall(j, p, rules, untrue)
			if st.Phase == v1alpha1.PhaseFinished &&
				!someRule(rules, func(e *v1alpha1.Expectations) bool { return e.OnStall == v1alpha1.StallReport }) {
				untrue("a stall was not to be reported only")
			}
			continue
		case v1alpha1.RuleMinItems:
			if !someRule(rules, func(e *v1alpha1.Expectations) bool { return e.MinItems != nil && p.Items() < *e.MinItems }) {
				untrue("Pod %s scraped %d items, and that is enough", p.PodName, p.Items())
			}
		}
		if st.Phase == v1alpha1.PhaseFinished &&
			!someRule(rules, func(e *v1alpha1.Expectations) bool { return e.OnViolation == v1alpha1.ViolationReport }) {
			untrue("%s was broken, and not to be reported only", v.Rule)
		}
	}
	switch {
	case st.Reason == v1alpha1.ReasonExpectationsNotMet && len(st.Violations) == 0:
		untrue("no rule is named")
	case j.old, h.spiderDeleted(sj):
		// A Job of the version before knows no rules, and where the Job is gone with its Spider the rules are not known any more.
	case st.Phase == v1alpha1.PhaseFinished && st.Stats != nil && st.Stats.Final && len(rules) > 0 &&
		!someRule(rules, func(e *v1alpha1.Expectations) bool {
			return e.MinItems == nil || p.Items() >= *e.MinItems || e.OnViolation == v1alpha1.ViolationReport
		}) && len(rules) == len(h.spidersOf(sj)):
		untrue("Pod %s scraped %d items only", p.PodName, p.Items())
	}
}

// checkStall: a spider that is said to have stalled had scraped nothing for as long, as far as clocks can tell.
func (h *history) checkStall(j *trueJob, p *simulated.Process, rules []*v1alpha1.Expectations, untrue func(string, ...any)) {
	var shortest int64
	for _, e := range rules {
		shortest = cmp.Or(min(shortest, ptr.Deref(e.NoProgressSeconds, shortest)), ptr.Deref(e.NoProgressSeconds, 0))
	}
	slack := time.Minute + 2*h.skews.widest // a read may be a while ago, with a time of another clock
	for _, process := range j.processes {
		if process.StoodStill()+slack >= time.Duration(shortest)*time.Second {
			return
		}
	}
	untrue("Pod %s stood still for %s, not for %d s", p.PodName, p.StoodStill(), shortest)
}

func someRule(rules []*v1alpha1.Expectations, holds func(*v1alpha1.Expectations) bool) bool {
	return slices.ContainsFunc(rules, holds)
}

// mild calls a run finished that broke a rule.
func mild(sj *v1alpha1.SpiderJob) bool {
	if sj.Status.Reason == v1alpha1.ReasonExpectationsNotMet {
		sj.Status.Phase, sj.Status.Reason = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted
	}
	return true
}
