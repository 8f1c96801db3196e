package spiderjob

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

func signalled(r podlog.Reading) podlog.Reading {
	r.Counts.Signalled = true
	return r
}

// whole is a log that was read from its first line.
func whole(r podlog.Reading) podlog.Reading {
	r.Whole = true
	return r
}

// counting is a reading with some of its counts changed.
func counting(r podlog.Reading, change func(*podlog.Reading)) podlog.Reading {
	change(&r)
	return r
}

// readAt is a running spider's log, whose counts are still those of three seconds after the epoch.
func readAt(items int64, read time.Duration) podlog.Reading {
	r := progress(items)
	r.Read = epoch.Add(read)
	return r
}

// closedSince is the log of a spider that has closed though its process runs, from its last line to its last read.
func closedSince(r podlog.Reading, quiet, read time.Duration) podlog.Reading {
	r.Done, r.Counts.Closed, r.Quiet, r.Read = false, true, epoch.Add(quiet), epoch.Add(read)
	return r
}

// comparedWith says what the earlier runs have scraped, the newest first.
func (b observing) comparedWith(items ...int64) observing {
	b.earlier = earlierRuns{known: true, items: items}
	return b
}

// started is a SpiderJob whose process is recorded to have run since two seconds after the epoch.
func (b sjBuilder) started() sjBuilder {
	b = b.running("run-a")
	since := at(2 * time.Second)
	b.Status.RunningSince, b.Status.PodUID = &since, "run-a"
	return b
}

// stalled is a SpiderJob whose stall is recorded.
func (b sjBuilder) stalled() sjBuilder {
	b = b.started()
	b.Status.Violations = []v1alpha1.Violation{
		{Rule: v1alpha1.RuleNoProgressSeconds, Expected: "progress", Actual: "none since noon"},
	}
	apimeta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionExpectationsMet, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonStalled,
	})
	return b
}

