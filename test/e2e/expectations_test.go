package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// dumps logs what Scrapy logs when it opens a spider, and closes it with the given stats.
const dumps = `
print("2026-11-23 12:00:00 [scrapy.core.engine] INFO: Spider opened")
print("2026-11-23 12:00:09 [scrapy.statscollectors] INFO: Dumping Scrapy stats:")
print("""{'downloader/exception_count': 1,
 'downloader/request_count': 10,
 'downloader/response_status_count/200': 8,
 'downloader/response_status_count/404': 1,%s
 'finish_reason': '%s',
 'item_scraped_count': 7,
 'log_count/ERROR': 2,
 'response_received_count': 9}""")
print("2026-11-23 12:00:09 [scrapy.core.engine] INFO: Spider closed (%[2]s)", flush=True)
`

func readsLog(spec *v1alpha1.SpiderSpec) { spec.StatsSource = v1alpha1.StatsFromScrapy }

// TestEachRuleDistinguishesRuns has, for each rule, one run that meets it and another that breaks it; the two differ in no
// other way.
func TestEachRuleDistinguishesRuns(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Python("crawls", fmt.Sprintf(dumps, "", "finished"), readsLog)
	n.Python("loses", fmt.Sprintf(dumps, "\n 'feedexport/failed_count/S3FeedStorage': 1,", "finished"), readsLog)
	n.Python("loses-knowingly", fmt.Sprintf(dumps, "\n 'feedexport/failed_count/S3FeedStorage': 1,", "finished"), readsLog,
		func(spec *v1alpha1.SpiderSpec) {
			spec.Expectations = &v1alpha1.Expectations{FeedFailures: ptr.To[int64](1)}
		})
	n.Python("silent", mute, readsLog)
	type rules = v1alpha1.Expectations
	for name, tt := range map[string]struct {
		spider string
		rules  *rules
		broken string // the rule and its number, "" where all are kept
	}{
		"enough-items":    {"crawls", &rules{MinItems: ptr.To[int64](7)}, ""},
		"too-few-items":   {"crawls", &rules{MinItems: ptr.To[int64](8)}, "minItems: 7, expected at least 8"},
		"few-errors":      {"crawls", &rules{MaxErrors: ptr.To[int64](2)}, ""},
		"too-many-errors": {"crawls", &rules{MaxErrors: ptr.To[int64](1)}, "maxErrors: 2, expected at most 1"},
		"few-failures":    {"crawls", &rules{MaxFailedResponsePercent: ptr.To[int32](20)}, ""},
		"too-many-failures": {"crawls", &rules{MaxFailedResponsePercent: ptr.To[int32](19)},
			"maxFailedResponsePercent: 20.0 % (2 of 10)"},
		"quick":           {"crawls", &rules{MaxDurationSeconds: ptr.To[int64](600)}, ""},
		"a-known-end":     {"crawls", &rules{FinishReasons: []string{"fin*"}}, ""},
		"another-end":     {"crawls", &rules{FinishReasons: []string{"closespider_*"}}, "finishReasons: finished"},
		"lost-data":       {"loses", nil, "feedFailures: 1, expected at most 0"},
		"data-to-lose":    {"loses-knowingly", nil, ""},
		"counts-required": {"crawls", &rules{RequireCounts: true}, ""},
		"no-counts":       {"silent", &rules{RequireCounts: true}, "requireCounts: none could be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			st := n.AwaitEnd(n.Start(name, tt.spider, nil, func(spec *v1alpha1.SpiderJobSpec) { spec.Expectations = tt.rules }),
				2*soon).Status
			met := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionExpectationsMet)
			switch {
			case met == nil:
				t.Errorf("ended %s, %s: %s; nothing is said of what was expected", st.Phase, st.Reason, st.Message)
			case tt.broken == "" && (st.Phase != v1alpha1.PhaseFinished || met.Status != "True" ||
				!strings.Contains(st.Message, "2 errors were logged")):
				t.Errorf("ended %s, %s: %s; want it to be as expected", st.Phase, st.Reason, st.Message)
			case tt.broken != "" && (st.Phase != v1alpha1.PhaseError || met.Status != "False" ||
				!strings.Contains(st.Message, tt.broken) ||
				len(st.Violations) != 1 || !strings.HasPrefix(tt.broken, st.Violations[0].Rule+":")):
				t.Errorf("ended %s, %s: %s; violations %+v; want %s", st.Phase, st.Reason, st.Message, st.Violations, tt.broken)
			}
		})
	}
}

