package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/client"
)

func TestVerdict(t *testing.T) {
	for name, tt := range map[string]struct {
		ended client.Job
		want  string // part of the complaint; none if all is well
	}{
		"all books":     {client.Job{Status: "finished", ItemsScraped: 1000}, ""},
		"too few":       {client.Job{ID: "7", Status: "finished", ItemsScraped: 999}, "999 books of the 1000"},
		"failed":        {client.Job{Status: "error", Reason: "OutOfMemory", Message: "more than 1Gi"}, "OutOfMemory: more than"},
		"was cancelled": {client.Job{Status: "cancelled", ItemsScraped: 1000}, "cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			err := verdict(&tt.ended, 1000)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("verdict: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFollowGoesOnUntilTheJobHasEnded(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &demo{say: progress{out: out}}
	d.api = serve(t,
		text(http.StatusOK, `{"id": "7", "status": "pending", "items_scraped": 0}`),
		text(http.StatusServiceUnavailable, `{"error": "for a moment"}`),
		text(http.StatusOK, `{"id": "7", "status": "cancelled", "items_scraped": 3}`),
		text(http.StatusOK, `{"id": "7", "status": "cancelled", "items_scraped": 4, "finished_at": "2025-01-15T10:30:00Z"}`),
	)
	ended, answer, err := d.follow(t.Context(), "slow", "7")
	if err != nil || ended.ItemsScraped != 4 || !strings.Contains(string(answer), "finished_at") {
		t.Errorf("follow: %+v, %s, %v", ended, answer, err)
	}
	printed, err := os.ReadFile(out.Name())
	if err != nil || strings.Count(string(printed), "\n") != 1 || !strings.Contains(string(printed), "slow: cancelled, 4 items") {
		t.Errorf("printed %q, %v", printed, err)
	}
}

func TestStartSoonWaitsForTheSpiderToBeKnown(t *testing.T) {
	d := &demo{}
	d.api = serve(
		t, text(http.StatusNotFound, `{"error": "no such spider", "code": "not_found"}`), text(http.StatusOK, `{"jobId": "7"}`),
	)
	if id, err := d.startSoon(t.Context(), "books"); id != "7" || err != nil {
		t.Errorf("start: %q, %v", id, err)
	}
}
