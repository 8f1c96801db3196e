package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/client"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
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

func TestAJobIsFollowedToItsEndAndShown(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	d := serve(t,
		text(http.StatusOK, `{"id": "7", "status": "pending", "items_scraped": 0}`),
		text(http.StatusServiceUnavailable, `{"error": "for a moment"}`),
		text(http.StatusOK, `{"id": "7", "status": "cancelled", "items_scraped": 3}`),
		text(http.StatusOK, `{"id": "7", "status": "cancelled", "items_scraped": 4, "finished_at": "2025-01-15T10:30:00Z"}`),
	)
	var shown strings.Builder
	d.say, d.out = progress.To(out), &shown
	ended, err := d.follow(t.Context(), "slow", "7")
	if err != nil || ended.ItemsScraped != 4 {
		t.Errorf("follow: %+v, %v", ended, err)
	}
	printed, err := os.ReadFile(out.Name())
	if err != nil || !strings.Contains(string(printed), "slow: cancelled, 4 items") {
		t.Errorf("printed %q, %v", printed, err)
	}
	if err := d.show(t.Context(), "7"); err != nil || !strings.HasPrefix(shown.String(), "{\n  \"id\": \"7\",\n") {
		t.Errorf("shown %q, %v", shown.String(), err)
	}
}

func TestStartSoonWaitsForTheSpiderToBeKnown(t *testing.T) {
	d := serve(t,
		text(http.StatusNotFound, `{"error": "no such spider", "code": "not_found"}`),
		func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.Method+" "+r.URL.Path != "POST /api/v1/jobs" || strings.TrimSpace(string(body)) != `{"spider_name":"books"}` {
				t.Errorf("%s %s %s %v", r.Method, r.URL, body, err)
			}
			text(http.StatusOK, `{"jobId": "7", "status": "pending"}`)(w, r)
		},
	)
	if id, err := d.startSoon(t.Context(), "books"); id != "7" || err != nil {
		t.Errorf("start: %q, %v", id, err)
	}
}

func TestARefusalIsToldInTheServersWords(t *testing.T) {
	d := serve(t, text(http.StatusConflict, `{"error": "two spiders are named books", "code": "ambiguous_spider"}`))
	_, err := d.startSoon(t.Context(), "books")
	for _, part := range []string{"POST /api/v1/jobs", "409 Conflict", "two spiders are named books"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
}

// serve is a demo whose calls are answered in turn, each of which has to carry the key.
func serve(t *testing.T, answers ...func(w http.ResponseWriter, r *http.Request)) *demo {
	t.Helper()
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer st_key" {
			t.Errorf("Authorization: %q", got)
		}
		answers[min(calls, len(answers)-1)](w, r)
		calls++
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "st_key")
	if err != nil {
		t.Fatal(err)
	}
	return &demo{api: c}
}

func text(code int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body) // a client that has gone has failed its test
	}
}