// TestASpiderThatStandsStillIsStopped takes a minute: so long it takes to distinguish a spider that makes no progress from one
// that is slow.
func TestASpiderThatStandsStillIsStopped(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Python("stalls", `
import time
print("2026-11-23 12:00:00 [scrapy.core.engine] INFO: Spider opened")
print("2026-11-23 12:00:00 [scrapy.extensions.logstats] INFO: Crawled 0 pages (at 0 pages/min), scraped 0 items (at 0 items/min)")
print("2026-11-23 12:00:10 [scrapy.extensions.logstats] INFO: Crawled 3 pages (at 3 pages/min), scraped 3 items (at 3 items/min)",
      flush=True)
while True:
    time.sleep(5)
    print("2026-11-23 12:00:20 [shop] INFO: waiting for the shop to open", flush=True)
`, readsLog, func(spec *v1alpha1.SpiderSpec) {
		spec.Expectations = &v1alpha1.Expectations{NoProgressSeconds: ptr.To[int64](60)}
		spec.TerminationGracePeriodSeconds = ptr.To[int64](1)
	})
	start := time.Now()
	st := n.AwaitEnd(n.Start("stalls", "stalls", nil), 3*time.Minute).Status
	if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonStalled || !strings.Contains(st.Message, "3 items") {
		t.Errorf("ended %s, %s: %s", st.Phase, st.Reason, st.Message)
	}
	if took := time.Since(start); took < time.Minute {
		t.Errorf("the spider was stopped after %s already", took)
	}
	if len(st.Violations) != 1 || st.Violations[0].Rule != v1alpha1.RuleNoProgressSeconds {
		t.Errorf("its violations are %+v", st.Violations)
	}
}

// TestARunIsComparedWithTheFiveBeforeIt checks that the sixth run is compared with the median of five runs.
func TestARunIsComparedWithTheFiveBeforeIt(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) {
		spec.Expectations = &v1alpha1.Expectations{
			ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50, SameArguments: ptr.To(false)},
		}
	})
	for i, run := range []struct {
		items, reason, met string
	}{
		{"10", v1alpha1.ReasonCompleted, v1alpha1.ExpectationsTooFewRuns},
		{"50", v1alpha1.ReasonCompleted, v1alpha1.ExpectationsTooFewRuns},
		{"20", v1alpha1.ReasonCompleted, v1alpha1.ExpectationsTooFewRuns},
		{"40", v1alpha1.ReasonCompleted, v1alpha1.ExpectationsTooFewRuns},
		{"30", v1alpha1.ReasonCompleted, v1alpha1.ExpectationsTooFewRuns},
		{"14", v1alpha1.ReasonExpectationsNotMet, v1alpha1.ReasonExpectationsNotMet},
		{"15", v1alpha1.ReasonCompleted, v1alpha1.ExpectationsMet}, // no later run is compared with a broken one
	} {
		st := n.AwaitEnd(n.Start(fmt.Sprintf("run-%d", i+1), "counter", map[string]string{"n": run.items}), 2*soon).Status
		met := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionExpectationsMet)
		if st.Reason != run.reason || met == nil || met.Reason != run.met {
			t.Fatalf("run %d ended %s, %s: %s; ExpectationsMet is %+v", i+1, st.Phase, st.Reason, st.Message, met)
		}
	}
}

// TestASpiderThatStopsItselfHasFinished checks that a spider that stops itself does not run again, whatever its finish reason.
func TestASpiderThatStopsItselfHasFinished(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Python("stops", fmt.Sprintf(dumps, "", "shutdown"), readsLog)
	st := n.AwaitEnd(n.Start("stops", "stops", nil), 2*soon).Status
	if st.Phase != v1alpha1.PhaseFinished || st.Reason != v1alpha1.ReasonStoppedItself || st.Attempts != 1 ||
		st.Stats.ItemsScraped != 7 {
		t.Errorf("ended %s, %s: %s after %d attempts, stats %+v", st.Phase, st.Reason, st.Message, st.Attempts, st.Stats)
	}
}

// TestAProcessThatDoesNotExitIsStopped checks that a process that does not exit is stopped after its Spider's
// exitPatienceSeconds. How it ends then is not a failure, and its log stays.
func TestAProcessThatDoesNotExitIsStopped(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Python("lingers", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"+fmt.Sprintf(dumps, "", "finished")+
		"time.sleep(3600)\n",
		readsLog, func(spec *v1alpha1.SpiderSpec) {
			spec.ExitPatienceSeconds, spec.TerminationGracePeriodSeconds = ptr.To[int64](10), ptr.To[int64](1)
		})
	job := n.AwaitEnd(n.Start("lingers", "lingers", nil), 2*time.Minute)
	if st := job.Status; st.Phase != v1alpha1.PhaseFinished || st.Reason != v1alpha1.ReasonCompleted || !st.Stats.Final ||
		!strings.Contains(st.Message, "exitPatienceSeconds") {
		t.Errorf("ended %s, %s: %s; stats %+v", st.Phase, st.Reason, st.Message, st.Stats)
	}
	if log := n.Log(job.Status.PodName); !strings.Contains(log, "Spider closed") {
		t.Errorf("its log is gone: %q", log)
	}
}
