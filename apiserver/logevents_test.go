package apiserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
)

// acceptEvents is the header by which a log comes as events.
var acceptEvents = []string{"Accept", "text/event-stream"}

// logLine reads the next event, which is to be a line, and returns it with the event's id.
func (o *opened) logLine() (line contract.LogLine, id string) {
	o.t.Helper()
	e := o.want("line", "")
	if err := json.Unmarshal([]byte(e.data), &line); err != nil {
		o.t.Fatalf("data %q: %v", e.data, err)
	}
	return line, e.id
}

// wantLines reads lines until all of these have come, and returns the last id.
func (o *opened) wantLines(lines ...string) (id string) {
	o.t.Helper()
	for _, want := range lines {
		got, at := o.logLine()
		if got.Line != want || got.Continues != nil || got.Time == nil {
			o.t.Fatalf("line %+v, want %q", got, want)
		}
		id = at
	}
	return id
}

func TestLogAsEvents(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	path := "/api/v1/jobs/" + id + "/logs"
	at := time.Date(2025, 1, 15, 10, 30, 4, 5, time.UTC)
	pod.change(func() {
		pod.lines = []logLine{{at, "one\n"}, {at, "<two>\r\n"}, {at, "\n"}, {at.Add(time.Second), "four\xff\n"}}
	})
	log := f.open(key, path, acceptEvents...)
	if kind := log.header.Get("Content-Type"); kind != "text/event-stream" || log.header.Get("Vary") != "Accept" {
		t.Errorf("Content-Type %q, Vary %q", kind, log.header.Get("Vary"))
	}
	first, _ := log.logLine()
	if first.Time == nil || !first.Time.Equal(at) || first.Line != "one" {
		t.Errorf("first line %+v", first)
	}
	second := log.wantLines("<two>\r")
	log.wantLines("", "four\uFFFD")
	log.want("end", `"finished"`)
	log.wantEnd()

	again := f.open(key, path+"?tail=1", append(acceptEvents, "Last-Event-ID", second)...)
	last := again.wantLines("", "four\uFFFD")
	again.want("end", `"finished"`)
	again.wantEnd()
	pod.terminate()
	for _, query := range []string{"", "?follow=true"} {
		nothing := f.open(key, path+query, append(acceptEvents, "Last-Event-ID", last)...)
		nothing.want("end", `"finished"`)
		nothing.wantEnd()
	}
	tail := f.open(key, path+"?tail=1", acceptEvents...)
	tail.wantLines("four\uFFFD")
	tail.want("end", `"finished"`)

	for accept, kind := range map[string]string{
		"text/event-stream;q=0":               "text/plain",
		"text/plain, text/event-stream;q=0.5": "text/plain",
		"*/*":                                 "text/plain",
		"text/*":                              "text/plain",
		"":                                    "text/plain",
		"text/plain;q=0.5, text/event-stream": "text/event-stream",
		"application/json, Text/Event-Stream;q=0.1": "text/event-stream",
	} {
		if got := f.open(key, path, "Accept", accept).header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
			t.Errorf("Accept %q is answered with %s", accept, got)
		}
	}
	for _, bad := range []string{"0", "x.1-2", ".1-2-3", strings.Repeat("x", 130) + ".1-2-3", second + "0-"} {
		f.send(call{method: http.MethodGet, path: path, key: key, header: map[string]string{"Accept": "text/event-stream", "Last-Event-ID": bad}}).
			wantProblem(http.StatusBadRequest, "invalid_request", "Last-Event-ID")
	}
	f.send(call{method: http.MethodGet, path: path, key: key, header: map[string]string{"Last-Event-ID": second}}).
		wantProblem(http.StatusBadRequest, "invalid_request", "text/event-stream")
	f.open(key, path, append(acceptEvents, "Last-Event-ID", "")...).wantLines("one")
}

// TestFollowedLogIsGoneOnWithAfterACut has callers that are cut off anywhere, also between lines of one moment, and come back to
// another replica with the last id that they have seen.
func TestFollowedLogIsGoneOnWithAfterACut(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	path := "/api/v1/jobs/" + id + "/logs?follow=true&tail=0"
	n, seen := 0, 0
	pod.write("not asked for")
	at := time.Now()
	log := f.open(key, path, acceptEvents...)
	if e, err := log.lines.Peek(1); err != nil || e[0] != ':' {
		t.Fatalf("at once comes %q, %v", e, err)
	}
	// A follower from now on sees what is written after its node has heard of it.
	eventually(t, "the log is opened", func() bool { return f.node.openings() > 0 })
	for range 5 {
		pod.change(func() {
			for range 4 {
				pod.lines = append(pod.lines, logLine{at, fmt.Sprintf("line %d\n", n)})
				n++
			}
		})
		last := ""
		for range 3 {
			last = log.wantLines(fmt.Sprint("line ", seen))
			seen++
		}
		log.leave()
		pod.change(func() { pod.lines = append(pod.lines, logLine{at, fmt.Sprintf("line %d\n", n)}) })
		n++
		log = f.open(key, path, append(acceptEvents, "Last-Event-ID", last)...)
		for seen < n {
			log.wantLines(fmt.Sprint("line ", seen))
			seen++
		}
		at = at.Add(time.Millisecond)
	}
	pod.terminate()
	log.want("end", `"finished"`)
	log.wantEnd()
}

