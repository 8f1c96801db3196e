package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The types of events. There may be others: ignore unknown ones. Logs have EventLine, EventGap and EventEnd, jobs all but the
// first two.
const (
	// EventLine carries a line of a log, or a part of one.
	EventLine = "line"
	// EventGap says that lines of a log may be missing here.
	EventGap = "gap"

	// EventReady says that all further events are new.
	EventReady = "ready"
	// EventJob carries a job that was started or has changed. The same job may come twice.
	EventJob = "job"
	// EventDeleted carries the id of a job that no longer exists.
	EventDeleted = "deleted"
	// EventReset says that changes were missed: forget what you know. Each job follows, then EventReady.
	EventReset = "reset"
	// EventEnd is the last event of a stream that the server ends.
	EventEnd = "end"
)

// Event is a change of a job, a line of a log, or about the stream itself.
type Event struct {
	// ID is the position after the event, to resume from. Some events have none.
	ID string
	// Type is one of the constants above, or a newer one.
	Type string
	// Job is the job of an EventJob.
	Job *Job
	// JobID is the job that an EventJob or an EventDeleted is about.
	JobID string
	// Line is the line of an EventLine.
	Line *LogLine
	// Reason is the reason of an EventReset or an EventEnd.
	Reason string
	// Data is the event's raw data.
	Data json.RawMessage
}

// JobEvents iterates over the changes of the caller's jobs, from those after the event with this id: from now on if it is
// empty, and from the current state of all jobs if it is "0". A stream that ends or is cut off is resumed, with the same server
// or another, until the context ends. An error is the last thing that it yields: the server refuses the caller, or cannot be
// reached for longer than the attempts last.
func (c *Client) JobEvents(ctx context.Context, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		err := takeAll(ctx, after, func(after string) (*EventStream, error) {
			return c.StreamJobEvents(ctx, StreamJobEventsParams{LastEventID: after})
		}, func(event Event) bool {
			return event.Type == EventEnd || yield(event, nil)
		})
		if err != nil {
			yield(Event{}, err)
		}
	}
}

// takeAll passes events to take until that wants no more. A stream that ends or is cut off is reopened after its last event.
func takeAll(
	ctx context.Context, after string, open func(after string) (*EventStream, error), take func(Event) bool,
) error {
	for {
		stream, err := open(after)
		if err != nil {
			return err
		}
		going, err := stream.take(take)
		after = stream.LastID()
		if !going || err != nil {
			return err
		}
		if err := pause(ctx, askAgain); err != nil {
			return err
		}
	}
}

// StreamJobEvents opens one stream of events, which ends when the server ends it. JobEvents resumes after that. The caller has
// to close it.
func (c *Client) StreamJobEvents(ctx context.Context, params StreamJobEventsParams) (*EventStream, error) {
	_, header := split(params)
	return c.events(
		ctx, call{method: http.MethodGet, path: jobsPath + "/events", header: header, harmless: true}, params.LastEventID,
	)
}

// events opens a stream of events after the one with this id.
func (c *Client) events(ctx context.Context, request call, after string) (*EventStream, error) {
	request.header.Set("Accept", "text/event-stream")
	body, err := c.stream(ctx, request, silence)
	if err != nil {
		return nil, err
	}
	return &EventStream{body: body, lines: bufio.NewReader(body), lastID: after}, nil
}

// silence is how long a stream of events may be silent before it is given up: the server sends a comment every 15 seconds.
const silence = 45 * time.Second

// EventStream reads server-sent events, as the HTML standard defines them.
type EventStream struct {
	body   io.ReadCloser
	lines  *bufio.Reader
	lastID string
}

// take passes events on until take wants no more; going says that it does, and that the stream has ended. An event that cannot
// be parsed is an error: the next attempt could not parse it either.
func (s *EventStream) take(take func(Event) bool) (going bool, err error) {
	defer func() { _ = s.Close() }()
	for {
		event, err := s.Next()
		if _, unreadable := errors.AsType[*unreadableError](err); unreadable {
			return false, err
		}
		if err != nil {
			return true, nil // It is reopened; if that fails, the error says why.
		}
		if !take(event) {
			return false, nil
		}
		if event.Type == EventEnd {
			return true, nil
		}
	}
}

// maxLine bounds one line of a stream. The longest is a job with 32 KiB of arguments, each character escaped.
const maxLine = 1 << 20