// TestDecideOnExpectations is the manual of expectations: what a run is checked for while it runs, and once its process has
// ended with success.
func TestDecideOnExpectations(t *testing.T) {
	sj := makeSpiderJob
	pod := func() podBuilder { return makePod(makeJob(sj().SpiderJob).Job, "run-a") }
	job := func(change ...func(*plan)) jobBuilder {
		return makeJob(sj().SpiderJob, append(change, func(p *plan) { p.ComparisonKey = "key" })...)
	}
	rules := func(e v1alpha1.Expectations, more ...func(*plan)) func(*plan) {
		return func(p *plan) {
			p.Expectations = &e
			for _, f := range more {
				f(p)
			}
		}
	}
	retry := func(p *plan) { p.Retries = 1 }
	patient := func(seconds int64) func(*plan) { return func(p *plan) { p.ExitPatienceSeconds = seconds } }
	blind := func(p *plan) { p.StatsSource = v1alpha1.StatsFromNowhere }
	message := func(p *plan) { p.StatsSource = v1alpha1.StatsFromTerminationMessage }
	minItems := func(n int64) v1alpha1.Expectations { return v1alpha1.Expectations{MinItems: &n} }
	on := func(e v1alpha1.Expectations, policy v1alpha1.ViolationPolicy) v1alpha1.Expectations {
		e.OnViolation = policy
		return e
	}
	stall := func(policy v1alpha1.StallPolicy) v1alpha1.Expectations {
		return v1alpha1.Expectations{NoProgressSeconds: new(int64(60)), OnStall: policy}
	}
	half := v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50, Runs: 3}}
	feeds := func(r podlog.Reading) podlog.Reading {
		r.Counts.FeedFailures, r.Counts.FeedError = new(int64(1)), "[Errno 13] Permission denied: '/app/items.json'"
		return r
	}
	// ended is a run whose Pod has ended with exit code 0 and whose log was read.
	ended := func(r podlog.Reading, change ...func(*plan)) observing {
		return observe(sj().running("run-a")).lively().withJob(job(change...)).withPods(pod().exited(0)).reads(r)
	}
	runs := func(b sjBuilder, r podlog.Reading, change ...func(*plan)) observing {
		return observe(b).withJob(job(change...)).withPods(pod().running()).reads(r)
	}
	finished := want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 3, final: true}
	itself := want{
		phase:    v1alpha1.PhaseFinished,
		reason:   v1alpha1.ReasonStoppedItself,
		contains: "stopped itself",
		items:    3,
		final:    true,
	}
	interrupted := want{
		phase:  v1alpha1.PhaseRunning,
		reason: v1alpha1.ReasonInterrupted,
		stop:   v1alpha1.ReasonInterrupted,
		retry:  true,
		items:  3,
		final:  true,
		log:    podlog.Final,
	}
	failed := func(reason, contains string) want {
		return want{phase: v1alpha1.PhaseError, reason: reason, contains: contains, items: 3, final: true}
	}
	again := func(reason string) want {
		return want{
			phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRetrying, stop: v1alpha1.ReasonRetrying, retry: true,
			contains: "attempt 1 failed (" + reason + ")", items: 3, final: true,
		}
	}
	with := func(w want, change func(*want)) want { change(&w); return w }
	saying := func(w want, contains string) want { w.contains = contains; return w }
	running := func(contains string, after time.Duration) want {
		return want{
			phase:    v1alpha1.PhaseRunning,
			reason:   v1alpha1.ReasonRunning,
			contains: contains,
			items:    3,
			log:      podlog.Sample,
			after:    after,
		}
	}

	for _, c := range []struct {
		name string
		now  time.Duration
		see  observing
		want want
		// met is the condition's status and reason as in "False ExpectationsNotMet", "" for none; rule the first one broken.
		met, rule string
		// key says that later runs are compared with this one.
		key bool
	}{
		// A spider that stops itself.
		{name: "shut down, by a signal that the log tells of", now: 6 * time.Second, see: ended(signalled(whole(finalReading(3, "shutdown")))), want: interrupted},
		{name: "shut down, and no signal in the whole log", now: 6 * time.Second, see: ended(whole(finalReading(3, "shutdown"))), want: itself, key: true},
		{name: "shut down, and the log's beginning was not read: did the kubelet stop it?", now: 6 * time.Second, see: ended(finalReading(3, "shutdown")), want: want{need: needKilling}},
		{name: "it did not", now: 6 * time.Second, see: ended(finalReading(3, "shutdown")).killing(evidenceNone), want: itself, key: true},
		{name: "it did", now: 6 * time.Second, see: ended(finalReading(3, "shutdown")).killing(evidenceOfStop), want: interrupted},
		{name: "nobody knows any more", now: 6 * time.Second, see: ended(finalReading(3, "shutdown")).killing(evidenceGone), want: interrupted},
		{name: "no Event, but of an end so long ago none would be left", now: time.Hour, see: ended(finalReading(3, "shutdown")).killing(evidenceNone), want: interrupted},
		{name: "a whole log that does not speak of the end proves nothing", now: 6 * time.Second,
			see: observe(sj().running("run-a")).lively().withJob(job()).withPods(pod().exited(0, said(`{"finish_reason": "shutdown"}`))).
				reads(whole(finalReading(3, ""))), want: want{need: needKilling}},
		{name: "another program stopped itself", now: 6 * time.Second,
			see: observe(sj().running("run-a")).lively().withJob(job(message)).withPods(pod().exited(0, said(`{"items_scraped": 3, "finish_reason": "shutdown"}`))).
				killing(evidenceNone), want: itself, key: true},
		{name: "it stopped itself, and its Job is gone", now: 6 * time.Second,
			see: observe(sj().running("run-a")).lively().withPods(pod().exited(0).orphan()).reads(whole(finalReading(3, "shutdown"))), want: itself, key: true},
		{name: "it stopped itself, and is to finish", now: 6 * time.Second,
			see:  ended(whole(finalReading(3, "shutdown")), rules(v1alpha1.Expectations{FinishReasons: []string{"finished"}})),
			want: failed(v1alpha1.ReasonExpectationsNotMet, "finishReasons: shutdown, expected finished"), met: "False ExpectationsNotMet", rule: "finishReasons"},
		{name: "shut down as an error", now: 6 * time.Second,
			see:  ended(whole(finalReading(3, "shutdown")), func(p *plan) { p.ErrorFinishReasons = []string{"shut*"} }),
			want: failed(v1alpha1.ReasonSpiderFailed, "shutdown")},

		// Errors are seen.
		{name: "errors were logged", now: 6 * time.Second,
			see:  ended(counting(finalReading(3, "finished"), func(r *podlog.Reading) { r.Counts.Errors = new(int64(7)) })),
			want: saying(finished, "the spider closed with finish reason finished; 7 errors were logged"), key: true},
		{name: "one error was logged", now: 6 * time.Second,
			see:  ended(counting(finalReading(3, "finished"), func(r *podlog.Reading) { r.Counts.Errors = new(int64(1)) })),
			want: saying(finished, "; 1 error was logged"), key: true},
		{name: "no page had an item", now: 6 * time.Second, see: ended(finalReading(3, "closespider_pagecount_no_item")), want: failed(v1alpha1.ReasonSpiderFailed, "no_item")},
		{name: "a failure by the spider's word spends a retry", now: 6 * time.Second, see: ended(finalReading(3, "closespider_errorcount"), retry), want: again(v1alpha1.ReasonSpiderFailed)},
		{name: "and then is one", now: 6 * time.Second,
			see:  observe(sj().running("run-a").failures(1)).lively().withJob(job(retry)).withPods(pod().exited(0)).reads(finalReading(3, "closespider_errorcount")),
			want: failed(v1alpha1.ReasonSpiderFailed, "closespider_errorcount")},

		// What is expected.
		{name: "kept", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(minItems(3))), want: finished, met: "True Met", key: true},
		{name: "broken", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(minItems(4))),
			want: failed(v1alpha1.ReasonExpectationsNotMet, "minItems: 3, expected at least 4"), met: "False ExpectationsNotMet", rule: "minItems"},
		{name: "a broken rule spends no retry", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(minItems(4), retry)),
			want: failed(v1alpha1.ReasonExpectationsNotMet, "minItems"), met: "False ExpectationsNotMet", rule: "minItems"},
		{name: "unless it is to", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(on(minItems(4), v1alpha1.ViolationRetry), retry)),
			want: again(v1alpha1.ReasonExpectationsNotMet), met: "False ExpectationsNotMet", rule: "minItems"},
		{name: "and one is left", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(on(minItems(4), v1alpha1.ViolationRetry))),
			want: failed(v1alpha1.ReasonExpectationsNotMet, "minItems"), met: "False ExpectationsNotMet", rule: "minItems"},
		{name: "only reported", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(on(minItems(4), v1alpha1.ViolationReport))),
			want: saying(finished, "not as expected: minItems: 3"), met: "False ExpectationsNotMet", rule: "minItems"},
		{name: "counts that are not final break nothing", now: 6 * time.Second,
			see:  ended(podlog.Reading{Done: true, Known: true, Counts: progress(3).Counts, Since: epoch}, rules(minItems(4))),
			want: want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, items: 3}, met: "Unknown CountsNotFinal"},
		{name: "unless they are required", now: 6 * time.Second,
			see:  ended(podlog.Reading{Done: true, Known: true, Counts: progress(3).Counts, Since: epoch}, rules(v1alpha1.Expectations{RequireCounts: true})),
			want: want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExpectationsNotMet, contains: "requireCounts", items: 3}, met: "False ExpectationsNotMet", rule: "requireCounts"},
		{name: "counts are required of a spider that gives none", now: 6 * time.Second, see: ended(podlog.Reading{}, rules(v1alpha1.Expectations{RequireCounts: true}, blind)),
			want: want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExpectationsNotMet}, met: "False ExpectationsNotMet", rule: "requireCounts"},
		{name: "counts are required, and the Pod is gone", now: 6 * time.Second,
			see:  observe(sj().running("run-a")).withJob(job(rules(v1alpha1.Expectations{RequireCounts: true})).condition(batchv1.JobComplete, "", "")).lively().killing(evidenceNone),
			want: want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExpectationsNotMet}, met: "False ExpectationsNotMet", rule: "requireCounts"},
		{name: "it ran for too long, by the clock of its node", now: time.Minute, see: ended(finalReading(3, "finished"), rules(v1alpha1.Expectations{MaxDurationSeconds: new(int64(2))})),
			want: failed(v1alpha1.ReasonExpectationsNotMet, "maxDurationSeconds: 3s"), met: "False ExpectationsNotMet", rule: "maxDurationSeconds"},
		{name: "what failed is not judged", now: 6 * time.Second, see: observe(sj().running("run-a")).lively().withJob(job(rules(minItems(4)))).withPods(pod().exited(1)).reads(finalReading(3, "finished")),
			want: failed(v1alpha1.ReasonExitCode, "code 1"), met: "Unknown NotJudged"},
		{name: "nor what was cancelled", now: 9 * time.Second,
			see:  observe(sj().running("run-a").cancelled()).lively().withJob(job(rules(minItems(4))).deleting()).withPods(pod().exited(0).deleting().held()).reads(finalReading(3, "shutdown")),
			want: want{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, items: 3, final: true}, met: "Unknown NotJudged"},

		// Lost data.
		{name: "a feed failed, and nobody had said anything of feeds", now: 6 * time.Second, see: ended(feeds(finalReading(3, "finished"))),
			want: failed(v1alpha1.ReasonFeedFailed, "/app/items.json'), expected at most 0; let the feed go to /tmp"), met: "False FeedFailed", rule: "feedFailures"},
		{name: "that is no rule that could be reported only", now: 6 * time.Second, see: ended(feeds(finalReading(3, "finished")), rules(on(minItems(1), v1alpha1.ViolationReport))),
			want: failed(v1alpha1.ReasonFeedFailed, "items.json"), met: "False FeedFailed", rule: "feedFailures"},
		{name: "nor does it spend a retry", now: 6 * time.Second, see: ended(feeds(finalReading(3, "finished")), rules(on(minItems(1), v1alpha1.ViolationRetry), retry)),
			want: failed(v1alpha1.ReasonFeedFailed, "items.json"), met: "False FeedFailed", rule: "feedFailures"},
		{name: "it may fail", now: 6 * time.Second, see: ended(feeds(finalReading(3, "finished")), rules(v1alpha1.Expectations{FeedFailures: new(int64(1))})),
			want: finished, met: "True Met", key: true},
		{name: "it may be reported only", now: 6 * time.Second,
			see:  ended(feeds(finalReading(3, "finished")), rules(on(v1alpha1.Expectations{FeedFailures: new(int64(0))}, v1alpha1.ViolationReport))),
			want: saying(finished, "feedFailures"), met: "False FeedFailed", rule: "feedFailures"},

		// Compared with earlier runs.
		{name: "earlier runs are asked for", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(half)), want: want{need: needEarlierRuns}},
		{name: "as many as half of them", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(half)).comparedWith(6, 1, 100), want: finished, met: "True Met", key: true},
		{name: "fewer", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(half)).comparedWith(7, 1, 100),
			want: failed(v1alpha1.ReasonExpectationsNotMet, "3 items, 42.9 %, expected at least 50 % of 7"), met: "False ExpectationsNotMet", rule: "comparedToPrevious"},
		{name: "too few runs", now: 6 * time.Second, see: ended(finalReading(3, "finished"), rules(half)).comparedWith(7, 1), want: finished, met: "Unknown TooFewRuns", key: true},
		{name: "nobody is asked without counts", now: 6 * time.Second, see: ended(podlog.Reading{Done: true, Since: epoch}, rules(half)),
			want: want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified}, met: "Unknown CountsNotFinal"},

		// Several crawls of one program.
		{name: "crawls that a read has not seen may be missing", now: 6 * time.Second,
			see:  ended(counting(finalReading(3, "finished"), func(r *podlog.Reading) { r.Counts.Crawls = 2 }), rules(minItems(4), func(p *plan) { p.OwnCommand = true })),
			want: want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, items: 3}, met: "Unknown CountsNotFinal"},
		{name: "a whole log has all of them", now: 6 * time.Second,
			see:  ended(whole(counting(finalReading(3, "finished"), func(r *podlog.Reading) { r.Counts.Crawls = 2 })), func(p *plan) { p.OwnCommand = true }),
			want: finished, key: true},
		{name: "Scrapy's own command has one", now: 6 * time.Second,
			see: ended(counting(finalReading(3, "finished"), func(r *podlog.Reading) { r.Counts.Crawls = 2 })), want: finished, key: true},

		// It makes no progress.
		{name: "its time is not over", now: 30 * time.Second, see: runs(sj().started(), readAt(3, 29*time.Second), rules(stall(""))), want: running("", 34*time.Second)},
		{name: "its time is over, but its log has not been read since", now: 65 * time.Second, see: runs(sj().started(), readAt(3, 63*time.Second), rules(stall(""))), want: running("", recheck)},
		{name: "it has, and nothing has changed", now: 65 * time.Second, see: runs(sj().started(), readAt(3, 64*time.Second), rules(stall(""))), want: want{need: needLive}},
		{name: "it is stopped", now: 65 * time.Second, see: runs(sj().started(), readAt(3, 64*time.Second), rules(stall(""))).lively(),
			want: want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonStalled, contains: "no progress since 2026-11-23T12:00:03Z (3 items)", items: 3, log: podlog.Sample},
			met:  "False Stalled", rule: "noProgressSeconds"},
		{name: "another attempt is made", now: 65 * time.Second, see: runs(sj().started(), readAt(3, 64*time.Second), rules(stall(v1alpha1.StallRetry), retry)).lively(),
			want: with(again(v1alpha1.ReasonStalled), func(w *want) { w.final, w.log = false, podlog.Sample }), met: "False Stalled", rule: "noProgressSeconds"},
		{name: "no retry is left", now: 65 * time.Second, see: runs(sj().started(), readAt(3, 64*time.Second), rules(stall(v1alpha1.StallRetry))).lively(),
			want: want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonStalled, items: 3, log: podlog.Sample}, met: "False Stalled", rule: "noProgressSeconds"},
		{name: "it is only told", now: 65 * time.Second, see: runs(sj().started(), readAt(3, 64*time.Second), rules(stall(v1alpha1.StallReport))),
			want: running("has stalled: none since", 0), met: "False Stalled", rule: "noProgressSeconds"},
		{name: "and told no second time", now: 99 * time.Second, see: runs(sj().stalled(), readAt(3, 98*time.Second), rules(stall(v1alpha1.StallReport))),
			want: running("has stalled: none since noon", 0), met: "False Stalled", rule: "noProgressSeconds"},
		{name: "it finishes after all", now: 99 * time.Second,
			see:  observe(sj().stalled()).lively().withJob(job(rules(stall(v1alpha1.StallReport)))).withPods(pod().exited(0)).reads(finalReading(3, "finished")),
			want: finished, met: "False Stalled", rule: "noProgressSeconds"},
		{name: "nothing was ever counted", now: 65 * time.Second, see: runs(sj().started(), podlog.Reading{Read: epoch.Add(64 * time.Second)}, rules(stall(""))).lively(),
			want: want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonStalled, contains: "nothing was counted", log: podlog.Sample},
			met:  "False Stalled", rule: "noProgressSeconds"},
		{name: "it is gone", now: 70 * time.Second, see: observe(func() sjBuilder { b := sj().stalled().stopping(v1alpha1.ReasonStalled, false); return b }()).lively().withJob(job(rules(stall(""))).deleting()).
			withPods(pod().exited(0).deleting().held()), want: want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonStalled}, met: "False Stalled", rule: "noProgressSeconds"},
		{name: "a cancel outranks it", now: 70 * time.Second, see: observe(func() sjBuilder { b := sj().stalled().stopping(v1alpha1.ReasonStalled, false).cancelled(); return b }()).lively().
			withJob(job(rules(stall(""))).deleting()).withPods(pod().exited(0).deleting().held()), want: want{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled}, met: "False Stalled", rule: "noProgressSeconds"},
		{name: "what comes next is another attempt", now: 70 * time.Second, see: observe(sj().stalled().stopping(v1alpha1.ReasonRetrying, true).failures(1)).lively(),
			want: want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, after: firstPause}},

		// Its process lives on.
		{name: "closed a moment ago", now: 20 * time.Second, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, 19*time.Second)), want: running("", 20*time.Second)},
		{name: "closed, and its process lives on", now: 41 * time.Second, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, 40*time.Second)),
			want: running("the spider closed with finish reason finished, its log ends at 2026-11-23T12:00:10Z, and its process lives on; with exitPatienceSeconds", 0)},
		{name: "that is no stall", now: time.Hour, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, time.Hour), rules(stall(""))), want: running("lives on", 0)},
		{name: "its patience is not over", now: 20 * time.Second, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, 19*time.Second), patient(20)), want: running("", 10*time.Second)},
		{name: "it is over, but the log has not been read since", now: 31 * time.Second, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, 29*time.Second), patient(20)), want: running("", recheck)},
		{name: "it is over", now: 31 * time.Second, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, 30*time.Second), patient(20)), want: want{need: needLive}},
		{name: "the verdict is what the spider said", now: 31 * time.Second, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, 30*time.Second), patient(20)).lively(),
			want: want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonCompleted, contains: "lives on", items: 3, final: true, log: podlog.Sample}},
		{name: "and is held against what is expected", now: 31 * time.Second, see: runs(sj().started(), closedSince(finalReading(3, "finished"), 10*time.Second, 30*time.Second), rules(minItems(4), patient(20))).lively(),
			want: want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonExpectationsNotMet, items: 3, final: true, log: podlog.Sample},
			met:  "False ExpectationsNotMet", rule: "minItems"},
		{name: "the kubelet is told to end the Pod, whose log stays", now: 32 * time.Second,
			see:  observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job()).withPods(pod().running()).reads(finalReading(3, "finished")),
			want: want{action: endPod, log: podlog.Follow, after: recheck}},
		{name: "a process that goes on is killed with its Pod", now: time.Minute,
			see:  observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job()).withPods(pod().running().ending()).reads(finalReading(3, "finished")),
			want: want{action: deletePod, log: podlog.Follow, after: recheck}},
		{name: "that it was killed is no failure", now: time.Minute,
			see: observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job().condition(batchv1.JobFailed, "BackoffLimitExceeded", "no more")).
				withPods(pod().exited(137).failed("DeadlineExceeded", "too long")),
			want: want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(c.see.observation, epoch.Add(c.now))
			checkDecision(t, c.see.observation, d, c.want)
			met := apimeta.FindStatusCondition(d.status.Conditions, v1alpha1.ConditionExpectationsMet)
			got := ""
			if met != nil {
				got = string(met.Status) + " " + met.Reason
			}
			if got != c.met && c.want.need == needNothing {
				t.Errorf("ExpectationsMet is %q (%v), want %q", got, met, c.met)
			}
			if rule := firstRule(&d.status); rule != c.rule && c.want.need == needNothing {
				t.Errorf("the first rule broken is %q, want %q", rule, c.rule)
			}
			if c.rule != "" && met.Status == metav1.ConditionFalse && !d.status.Phase.Terminal() && d.status.Stop == nil &&
				met.Reason != v1alpha1.ReasonStalled {
				t.Errorf("only a stall may be reported before the end: %s", d)
			}
			if (d.status.ComparisonKey != "") != c.key {
				t.Errorf("its key is %q", d.status.ComparisonKey)
			}
		})
	}
}

