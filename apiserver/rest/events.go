package rest

import (
	"context"
	"encoding/json"
	"errors"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/podlog"
)

// The names of events.
const (
	eventJob     = "job"
	eventDeleted = "deleted"
	eventReset   = "reset"
	eventReady   = "ready"
	eventEnd     = "end"
)

// streamJobEvents answers with server-sent events, as the HTML standard defines them.
func (h *handlers) streamJobEvents(r *request) error {
	after, err := r.header("Last-Event-ID")
	if err != nil {
		return err
	}
	stream, closeStream, err := h.guard.NewStream(r.c)
	if err != nil {
		return err
	}
	defer closeStream()
	stream.Begin(r.exchange().RequestID, contentTypeEvents, true)
	return tell(stream, func(to jobs.Listener) error {
		return h.jobs.Listen(stream.Context(), r.caller(), ptr.Deref(after, ""), to)
	})
}

// tell lets a caller listen to the changes of jobs until the caller, the stream or the server ends it, and says in the last
// event why.
func tell(stream *guard.Stream, listen func(jobs.Listener) error) error {
	defer stream.KeepAlive(nil)()
	return tellEnd(stream, listen(eventWriter{stream}))
}

// endReasons are the reasons in the last event of a stream, by the error that ended it.
var endReasons = []struct {
	err    error
	reason string
}{
	{guard.ErrStopping, "stopping"},
	{guard.ErrCrowdedOut, "too_many_streams"},
	{guard.ErrCallerRefused, "unauthorized"},
	{jobs.ErrTooSlow, "too_slow"},
	{podlog.ErrCutOff, "log_gone"},
}

// tellEnd says in the last event why a stream ends. It returns the error if that is not one to send.
func tellEnd(stream *guard.Stream, err error) error {
	if hasLeft(stream) {
		return nil
	}
	for _, end := range endReasons {
		if errors.Is(err, end.err) || errors.Is(context.Cause(stream.Context()), end.err) {
			stream.Last(frame("", eventEnd, contract.StreamEnd{Reason: end.reason}))
			return nil
		}
	}
	return err
}

// hasLeft reports whether it is the caller who has ended a stream.
func hasLeft(stream *guard.Stream) bool {
	cause := context.Cause(stream.Context())
	return cause != nil &&
		!errors.Is(cause, guard.ErrStopping) && !errors.Is(cause, guard.ErrCrowdedOut) && !errors.Is(cause, guard.ErrCallerRefused)
}

// eventWriter writes changes of jobs as events.
type eventWriter struct {
	*guard.Stream
}

var _ jobs.Listener = eventWriter{}

// Ready implements jobs.Listener.
func (w eventWriter) Ready(position string) error {
	return w.write(frame(position, eventReady, struct{}{}))
}

// resetID is the id of a reset: one that is never known, so that a caller that is cut off before it has the whole snapshot
// starts again.
const resetID = "reset"

// Reset implements jobs.Listener.
func (w eventWriter) Reset(reason string) error {
	return w.write(frame(resetID, eventReset, contract.StreamEnd{Reason: reason}))
}

// Show implements jobs.Listener. The event has no id: the last one is that of the reset.
func (w eventWriter) Show(job *view.Job) error { return w.write(jobFrame("", job)) }

// Change implements jobs.Listener.
func (w eventWriter) Change(entry *view.Entry) error { return w.write(entry.Frame(frameOf)) }

// Alive implements jobs.Listener. An id without data is not an event: it only moves the caller's last event id.
func (w eventWriter) Alive(position string) error {
	if position == "" {
		return w.write(comment)
	}
	return w.write([]byte(":\nid: " + position + "\n\n"))
}

func (w eventWriter) write(p []byte) error {
	_, err := w.Write(p)
	return err
}

// frameOf returns a change as an event.
func frameOf(change *view.Change) []byte {
	if change.Deleted {
		return frame(change.Position, eventDeleted, contract.DeletedJob{ID: change.Job.ID.String()})
	}
	return jobFrame(change.Position, change.Job)
}

// jobFrame returns an event that shows a job.
func jobFrame(id string, job *view.Job) []byte {
	return append(appendJob(eventHead(id, eventJob), job), "\n\n"...)
}

// frame returns an event as it is sent.
func frame(id, event string, data any) []byte {
	text, err := json.Marshal(data) // on one line, as the format requires
	if err != nil {
		panic(err) // encoding texts cannot fail
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
