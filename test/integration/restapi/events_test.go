package restapi

import (
	"net/http"
	"strings"
	"testing"

	rest "github.com/scrapethis/spider-operator/client"
)

// client calls a replica with a key.
func (r *replica) client(key string) *rest.Client {
	r.t.Helper()
	c, err := rest.New(r.address, key)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// events are server-sent events as they come.
type events struct {
	t      testing.TB
	stream *rest.EventStream
}

func (r *replica) events(t *testing.T, key, lastID string) *events {
	t.Helper()
	stream, err := r.client(key).StreamJobEvents(t.Context(), rest.StreamJobEventsParams{LastEventID: lastID})
	if err != nil {
		t.Fatal(err)
	}
	e := &events{t: t, stream: stream}
	t.Cleanup(e.leave)
	return e
}

func (e *events) leave() { _ = e.stream.Close() }

// want reads the next event, and ends the test unless it has this type and is about what is wanted.
func (e *events) want(kind, about string) (id string) {
	e.t.Helper()
	event, err := e.stream.Next()
	if err != nil {
		e.t.Fatalf("the events end (%v), and no %s with %s has come", err, kind, about)
	}
	if event.Type != kind || !strings.Contains(string(event.Data), about) {
		e.t.Fatalf("event %s %s %s, want %s with %s", event.ID, event.Type, event.Data, kind, about)
	}
	return event.ID
}

// TestEventsGoOnOnAnotherReplica follows a job's life, disconnects in the middle, and resumes on another replica.
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
	first.leave()

	finish(t, job)
	// Wait until the other replica has caught up with the first.
	replicas[1].eventually(http.StatusConflict, http.MethodDelete, "/api/v1/jobs/"+id, key, "")
	second := replicas[1].events(t, key, seen)
	second.want("job", `"status":"finished"`)
	if err := cluster.Client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	second.want("deleted", id)

	// A replica that was started later knows nothing of what was before.
	another := replicas[1].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)
	anew := start(t).events(t, key, seen)
	anew.want("reset", "unknown_event_id")
	anew.want("job", another)
	anew.want("ready", "")
}
