package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// The names of events.
const (
	eventJob     = "job"
	eventDeleted = "deleted"
	eventReset   = "reset"
	eventReady   = "ready"
	eventEnd     = "end"
)

func (h *handlers) StreamJobEvents(
	ctx context.Context, request contract.StreamJobEventsRequestObject,
) (contract.StreamJobEventsResponseObject, error) {
	s, closeStream, err := h.streamOf(ctx)
	if err != nil {
		return nil, err
	}
	answer := &eventAnswer{
		requestID: exchange.Of(ctx).RequestID, stream: s, close: closeStream, jobs: h.jobs, caller: callerOf(ctx), stopping: h.guard.Stopping(),
	}
	if id := request.Params.LastEventID; id != nil {
		answer.after = *id
	}
	return answer, nil
}

// eventAnswer is the answer to a request for events: server-sent events, as the HTML standard defines them.
type eventAnswer struct {
	requestID string
	stream    *guard.Stream
	close     func()
	jobs      *jobs.Jobs
	caller    auth.Identity
	stopping  context.Context
	// after is the id of the last event that the caller has seen; empty when it asks for the first time.
	after string
}

// VisitStreamJobEventsResponse implements contract.StreamJobEventsResponseObject.
func (a *eventAnswer) VisitStreamJobEventsResponse(http.ResponseWriter) error {
	defer a.close()
	a.stream.Begin(a.requestID, "text/event-stream", true)
	err := a.jobs.Listen(a.stream.Context(), a.caller, a.after, eventWriter{a.stream})
	switch {
	case a.stopping.Err() != nil:
		a.stream.Last(frame("", eventEnd, ending{"stopping"}))
	case a.stream.Context().Err() != nil: // The caller has gone.
	case errors.Is(err, guard.ErrCallerRefused):
		a.stream.Last(frame("", eventEnd, ending{"unauthorized"}))
	case errors.Is(err, jobs.ErrTooSlow):
		a.stream.Last(frame("", eventEnd, ending{"too_slow"}))
	default:
		return err
	}
	return nil
}

// eventWriter writes what is told of jobs as events.
type eventWriter struct {
	*guard.Stream
}

var _ jobs.Listener = eventWriter{}

// Ready implements jobs.Listener.
func (w eventWriter) Ready(position string) error {
	return w.write(frame(position, eventReady, struct{}{}))
}

// resetID is the id of a reset: one that is never known, so that a caller which is cut off before it knows the whole snapshot begins
// anew.
const resetID = "reset"

// Reset implements jobs.Listener.
func (w eventWriter) Reset(reason string) error {
	return w.write(frame(resetID, eventReset, ending{reason}))
}

// Show implements jobs.Listener. The event has no id: the last one is that of the reset.
func (w eventWriter) Show(job *view.Job) error { return w.write(jobFrame("", job)) }

// Change implements jobs.Listener.
func (w eventWriter) Change(entry *view.Entry) error { return w.write(entry.Frame(frameOf)) }

// Alive implements jobs.Listener. An id without data is no event: it only moves the caller's last event id.
func (w eventWriter) Alive(position string) error {
	if position == "" {
		return w.write([]byte(":\n\n"))
	}
	return w.write([]byte(":\nid: " + position + "\n\n"))
}

func (w eventWriter) write(p []byte) error {
	_, err := w.Write(p)
	return err
}

// ending is the data of an event that tells why the stream begins anew or ends.
type ending struct {
	Reason string `json:"reason"`
}

// gone is the data of an event that tells of a deleted job.
type gone struct {
	ID string `json:"id"`
}

// frameOf returns a change as an event.
func frameOf(change *view.Change) []byte {
	if change.Deleted {
		return frame(change.Position, eventDeleted, gone{change.Job.ID.String()})
	}
	return jobFrame(change.Position, change.Job)
}

// jobFrame returns an event that shows a job.
func jobFrame(id string, job *view.Job) []byte {
	return append(appendJob(eventHead(id, eventJob), job), "\n\n"...)
}

// frame returns an event as it is sent.
func frame(id, event string, data any) []byte {
	text, err := json.Marshal(data) // on one line, as the format wants it
	if err != nil {
		panic(err) // of texts, which cannot fail to be encoded
	}
	return append(append(eventHead(id, event), text...), "\n\n"...)
}

// eventHead begins an event, up to its data. An event without an id leaves the caller's last event id as it is.
func eventHead(id, event string) []byte {
	var head []byte
	if id != "" {
		head = append(append(append(head, "id: "...), id...), '\n')
	}
	return append(append(append(head, "event: "...), event...), "\ndata: "...)
}
