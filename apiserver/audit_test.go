package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// audits returns the audit lines of a log, without the time and what a request took.
func audits(t *testing.T, log string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(log) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("the log line %s is no JSON: %v", line, err)
		}
		if record["msg"] == "audit" {
			for _, varying := range []string{"msg", "level", "time", "seconds"} {
				if record[varying] == nil {
					t.Errorf("the audit line %s has no %s", line, varying)
				}
				delete(record, varying)
			}
			found = append(found, record)
		}
	}
	return found
}

// TestEveryWriteIsAudited holds that it is told who tried what on which object, whether it was let or not, at any level.
func TestEveryWriteIsAudited(t *testing.T) {
	var log bytes.Buffer
	known := &accounts{}
	f := newTestAPI(t, withAccounts(known), func(c *Config) {
		c.Log = slog.New(slog.NewJSONHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	key := f.key("team", "alice")
	f.spider("team", "books")
	write := func(method, path, key, body string) answer {
		return f.send(call{method: method, path: path, key: key, body: body, header: map[string]string{"X-Request-ID": "r"}})
	}
	var started struct{ JobID string }
	write(http.MethodPost, "/api/v1/jobs?_x=secret", key, `{"spider_name": "books"}`).want(http.StatusOK).into(&started)
	write(http.MethodDelete, "/api/v1/jobs/"+started.JobID, key, "").want(http.StatusOK)
	write(http.MethodDelete, "/api/v1/jobs/unknown", key, "").want(http.StatusNotFound)
	write(http.MethodPost, "/api/v1/jobs", key, `{"spider_name": "none"}`).want(http.StatusNotFound)
	write(http.MethodPost, "/api/v1/jobs", key[:len(key)-1], "").want(http.StatusUnauthorized)
	write(http.MethodDelete, "/api/v1/jobs/"+started.JobID, crawlersToken, "").want(http.StatusForbidden)
	f.get(key, "/api/v1/jobs/"+started.JobID).want(http.StatusOK)

	line := func(method, route, path string, status float64, more map[string]any) map[string]any {
		all := map[string]any{
			"request_id": "r", "address": "127.0.0.1", "method": method, "route": route, "path": path, "status": status,
			"object": "", "object_id": "",
		}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	alice := func(more map[string]any) map[string]any {
		all := map[string]any{"namespace": "team", "user": "alice", "key_id": key[3:19], "key_name": "key-" + key[3:19]}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	const jobs, job = "/api/v1/jobs", "/api/v1/jobs/:id"
	got := audits(t, log.String())
	if len(got) != 6 {
		t.Fatalf("%d audit lines, want 6:\n%s", len(got), log.String())
	}
	// The job that was not made has a name of its own.
	unmade, _ := got[3]["object_id"].(string)
	want := []map[string]any{
		line("POST", jobs, jobs, 200, alice(map[string]any{"object": "team/" + started.JobID, "object_id": started.JobID})),
		line(
			"DELETE", job, jobs+"/"+started.JobID, 200,
			alice(map[string]any{"object": "team/" + started.JobID, "object_id": started.JobID}),
		),
		line("DELETE", job, jobs+"/unknown", 404, alice(map[string]any{"object_id": "unknown", "code": "not_found"})),
		line("POST", jobs, jobs, 404, alice(map[string]any{"object": "team/" + unmade, "object_id": unmade, "code": "not_found"})),
		line("POST", jobs, jobs, 401, map[string]any{"code": "unauthorized", "error": "the credential is not accepted"}),
		line("DELETE", job, jobs+"/"+started.JobID, 403, map[string]any{
			"namespace": "team", "user": "team", "service_account": "crawler", "code": "access_denied", "object_id": started.JobID,
		}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit lines (-want +got):\n%s", diff)
	}
}

// TestCredentialsAreNeverLogged puts them wherever a caller can, and has errors quote them.
func TestCredentialsAreNeverLogged(t *testing.T) {
	known := &accounts{rights: []string{"crawler team list spiderjobs"}}
	f := newTestAPI(t, withAccounts(known))
	key := f.key("team", "alice")
	f.cluster.fail = func(string, bool) error { return errors.New("refused " + key + " and " + crawlersToken) }
	for _, credential := range []string{key, crawlersToken, key[:len(key)-1] + "x", crawlersToken + "x", auth.NewKey().Reveal()} {
		for method, path := range map[string]string{
			http.MethodGet: "/api/v1/jobs?cursor=", http.MethodPost: "/api/v1/jobs?a=", http.MethodDelete: "/api/v1/jobs/",
			http.MethodPut: "/", http.MethodPatch: "/api/v1/spiders/",
		} {
			f.send(
				call{
					method: method,
					path:   path + credential,
					key:    credential,
					body:   `{"spider_name": "` + credential + `"}`,
					header: map[string]string{
						"X-Request-ID":    credential[:min(len(credential), 128)],
						"User-Agent":      credential,
						"Idempotency-Key": credential,
						"Cookie":          credential,
						"X-Forwarded-For": credential,
					},
				},
			)
		}
	}
	f.cancel(key, "0198a7b2-0000-7000-8000-000000000000").want(http.StatusInternalServerError)
	log := f.log.String()
	for what, secret := range map[string]string{"an API key's secret": key[20:84], "a token's signature": crawlersToken[len(crawlersToken)-12:]} {
		if at := strings.Index(log, secret); at >= 0 {
			t.Errorf("the log holds %s: %s", what, log[max(0, at-300):at+20])
		}
	}
	if !strings.Contains(log, "st_"+key[3:19]+"_…") || !strings.Contains(log, "eyJ…") {
		t.Error("nothing was redacted, so this test has tested nothing")
	}
}
