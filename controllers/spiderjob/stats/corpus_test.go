package stats

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// recorded is a row of the corpus' tables: what a run measured of itself, without its log (test/spiders/corpus).
type recorded struct {
	Log        string
	About      string
	ExitCode   int
	Crawls     int
	Counts     string // where they stand: dump, progress, partial (a dump, and another crawl's progress) or none
	Final      bool
	Reason     *string
	Reasons    []string
	Signal     bool
	FeedFailed bool
	LivesOn    bool

	Items, Responses, Requests, Errors, Retries, Failed, Dropped *int64
	Status2xx, Status3xx, Status4xx, Status5xx                   *int64
	Elapsed                                                      *float64
}

// TestLogOfTheCorpus checks every recorded log: what is read from it is what the run measured of itself.
func TestLogOfTheCorpus(t *testing.T) {
	for name, row := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			got, ok := parseLog(row.log)
			assertRecorded(t, row.recorded, got, ok)
		})
	}
}

func assertRecorded(t *testing.T, want recorded, got Counts, ok bool) {
	t.Helper()
	if want.Counts == "none" {
		// The totals of a fleet look like any others.
		if ok && got.Origin != v1alpha1.OriginNone && !strings.HasPrefix(want.Log, "shared-collector") {
			t.Errorf("%s: counts %s where the log has none", want.About, describe(got))
		}
	} else if !ok {
		t.Fatalf("%s: read nothing", want.About)
	}
	if got.Final != want.Final {
		t.Errorf("%s: final %v, want %v: %s", want.About, got.Final, want.Final, describe(got))
	}
	if want.Final && got.Crawls != want.Crawls {
		t.Errorf("%s: %d crawls, want %d", want.About, got.Crawls, want.Crawls)
	}
	if want.Items != nil && got.Items != *want.Items {
		t.Errorf("%s: %d items, want %d", want.About, got.Items, *want.Items)
	}
	for what, n := range map[string]struct{ got, want *int64 }{
		"responses": {got.Responses, want.Responses}, "requests": {got.Requests, want.Requests}, "errors": {got.Errors, want.Errors},
		"retries": {got.RequestRetries, want.Retries}, "failed": {got.FailedRequests, want.Failed}, "dropped": {got.ItemsDropped, want.Dropped},
		"2xx": {got.ResponsesByClass[0], want.Status2xx}, "3xx": {got.ResponsesByClass[1], want.Status3xx},
		"4xx": {got.ResponsesByClass[2], want.Status4xx}, "5xx": {got.ResponsesByClass[3], want.Status5xx},
	} {
		if n.got == nil && n.want != nil && *n.want == 0 {
			continue // not known: nothing in the log says that it was counted at all
		}
		if what == "retries" && want.Signal && n.got != nil && *n.got > *n.want {
			continue // Scrapy counts those, too, that it had no time left to send
		}
		if n.want != nil && (n.got == nil || *n.got != *n.want) {
			t.Errorf("%s: %s %s, want %d", want.About, what, number(n.got), *n.want)
		}
	}
	if want.Final && want.Crawls == 1 && want.Elapsed != nil &&
		(got.ElapsedSeconds == nil || *got.ElapsedSeconds > int64(*want.Elapsed)+1) {
		t.Errorf("%s: %s s, want %g", want.About, number(got.ElapsedSeconds), *want.Elapsed)
	}
	worst := ""
	for _, reason := range want.Reasons {
		worst = worseReason(worst, shortText(reason, MaxFinishReason))
	}
	if got.FinishReason != worst {
		t.Errorf("%s: reason %q, want %q", want.About, got.FinishReason, worst)
	}
	if failed := got.FeedError != "" || got.FeedFailures != nil && *got.FeedFailures > 0; failed != want.FeedFailed {
		t.Errorf("%s: feed failed: %v (%q), want %v", want.About, failed, got.FeedError, want.FeedFailed)
	}
	if got.Signalled != want.Signal {
		t.Errorf("%s: signalled %v, want %v", want.About, got.Signalled, want.Signal)
	}
}

type corpusLog struct {
	recorded
	log []byte
}

func corpus(t testing.TB) map[string]corpusLog {
	t.Helper()
	tables, err := filepath.Glob("testdata/corpus/*/expected.json")
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables in testdata/corpus: %v", err)
	}
	logs := map[string]corpusLog{}
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		var rows []recorded
		if err := json.Unmarshal(text, &rows); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		for _, row := range rows {
			name := filepath.Join(filepath.Dir(table), row.Log)
			logs[strings.TrimPrefix(name, "testdata/corpus/")] = corpusLog{row, readLog(t, name)}
		}
	}
	return logs
}

// readLog reads a log that may be compressed.
func readLog(t testing.TB, name string) []byte {
	t.Helper()
	log, err := os.ReadFile(name)
	if err == nil && strings.HasSuffix(name, ".gz") {
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(log)); err == nil {
			log, err = io.ReadAll(r)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return log
}