func firstRule(st *v1alpha1.SpiderJobStatus) string {
	if len(st.Violations) == 0 {
		return ""
	}
	return st.Violations[0].Rule
}

// TestPlanTakesTheTighterExpectations checks that a SpiderJob cannot loosen the rules of its Spider.
func TestPlanTakesTheTighterExpectations(t *testing.T) {
	for _, c := range []struct {
		name    string
		spider  func(*v1alpha1.SpiderSpec)
		asks    *v1alpha1.Expectations
		refused string
	}{
		{"tightened", func(s *v1alpha1.SpiderSpec) { s.Expectations = &v1alpha1.Expectations{MinItems: new(int64(5))} }, &v1alpha1.Expectations{MinItems: new(int64(6))}, ""},
		{"loosened", func(s *v1alpha1.SpiderSpec) { s.Expectations = &v1alpha1.Expectations{MinItems: new(int64(5))} }, &v1alpha1.Expectations{MinItems: new(int64(4))},
			"expectations.minItems 4 would loosen the spider's 5"},
		{"lost data allowed", nil, &v1alpha1.Expectations{FeedFailures: new(int64(1))}, "feedFailures 1"},
		{"a stall in a log", nil, &v1alpha1.Expectations{NoProgressSeconds: new(int64(60))}, ""},
		{"a stall in no log", func(s *v1alpha1.SpiderSpec) { s.Command = []string{"/x"} }, &v1alpha1.Expectations{NoProgressSeconds: new(int64(60))}, "TerminationMessage"},
		{"a stall of nothing", func(s *v1alpha1.SpiderSpec) { s.StatsSource = v1alpha1.StatsFromNowhere }, &v1alpha1.Expectations{NoProgressSeconds: new(int64(60))}, "None"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sj, spider := makeSpiderJob(), makeSpider()
			if sj.Spec.Expectations = c.asks; c.spider != nil {
				c.spider(&spider.Spec)
			}
			see := observe(sj).lively()
			see.spider = spider
			d := decide(see.observation, epoch.Add(time.Second))
			if c.refused == "" {
				if d.action.kind != createJob {
					t.Fatalf("decided %s", d)
				}
				p := planFromJob((jobBuilder{d.action.create}).view(), testDefaults())
				if p.Expectations == nil || p.ComparisonKey == "" {
					t.Errorf("the Job's plan is %+v", p)
				}
				return
			}
			if d.status.Reason != v1alpha1.ReasonInvalidJob || !strings.Contains(d.status.Message, c.refused) {
				t.Errorf("decided %s", d)
			}
		})
	}
}

