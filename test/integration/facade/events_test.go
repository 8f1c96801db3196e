package facade

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
)

// events are server-sent events as they come.
type events struct {
	t     testing.TB
	lines *bufio.Scanner
	leave func()
}

func (r *replica) events(t *testing.T, key, lastID string) *events {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address+"/api/v1/jobs/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		leave()
		_ = response.Body.Close()
	})
	if response.StatusCode != http.StatusOK {
		t.Fatalf("events are answered %s", response.Status)
	}
	return &events{t: t, lines: bufio.NewScanner(response.Body), leave: leave}
}

// want reads the next event, and ends the test unless it is of this kind and about what is wanted.
func (e *events) want(kind, about string) (id string) {
	e.t.Helper()
	var event, data string
	for e.lines.Scan() {
		field, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			event = value
		case "data":
			data = value
		case "":
			if event == "" {
				continue
			}
			if event != kind || !strings.Contains(data, about) {
				e.t.Fatalf("event %s %s %s, want %s with %s", id, event, data, kind, about)
			}
			return id
		}
	}
	e.t.Fatalf("the events end (%v), and no %s with %s has come", e.lines.Err(), kind, about)
	return ""
}

// TestEventsGoOnOnAnotherReplica follows a job's life, breaks off in the middle, and goes on with another replica.
func TestEventsGoOnOnAnotherReplica(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "alice")
	stranger, _ := newKey(t, namespace, "bob")
	replicas := []*replica{start(t), start(t)}

	first := replicas[0].events(t, key, "")
	first.want("ready", "")
	replicas[1].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", stranger, started)
	id := replicas[1].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)
	seen := first.want("job", id)
	job := spiderJob(t, namespace, id)
	if seen != job.ResourceVersion {
		t.Errorf("event id %s, want the resource version %s", seen, job.ResourceVersion)
	}
	first.leave()

	finish(t, job)
	// Until the other replica has come as far as the first.
	replicas[1].eventually(http.StatusConflict, http.MethodDelete, "/api/v1/jobs/"+id, key, "")
	second := replicas[1].events(t, key, seen)
	second.want("job", `"status":"finished"`)
	if err := cluster.Client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	second.want("deleted", id)

	// A replica that was started since knows nothing of what was before.
	another := replicas[1].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)
	anew := start(t).events(t, key, seen)
	anew.want("reset", "unknown_event_id")
	anew.want("job", another)
	anew.want("ready", "")
}
