package check

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// api answers as a REST API would: calls by what is asked for, and the job by each of its answers in turn.
type api struct {
	ready string
	jobs  []string
	calls []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.calls = append(a.calls, r.Method+" "+r.URL.String())
	if strings.HasPrefix(r.URL.Path, "/api/") && r.Header.Get("Authorization") != "Bearer st_good" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"error": "Give a valid key.", "code": "unauthorized", "request_id": "r1"}`)
		return
	}
	answer := map[string]string{
		"GET /livez":        `{"status": "ok"}`,
		"GET /readyz":       a.ready,
		"GET /api/v1/me":    `{"user_id": "alice", "namespace": "shop"}`,
		"POST /api/v1/jobs": `{"jobId": "j1", "status": "pending"}`,
	}[r.Method+" "+r.URL.Path]
	if r.URL.Path == "/api/v1/jobs/j1" {
		answer = a.jobs[0]
		a.jobs = a.jobs[min(1, len(a.jobs)-1):]
	}
	_, _ = fmt.Fprint(w, answer)
}

const (
	ready   = `{"status": "ok"}`
	running = `{"id": "j1", "status": "running", "reason": "Running"}`
	ended   = `{"id": "j1", "status": "finished", "items_scraped": 3, "finished_at": "2026-11-24T12:00:00Z", "reason": "Completed"}`
	failed  = `{"id": "j1", "status": "error", "finished_at": "2026-11-24T12:00:00Z", "reason": "ExitCode", "message": "exited with code 3"}`
)

// What is tried is told, and what does not work is an error that says what it is.
func TestCheck(t *testing.T) {
	tests := map[string]struct {
		api    api
		key    string
		spider string
		says   string // the last line
		fails  string
	}{
		"probes alone": {api: api{ready: ready}, says: "No API key was given: nothing else was tried."},
		"a key":        {api: api{ready: ready}, key: "st_good", says: "No spider was named: none was run."},
		"a run": {
			api:    api{ready: ready, jobs: []string{running, ended}},
			key:    "st_good",
			spider: "books",
			says:   "It finished, with 3 items (Completed)",
		},
		"a run that fails": {
			api:    api{ready: ready, jobs: []string{failed}},
			key:    "st_good",
			spider: "books",
			fails:  "job j1 ended as error (ExitCode): exited with code 3",
		},
		"a key that opens none":  {api: api{ready: ready}, key: "st_bad", fails: "GET /api/v1/me: 401 Unauthorized: Give a valid key."},
		"a spider without a key": {api: api{ready: ready}, spider: "books", fails: "needs an API key"},
		"no Kubernetes": {
			api:   api{ready: `{"status": "degraded", "message": "Not heard of."}`},
			fails: "/readyz: the API calls itself degraded: Not heard of.",
		},
		"no API": {api: api{ready: "<html>"}, fails: "GET /readyz: reading the answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(&test.api)
			defer server.Close()
			var out strings.Builder
			err := Run(t.Context(), Options{URL: server.URL + "/", Key: test.key, Spider: test.spider}, &out)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("error %v, want one that says %q; calls %v", err, test.fails, test.api.calls)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v; calls %v", err, test.api.calls)
			}
			if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); lines[len(lines)-1] != test.says {
				t.Errorf("it says\n%s\nand lastly not %q", out.String(), test.says)
			}
		})
	}
}

// A job that does not end is an error when the time is up, and is named, for it goes on.
func TestCheckEndsInTime(t *testing.T) {
	server := httptest.NewServer(&api{ready: ready, jobs: []string{running}})
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := Run(ctx, Options{URL: server.URL, Key: "st_good", Spider: "books"}, &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "job j1 has not ended in time") {
		t.Errorf("error %v", err)
	}
}

// A server is known by the certificate it should show, and by no other; without one, by the machine's authorities.
func TestCheckKnowsTheServersCertificate(t *testing.T) {
	server := httptest.NewTLSServer(&api{ready: ready})
	defer server.Close()
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	other := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("another")})
	for name, test := range map[string]struct {
		certificate []byte
		fails       string
	}{
		"its own":        {own, ""},
		"another":        {other, "another certificate"},
		"none":           {nil, "certificate"},
		"no certificate": {[]byte("-"), "no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), Options{URL: server.URL, Certificate: test.certificate}, &strings.Builder{})
			if (err == nil) != (test.fails == "") || (err != nil && !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("error %v, want %q", err, test.fails)
			}
		})
	}
}

func TestCheckWantsAURL(t *testing.T) {
	for _, wrong := range []string{"", "spiders.example.org", "ftp://spiders.example.org", "http://", "http://%"} {
		if err := Run(t.Context(), Options{URL: wrong}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "URL") {
			t.Errorf("%q: error %v", wrong, err)
		}
	}
}