// TestEachViolationIsAnEventOnce checks that each broken rule is an Event, once, also if it is only reported.
func TestEachViolationIsAnEventOnce(t *testing.T) {
	run := makeSpiderJob().started()
	next := func(change func(*v1alpha1.SpiderJobStatus)) v1alpha1.SpiderJobStatus {
		st := *run.Status.DeepCopy()
		change(&st)
		return st
	}
	broken := func(st *v1alpha1.SpiderJobStatus, reason string) {
		apimeta.SetStatusCondition(&st.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionExpectationsMet, Status: metav1.ConditionFalse, Reason: reason, Message: "minItems: 3",
		})
	}
	for _, c := range []struct {
		name   string
		before sjBuilder
		after  v1alpha1.SpiderJobStatus
		want   []string
	}{
		{"an error is told by its own reason", run, next(func(st *v1alpha1.SpiderJobStatus) {
			st.Phase, st.Reason, st.Message = v1alpha1.PhaseError, v1alpha1.ReasonExpectationsNotMet, "not as expected"
			broken(st, v1alpha1.ReasonExpectationsNotMet)
		}), []string{"Warning ExpectationsNotMet not as expected"}},
		{"what is reported only", run, next(func(st *v1alpha1.SpiderJobStatus) {
			st.Phase, st.Reason = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted
			broken(st, v1alpha1.ReasonExpectationsNotMet)
		}), []string{"Warning ExpectationsNotMet minItems: 3"}},
		{"a stall while it runs on", run, next(func(st *v1alpha1.SpiderJobStatus) { broken(st, v1alpha1.ReasonStalled) }),
			[]string{"Warning Stalled minItems: 3"}},
		{"what was told before", makeSpiderJob().stalled(), next(func(st *v1alpha1.SpiderJobStatus) {
			st.Phase, st.Reason = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted
			broken(st, v1alpha1.ReasonStalled)
		}), nil},
		{"a spider that stopped itself", run, next(func(st *v1alpha1.SpiderJobStatus) {
			st.Phase, st.Reason = v1alpha1.PhaseFinished, v1alpha1.ReasonStoppedItself
		}), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(5)
			r := &Reconciler{client: &statusWriter{}, clock: clocktesting.NewFakeClock(epoch.Add(time.Minute)), events: recorder}
			if err := r.record(t.Context(), observe(c.before).observation, &jobMemory{}, c.after); err != nil {
				t.Fatal(err)
			}
			close(recorder.Events)
			var got []string
			for event := range recorder.Events {
				got = append(got, event)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