// Next returns the next event. Its error is io.EOF at an end made by the server.
func (s *EventStream) Next() (Event, error) {
	var event Event
	var data []byte
	for {
		line, err := s.line()
		if err != nil {
			return Event{}, err // An incomplete event is not an event.
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		if len(line) == 0 {
			s.lastID = cmp.Or(event.ID, s.lastID) // Not before: an event that is cut off has to be repeated.
		}
		switch {
		case len(line) == 0 && data == nil:
			event = Event{} // No event, but perhaps an id.
		case len(line) == 0:
			event.Data = data[:len(data)-1]
			err := event.read()
			return event, err
		case string(name) == "id" && !bytes.ContainsRune(value, 0):
			event.ID = string(value)
		case string(name) == "event":
			event.Type = string(value)
		case string(name) == "data":
			data = append(append(data, value...), '\n')
		}
	}
}

// line reads a line, without its end.
func (s *EventStream) line() ([]byte, error) {
	var line []byte
	for {
		part, err := s.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, &unreadableError{fmt.Errorf("a line of the events is longer than %d bytes", maxLine)}
		}
	}
}

// read parses the content of the event. An event of another type may have any content.
func (e *Event) read() error {
	var err error
	switch e.Type {
	case EventJob:
		e.Job = &Job{}
		err = json.Unmarshal(e.Data, e.Job)
		e.JobID = e.Job.ID
	case EventDeleted:
		var deleted DeletedJob
		err = json.Unmarshal(e.Data, &deleted)
		e.JobID = deleted.ID
	case EventLine:
		e.Line = &LogLine{}
		err = json.Unmarshal(e.Data, e.Line)
	case EventReset, EventEnd:
		var ended StreamEnd
		err = json.Unmarshal(e.Data, &ended)
		e.Reason = ended.Reason
	}
	if err != nil {
		return &unreadableError{fmt.Errorf("reading the event %s %.200q: %w", e.Type, e.Data, err)}
	}
	return nil
}

// LastID is the position to resume from: the last id that the stream has sent, also without an event.
func (s *EventStream) LastID() string { return s.lastID }

// Close ends the stream.
func (s *EventStream) Close() error { return s.body.Close() }

// stream makes a call whose answer is read as it comes. It is cut off if it is silent for the given time; 0 for never.
func (c *Client) stream(ctx context.Context, request call, silence time.Duration) (io.ReadCloser, error) {
	var body io.ReadCloser
	err := c.again(ctx, request, func() error {
		ctx, cancel := context.WithCancelCause(ctx)
		late := time.AfterFunc(c.timeout, func() { cancel(errSilent) })
		response, err := c.send(ctx, request) //nolint:bodyclose // The reader of the stream closes it.
		late.Stop()
		if err != nil {
			if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
				err = fmt.Errorf("%s: %w", request, cause)
			}
			cancel(nil)
			return err
		}
		body = &openStream{ctx: ctx, body: response.Body, cancel: cancel, silence: silence}
		return nil
	})
	return body, err
}

// errSilent means that nothing came for too long.
var errSilent = errors.New("the server is silent")

// openStream is a body that must not be silent.
type openStream struct {
	ctx     context.Context //nolint:containedctx // It is that of the request, which its reader reads.
	body    io.ReadCloser
	cancel  context.CancelCauseFunc
	silence time.Duration
}

// Read implements io.Reader. Only the server's silence counts, not the time that the reader takes between two reads.
func (s *openStream) Read(p []byte) (int, error) {
	if s.silence > 0 {
		late := time.AfterFunc(s.silence, func() { s.cancel(errSilent) })
		defer late.Stop()
	}
	n, err := s.body.Read(p)
	if err != nil && errors.Is(context.Cause(s.ctx), errSilent) {
		err = errSilent
	}
	return n, err
}

// Close implements io.Closer.
func (s *openStream) Close() error {
	s.cancel(nil)
	return s.body.Close()
}

// nextCursor returns the cursor in the Link to the next page; empty if there is none.
func nextCursor(header http.Header) string {
	for _, link := range header.Values("Link") {
		address, rest, _ := strings.Cut(link, ">")
		if !strings.Contains(rest, `rel="next"`) {
			continue
		}
		if parsed, err := url.Parse(strings.TrimPrefix(strings.TrimSpace(address), "<")); err == nil {
			return parsed.Query().Get("cursor")
		}
	}
	return ""
}
