package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func streamOf(text string) *EventStream {
	return &EventStream{body: io.NopCloser(strings.NewReader(text)), lines: bufio.NewReader(strings.NewReader(text))}
}

func TestEventsAreRead(t *testing.T) {
	type seen struct{ id, kind, job, reason, data string }
	for name, test := range map[string]struct {
		text   string
		want   []seen
		lastID string
	}{
		"nothing":               {"", nil, ""},
		"heartbeats":            {":\n\n: hello\n\n", nil, ""},
		"one of each":           {"id: 1\nevent: ready\ndata: {}\n\nid: 2\nevent: job\ndata: {\"id\":\"7\",\"new\":1}\n\nid: 3\nevent: deleted\ndata: {\"id\":\"7\"}\n\nevent: end\ndata: {\"reason\":\"stopping\"}\n\n", []seen{{"1", "ready", "", "", "{}"}, {"2", "job", "7", "", `{"id":"7","new":1}`}, {"3", "deleted", "7", "", `{"id":"7"}`}, {"", "end", "", "stopping", `{"reason":"stopping"}`}}, "3"},
		"one without an end":    {"id: 1\nevent: job\ndata: {\"id\":\"7\"}\n", nil, ""},
		"an id alone":           {"id: 5\n\nevent: job\ndata: {\"id\":\"7\"}\n\n", []seen{{"", "job", "7", "", `{"id":"7"}`}}, "5"},
		"one that came later":   {"event: novel\ndata: a\ndata:  b\nretry: 3\nnovel: x\n\n", []seen{{"", "novel", "", "", "a\n b"}}, ""},
		"other ends of lines":   {"id:1\r\nevent:job\r\ndata:{\"id\":\"7\"}\r\n\r\n", []seen{{"1", "job", "7", "", `{"id":"7"}`}}, "1"},
		"names without a value": {"id\nevent: job\ndata: {}\ndata\n\n", []seen{{"", "job", "", "", "{}\n"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			stream := streamOf(test.text)
			var got []seen
			for {
				event, err := stream.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, seen{event.ID, event.Type, event.JobID, event.Reason, string(event.Data)})
			}
			if !reflect.DeepEqual(got, test.want) || stream.LastID() != test.lastID {
				t.Errorf("events %q, last %q\nwant   %q, last %q", got, stream.LastID(), test.want, test.lastID)
			}
		})
	}
	for name, text := range map[string]string{
		"no JSON":         "event: job\ndata: <html>\n\n",
		"an endless line": "data: " + strings.Repeat("x", maxLine+5000),
	} {
		if _, err := streamOf(text).Next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Whatever comes is read the same in whatever pieces it comes, and ends.
func FuzzEvents(f *testing.F) {
	f.Add("id: 1\nevent: job\ndata: {\"id\":\"7\"}\n\n:\n\nevent: end\ndata: {\"reason\":\"stopping\"}\r\n\r\n")
	f.Add("data\ndata:\n\nid: \x00\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		read := func(from io.Reader) (events []Event, last string, err error) {
			stream := &EventStream{lines: bufio.NewReaderSize(from, 16)}
			for {
				event, err := stream.Next()
				if err != nil {
					return events, stream.LastID(), err
				}
				events = append(events, event)
			}
		}
		whole, lastOfWhole, endOfWhole := read(strings.NewReader(text))
		parts, lastOfParts, endOfParts := read(iotest.OneByteReader(strings.NewReader(text)))
		if !reflect.DeepEqual(whole, parts) || lastOfWhole != lastOfParts || endOfWhole.Error() != endOfParts.Error() {
			t.Errorf("read at once %+v %v\nbyte by byte %+v %v", whole, endOfWhole, parts, endOfParts)
		}
		if strings.ContainsAny(lastOfWhole, "\n\x00") {
			t.Errorf("last id %q", lastOfWhole)
		}
	})
}

// A stream that is cut off, ends or falls silent is taken up where it was, until the server refuses the caller.
func TestEventsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, never := io.Pipe()
		defer func() { _ = never.Close() }()
		c, s := serve(
			t,
			ok("id: 1\nevent: ready\ndata: {}\n\nid: 2\nevent: job\ndata: {\"id\":\"7\"}\n\nid: 3\nevent: job\ndata: {\"id\":"), // cut off
			ok("id: 4\n\nevent: end\ndata: {\"reason\":\"stopping\"}\n\n"),
			answer{status: http.StatusOK, stream: silent},
			answer{err: errCut},
			ok("id: 5\nevent: deleted\ndata: {\"id\":\"7\"}\n\n"),
			refused(401, "unauthorized"),
		)
		began := time.Now()
		var types []string
		var failure error
		for event, err := range c.JobEvents(t.Context(), "") {
			if failure = err; err == nil {
				types = append(types, event.Type)
			}
		}
		if strings.Join(types, " ") != "ready job deleted" || !HasCode(failure, "unauthorized") {
			t.Errorf("events %q, then %v", types, failure)
		}
		var asked []string
		for _, request := range s.asked {
			asked = append(asked, request.Header.Get("Last-Event-ID"))
		}
		if want := " 2 4 4 4 5"; strings.Join(asked, " ") != want {
			t.Errorf("asked behind %q, want %q", asked, want)
		}
		if took := time.Since(began); took < silence || took > silence+10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// Silence is the server's: whoever reads may take its time.
func TestAReaderOfEventsMayBeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		c, s := serve(t, answer{status: http.StatusOK, stream: reader})
		var writing sync.WaitGroup
		defer writing.Wait()
		writing.Go(func() {
			for range 3 {
				_, _ = io.WriteString(writer, "event: ready\ndata: {}\n\n")
				time.Sleep(silence - time.Second)
			}
		})
		seen := 0
		for _, err := range c.JobEvents(t.Context(), "0") {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; seen == 3 {
				break
			}
			time.Sleep(2 * silence)
		}
		if len(s.asked) != 1 {
			t.Errorf("the stream was opened %d times", len(s.asked))
		}
	})
}

// A reader that has enough leaves, and takes its connection with it.
func TestEventsAreLeft(t *testing.T) {
	body := &closing{Reader: strings.NewReader(strings.Repeat("event: ready\ndata: {}\n\n", 9))}
	c, _ := serve(t, answer{status: http.StatusOK, stream: body})
	for _, err := range c.JobEvents(t.Context(), "0") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if !body.closed {
		t.Error("the stream is still open")
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// A log that is followed is told once, line by line, whoever stops in between, and ends with the spider.
func TestALogIsFollowedToItsEnd(t *testing.T) {
	line := func(id, text string) string {
		return fmt.Sprintf("id: %s\nevent: line\ndata: {\"time\": \"2025-01-15T10:30:00Z\", \"line\": %q}\n\n", id, text)
	}
	end := func(reason string) string { return fmt.Sprintf("event: end\ndata: {\"reason\": %q}\n\n", reason) }
	for name, test := range map[string]struct {
		answers []answer
		lines   string
		asked   string // behind which events
		code    ErrorCode
	}{
		"to its end":                 {[]answer{ok(line("1", "a") + ":\n\n" + line("2", "b") + end("finished"))}, "a b", "0", ""},
		"in pieces":                  {[]answer{ok(line("1", "a") + end("stopping")), ok(line("2", "b")[:20]), ok(line("2", "b") + end("finished"))}, "a b", "0 1 1", ""},
		"of a crowd":                 {[]answer{ok(line("1", "a") + end("too_many_streams")), refused(429, "too_many_streams"), ok(end("finished"))}, "a", "0 1 1", ""},
		"with a gap":                 {[]answer{ok("id: 5\nevent: gap\ndata: {}\n\n" + line("6", "b") + end("finished"))}, "(gap) b", "0", ""},
		"of which some is gone":      {[]answer{ok(line("1", "a") + end("log_gone"))}, "a", "0", CodeLogGone},
		"that is gone":               {[]answer{refused(410, "log_gone")}, "", "0", CodeLogGone},
		"with a key that is revoked": {[]answer{ok(line("1", "a") + end("unauthorized")), refused(401, "unauthorized")}, "a", "0 1", CodeUnauthorized},
		"with events to come":        {[]answer{ok("event: novel\ndata: x\n\n" + line("1", "a") + end("finished"))}, "(novel) a", "0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := serve(t, test.answers...)
				var lines, asked []string
				var failure error
				for event, err := range c.FollowLog(t.Context(), "7", GetJobLogsParams{LastEventID: "0", Tail: new(5)}) {
					switch {
					case err != nil:
						failure = err
					case event.Type == EventLine:
						lines = append(lines, event.Line.Line)
					default:
						lines = append(lines, "("+event.Type+")")
					}
				}
				for _, request := range s.asked {
					asked = append(asked, request.Header.Get("Last-Event-ID"))
					if request.URL.RawQuery != "follow=true&tail=5" || request.Header.Get("Accept") != "text/event-stream" {
						t.Errorf("asked %s for %s", request.URL, request.Header.Get("Accept"))
					}
				}
				if got := strings.Join(lines, " "); got != test.lines || strings.Join(asked, " ") != test.asked {
					t.Errorf("lines %q, asked behind %q; want %q, %q", got, asked, test.lines, test.asked)
				}
				if (failure == nil) != (test.code == "") || failure != nil && !HasCode(failure, test.code) {
					t.Errorf("it ends with %v, want the code %q", failure, test.code)
				}
			})
		})
	}
}

// An event that cannot be read is told, and not asked for again and again. Whoever has no more time is told that.
func TestTheEndOfEventsIsTold(t *testing.T) {
	last := func(ctx context.Context, c *Client) (err error) {
		for _, err = range c.JobEvents(ctx, "0") {
		}
		return err
	}
	synctest.Test(t, func(t *testing.T) {
		c, s := serve(t, ok("id: 1\nevent: job\ndata: <html>\n\n"))
		if err := last(t.Context(), c); err == nil || !strings.Contains(err.Error(), "reading the event job") || len(s.asked) != 1 {
			t.Errorf("error %v after %d calls", err, len(s.asked))
		}
		ctx, cancel := context.WithTimeout(t.Context(), askAgain/2)
		defer cancel()
		c, s = serve(t, ok("id: 1\nevent: ready\ndata: {}\n\n"))
		if err := last(ctx, c); !errors.Is(err, context.DeadlineExceeded) || len(s.asked) != 1 {
			t.Errorf("error %v after %d calls", err, len(s.asked))
		}
	})
}

// A log may be silent for as long as it likes, once it has begun.
func TestLogsAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		c, _ := serve(t, answer{status: http.StatusOK, stream: reader})
		log, err := c.GetJobLogs(t.Context(), "7", GetJobLogsParams{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Hour)
			_, _ = io.WriteString(writer, "INFO: Spider closed\n")
			_ = writer.Close()
		}()
		text, err := io.ReadAll(log)
		if err != nil || string(text) != "INFO: Spider closed\n" {
			t.Errorf("log %q, %v", text, err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
}