// TestEventsOfALogAreItsText puts a log together again, whatever it holds.
func TestEventsOfALogAreItsText(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	jobs := 0
	rapid.Check(t, func(rt *rapid.T) {
		jobs++
		id, pod := f.running(t, "team", fmt.Sprintf("job-%d", jobs))
		var text strings.Builder
		for range rapid.IntRange(0, 5).Draw(rt, "lines") {
			line := strings.Repeat(rapid.SampledFrom([]string{"a", "é", "漢", "😀", " ", "\r"}).Draw(rt, "text"),
				rapid.SampledFrom([]int{0, 1, 3, 5000, 20000}).Draw(rt, "size")) + rapid.SampledFrom([]string{"", "x"}).Draw(rt, "end")
			text.WriteString(line + "\n")
			pod.write(line)
		}
		pod.terminate()
		log := f.open(key, "/api/v1/jobs/"+id+"/logs", acceptEvents...)
		defer log.leave()
		var got strings.Builder
		for e := log.event(); e.event != "end"; e = log.event() {
			var line contract.LogLine
			if err := json.Unmarshal([]byte(e.data), &line); err != nil || e.event != "line" {
				rt.Fatalf("event %+v, %v", e, err)
			}
			got.WriteString(line.Line)
			if line.Continues == nil {
				got.WriteString("\n")
			}
		}
		if got.String() != text.String() {
			rt.Fatalf("%d bytes %.100q, want %d bytes %.100q", got.Len(), got.String(), text.Len(), text.String())
		}
	})
}

func TestGapsInALogAreTold(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	path := "/api/v1/jobs/" + id + "/logs?follow=true"
	pod.write("one", "two")
	log := f.open(key, path, acceptEvents...)
	last := log.wantLines("one", "two")
	log.leave()

	rotated := f.open(key, path, append(acceptEvents, "Last-Event-ID", last)...)
	pod.change(func() { pod.lines = nil })
	pod.cut()
	pod.write("three")
	rotated.want("gap", "{}")
	rotated.wantLines("three")
	rotated.leave()
	behind := f.open(key, path, append(acceptEvents, "Last-Event-ID", last)...)
	behind.want("gap", "{}")
	behind.wantLines("three")
	behind.leave()

	pod.change(func() { pod.pod.UID = "of-another-attempt" })
	another := f.open(key, path, append(acceptEvents, "Last-Event-ID", last)...)
	another.want("gap", "{}")
	another.wantLines("three")
	another.leave()
}

func TestEventsOfALogSayWhyTheyEnd(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	pending := f.apply("team", "pending")
	never := f.open(key, "/api/v1/jobs/"+pending+"/logs?follow=true", acceptEvents...)
	f.cluster.update(t, "team", "pending", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseCancelled })
	never.want("end", `"finished"`)
	never.wantEnd()

	id, pod := f.running(t, "team", "gone")
	pod.write("hello")
	gone := f.open(key, "/api/v1/jobs/"+id+"/logs?follow=true", acceptEvents...)
	gone.wantLines("hello")
	pod.change(func() { pod.broken = io.ErrUnexpectedEOF })
	pod.delete()
	gone.want("end", `"log_gone"`)
	gone.wantEnd()

	id, pod = f.running(t, "team", "followed")
	pod.write("hello")
	stopped := f.open(key, "/api/v1/jobs/"+id+"/logs?follow=true", acceptEvents...)
	stopped.wantLines("hello")
	f.server.Stop()
	stopped.want("end", `"stopping"`)
	stopped.wantEnd()
}

// TestStreamsThatMakeRoomSaySo has the oldest stream of a namespace end, since another namespace needs the room.
func TestStreamsThatMakeRoomSaySo(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		header []string
		check  func(*opened)
	}{
		"text":             {"/logs?follow=true", nil, (*opened).wantCut},
		"events of a log":  {"/logs?follow=true", acceptEvents, func(o *opened) { o.want("end", `"too_many_streams"`) }},
		"events of a user": {"", nil, func(o *opened) { o.want("ready", ""); o.want("end", `"too_many_streams"`) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTestAPI(t, func(c *Config) { c.MaxConnections = 4 }) // Of which three may be open on purpose.
			key, other := f.key("team", ""), f.key("other", "")
			id, _ := f.running(t, "team", "a-job")
			path := "/api/v1/jobs/" + id + test.path
			if test.path == "" {
				path = eventsPath
			}
			oldest := f.open(key, path, test.header...)
			for range 2 {
				f.open(key, eventsPath).want("ready", "")
			}
			f.open(other, eventsPath).want("ready", "")
			test.check(oldest)
		})
	}
}
