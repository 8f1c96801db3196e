package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// sentEvent is a server-sent event as a browser would understand it.
type sentEvent struct{ id, event, data string }

// event reads the next event, whatever comments there are before it.
func (o *opened) event() sentEvent {
	o.t.Helper()
	var e sentEvent
	for {
		line := o.line()
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data += value
		case ":":
		case "":
			if e != (sentEvent{}) {
				return e
			}
		default:
			o.t.Fatalf("not a line of an event: %q", line)
		}
	}
}

// want reads the next event and ends the test unless it is as wanted. An empty part of data fits any.
func (o *opened) want(event, data string) sentEvent {
	o.t.Helper()
	e := o.event()
	if e.event != event || !strings.Contains(e.data, data) {
		o.t.Fatalf("event %+v, want %s with %s", e, event, data)
	}
	return e
}

func TestEventsTellTheLifeOfAJob(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	others := []string{f.key("team", "bob"), f.key("team", ""), f.key("other", "alice")}
	f.spider("team", "books")
	f.spider("other", "books")
	f.started(alice, `{"spider_name": "books"}`) // Before, and so not told.
	events := f.open(alice, eventsPath)
	if kind := events.header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type %q", kind)
	}
	if e := events.want("ready", "{}"); e.id == "" {
		t.Error("the first event has no id to come back with")
	}
	for _, other := range others {
		f.cancel(other, f.started(other, `{"spider_name": "books"}`)).want(http.StatusOK)
	}
	id := f.started(alice, `{"spider_name": "books", "arguments": {"a": "<b>\n"}}`)
	e := events.want("job", `"status":"pending"`)
	answer{t: t, body: e.data}.wantJSON(f.get(alice, "/api/v1/jobs/"+id).body)
	if strings.Trim(e.id, "0123456789") == "" {
		t.Errorf("the event's id is %q, which says something to its reader", e.id)
	}
	f.cluster.update(t, "team", id, func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseRunning })
	events.want("job", `"status":"running"`)
	f.cancel(alice, id).want(http.StatusOK)
	events.want("job", `"status":"cancelled"`)
	f.cluster.delete("team", id)
	e = events.want("deleted", "")
	answer{t: t, body: e.data}.wantJSON(`{"id": "` + id + `"}`)
}

func TestEventsGoOnBehindTheLastOne(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	first := f.open(key, eventsPath)
	ready := first.want("ready", "")
	a := f.started(key, `{"spider_name": "books"}`)
	seen := first.want("job", a)
	first.leave()
	b := f.started(key, `{"spider_name": "books"}`)
	f.started(f.key("team", "bob"), `{"spider_name": "books"}`)
	f.cluster.delete("team", a)

	again := f.open(key, eventsPath, "Last-Event-ID", seen.id)
	again.want("job", b)
	last := again.want("deleted", a)
	c := f.started(key, `{"spider_name": "books"}`)
	again.want("job", c)

	whole := f.open(key, eventsPath, "Last-Event-ID", ready.id)
	for _, want := range []string{b, a, c} { // Of a it is only told that it has gone.
		if e := whole.event(); !strings.Contains(e.data, want) {
			t.Errorf("event %+v, want one of job %s", e, want)
		}
	}
	nothing := f.open(key, eventsPath, "Last-Event-ID", last.id)
	nothing.want("job", c)
}

func TestEventsBeginAnewAtAnUnknownID(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	var ids []string
	for range 401 {
		ids = append(ids, f.apply("team", fmt.Sprint("job-", len(ids))))
	}
	f.apply("team", "bobs", func(job *v1alpha1.SpiderJob) { job.Spec.UserID = "bob" })
	for _, unknown := range []string{"reset", "x", "0", "-1", "5", "999999999", "1.5", strings.Repeat("9", 300), "é"} {
		events := f.open(key, eventsPath, "Last-Event-ID", unknown)
		events.want("reset", `{"reason":"unknown_event_id"}`)
		var told []string
		e := events.event()
		for ; e.event == "job"; e = events.event() {
			var job contract.Job
			answer{t: t, body: e.data}.into(&job)
			told = append(told, job.ID)
			if e.id != "" {
				t.Fatalf("a part of a snapshot has the id %s", e.id)
			}
		}
		slices.Sort(told)
		slices.Sort(ids)
		if !slices.Equal(told, ids) || e.event != "ready" || e.id == "" {
			t.Errorf("after %.20q: a snapshot of %d jobs that ends with %+v, want %d and ready", unknown, len(told), e, len(ids))
		}
		events.leave()
		back := f.open(key, eventsPath, "Last-Event-ID", e.id)
		ids = append(ids, f.started(key, `{"spider_name": "books"}`))
		back.want("job", ids[len(ids)-1])
		back.leave()
	}
}

// A complete list, as after a break of the watch, is told like any change. One that is older than what was told is of a restored
// etcd.
func TestEventsGoOnWithTheWatch(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	events := f.open(key, eventsPath)
	events.want("ready", "")
	id := f.apply("team", "a-job")
	events.want("job", id)
	f.cluster.watch.Replace("", nil, "1000") // The list does not have the job any more.
	events.want("deleted", id)
	f.cluster.watch.Replace("", nil, "500")
	reset := events.want("reset", `{"reason":"missed_events"}`)
	ready := events.want("ready", "")
	events.leave()
	f.apply("team", "another-job", func(job *v1alpha1.SpiderJob) { job.Spec.UserID = "bob" })
	f.open(key, eventsPath, "Last-Event-ID", reset.id).want("reset", `{"reason":"unknown_event_id"}`)
	back := f.open(key, eventsPath, "Last-Event-ID", ready.id)
	f.cluster.mu.Lock()
	f.cluster.revision = 600
	f.cluster.mu.Unlock()
	back.want("job", f.apply("team", "its-job"))
}

func TestEventsEndWithTheServerAndTheKey(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	var object *v1alpha1.APIKey
	revoked := f.open(f.key("team", "", func(k *v1alpha1.APIKey) { object = k }), eventsPath)
	revoked.want("ready", "")
	compact, err := auth.FromAPIKey(object)
	if err != nil {
		t.Fatal(err)
	}
	f.keys.Delete("", compact)
	time.AfterFunc(guard.CheckInterval, func() { f.apply("team", "a-job") })
	revoked.want("end", `{"reason":"unauthorized"}`)
	revoked.wantEnd()

	var whole answer
	var reading sync.WaitGroup
	reading.Go(func() { whole = f.get(key, eventsPath) }) // Holds it to the contract.
	events := f.open(key, eventsPath)
	events.want("ready", "")
	f.server.Stop()
	events.want("end", `{"reason":"stopping"}`)
	events.wantEnd()
	reading.Wait()
	if whole.want(http.StatusOK); !strings.HasSuffix(whole.body, "event: end\ndata: {\"reason\":\"stopping\"}\n\n") {
		t.Errorf("the whole answer is %q", whole.body)
	}
}

func TestEventsNeedAKeyAndAStream(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.StreamsPerCaller = 1 })
	f.get("", eventsPath).wantProblem(http.StatusUnauthorized, "unauthorized")
	key := f.key("team", "")
	f.open(key, eventsPath).want("ready", "")
	f.get(key, eventsPath).wantProblem(http.StatusTooManyRequests, "too_many_streams")
	for method, status := range map[string]int{http.MethodDelete: http.StatusNotFound, http.MethodPost: http.StatusMethodNotAllowed} {
		f.send(call{method: method, path: eventsPath, key: key}).want(status)
	}
}
