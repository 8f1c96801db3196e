package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// serve answers every call in turn, and checks that each carries the key.
func serve(t *testing.T, answers ...func(w http.ResponseWriter, r *http.Request)) *api {
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
	c, err := newAPI(server.URL, "st_key")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(code int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body) // a client that has gone has failed its test
	}
}

func TestStart(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method+" "+r.URL.Path != "POST /api/v1/jobs" ||
			strings.TrimSpace(string(body)) != `{"spider_name":"books"}` ||
			r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s %v", r.Method, r.URL, body, err)
		}
		text(http.StatusOK, `{"jobId": "7", "status": "pending"}`)(w, r)
	})
	if id, err := client.start(t.Context(), "books"); id != "7" || err != nil {
		t.Errorf("start: %q, %v", id, err)
	}
}

func TestARefusalIsToldInTheServersWords(t *testing.T) {
	client := serve(t, text(http.StatusConflict, `{"error": "two spiders are named books", "code": "ambiguous_spider"}`))
	_, err := client.start(t.Context(), "books")
	for _, part := range []string{"POST /api/v1/jobs", "409 Conflict", "two spiders are named books"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
}

func TestAnAnswerThatIsNoJSONIsShown(t *testing.T) {
	client := serve(t, text(http.StatusOK, "<html>a proxy's login page</html>"))
	if _, _, err := client.job(t.Context(), "7"); err == nil || !strings.Contains(err.Error(), "login page") {
		t.Errorf("error: %v", err)
	}
}
