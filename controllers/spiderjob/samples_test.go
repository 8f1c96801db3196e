package spiderjob

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// loggedReading is a final read of a log that lies in a file, from its first line to its last.
func loggedReading(t *testing.T, path string) podlog.Reading {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read a log: %v", err)
	}
	var log stats.Log
	_, _ = log.Write(text)
	log.End()
	counts, known := log.Counts()
	read := epoch.Add(6 * time.Second)
	return podlog.Reading{
		Counts: counts, Known: known, Whole: log.FromStart(),
		Done: true, Opened: true, Mode: podlog.Final, Since: epoch.Add(5 * time.Second), ObservedAt: read, Read: read, Quiet: read,
	}
}

// decideOnLog is what follows when a process has exited with 0 and left a log.
func decideOnLog(t *testing.T, name string) decision {
	t.Helper()
	job := makeJob(makeSpiderJob().SpiderJob)
	o := observe(makeSpiderJob()).lively().withJob(job).withPods(makePod(job.Job, "run-a").exited(0)).
		reads(loggedReading(t, "stats/testdata/cases/"+name+".log"))
	return decide(o.observation, epoch.Add(9*time.Second))
}

// TestVerdictsOfRealLogs checks the verdicts of recorded crawls, one of each kind that people write. All of their processes
// exited with 0, and none was stopped.
func TestVerdictsOfRealLogs(t *testing.T) {
	finished := want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 12, final: true}
	of := func(w want, items int64) want {
		w.items = items
		return w
	}
	for name, w := range map[string]want{
		"one-line":          finished,
		"coloured":          finished,
		"prefixed":          finished,
		"own-format":        finished,
		"odd-value":         of(finished, 7),
		"odd-keys":          of(finished, 7),
		"dump-of-800-lines": of(finished, 7),
		"two-crawls":        of(finished, 19),
		"stopped-itself": {
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonStoppedItself, contains: "itself", items: 12, final: true,
		},
		"resumed-2": of(finished, 5),
		"feed-not-written": {
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonFeedFailed, contains: "Permission denied", items: 12, final: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := decideOnLog(t, name).status
			if st.Phase != w.phase || st.Reason != w.reason || !strings.Contains(st.Message, w.contains) {
				t.Errorf("it is %s, %s: %s", st.Phase, st.Reason, st.Message)
			}
			if st.Stats == nil || st.Stats.ItemsScraped != w.items || st.Stats.Final != w.final {
				t.Errorf("stats are %+v, want %d items", st.Stats, w.items)
			}
		})
	}
}

// TestALogThatMentionsASignalIsAnInterruption checks that a log that mentions a signal makes the attempt interrupted, and that
// another follows.
func TestALogThatMentionsASignalIsAnInterruption(t *testing.T) {
	stop := decideOnLog(t, "resumed-1").status.Stop
	if stop == nil || !stop.Retry || stop.Reason != v1alpha1.ReasonInterrupted {
		t.Errorf("its stop is %+v, want one that another attempt follows", stop)
	}
}
