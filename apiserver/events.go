package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

const (
	// heartbeatInterval is how often something is sent where there is nothing to tell, so that either side notices when the
	// other has gone.
	heartbeatInterval = 15 * time.Second
	// snapshotPage is how many jobs of a snapshot are looked up at once.
	snapshotPage = 200
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
	jobs      *view.Jobs
	caller    auth.Identity
	stopping  context.Context
	// after is the id of the last event that the caller has seen; empty when it asks for the first time.
	after string
}

// VisitStreamJobEventsResponse implements contract.StreamJobEventsResponseObject.
func (a *eventAnswer) VisitStreamJobEventsResponse(http.ResponseWriter) error {
	defer a.close()
	a.stream.Begin(a.requestID, "text/event-stream", true)
	err := a.serve()
	switch {
	case a.stopping.Err() != nil:
		a.stream.Last(frame("", eventEnd, ending{"stopping"}))
	case a.stream.Context().Err() != nil: // The caller has gone.
	case errors.Is(err, guard.ErrCallerRefused):
		a.stream.Last(frame("", eventEnd, ending{"unauthorized"}))
	case errors.Is(err, errTooSlow):
		a.stream.Last(frame("", eventEnd, ending{"too_slow"}))
	default:
		return err
	}
	return nil
}

// errTooSlow says that a caller does not read as fast as its jobs change.
var errTooSlow = errors.New("the reader of events is too slow")

// serve tells the caller of its jobs' changes until one of the two ends it.
func (a *eventAnswer) serve() error {
	subscription, known := a.jobs.Subscribe(a.caller.Namespace, a.caller.User, a.after)
	defer subscription.Stop()
	fresh := false // whether nothing was told since a snapshot
	var err error
	switch {
	case a.after == "":
		err = a.write(frame(subscription.Renew(), eventReady, struct{}{}))
	case !known:
		fresh = true
		err = a.snapshot(subscription, "unknown_event_id")
	}
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	for err == nil {
		entry, ok := subscription.Next()
		switch {
		case !ok && fresh:
			return errTooSlow
		case !ok:
			fresh = true
			err = a.snapshot(subscription, "missed_events")
		case entry != nil:
			fresh = false
			err = a.write(entry.Frame(frameOf))
		default:
			fresh = false
			err = a.await(subscription, heartbeat.C)
		}
	}
	return err
}

// await waits until there is something to tell. In the meantime it shows the caller that it is still there.
func (a *eventAnswer) await(subscription *view.Subscription, heartbeat <-chan time.Time) error {
	if err := a.stream.Flush(); err != nil {
		return err
	}
	select {
	case <-subscription.Changed():
		return nil
	case <-heartbeat:
		return a.write([]byte(":\n\n"))
	case <-a.stream.Context().Done():
		return a.stream.Context().Err()
	}
}

// snapshot tells the caller to forget what it knows, and then every job as it is. What changes in the meantime is told after.
func (a *eventAnswer) snapshot(subscription *view.Subscription, reason string) error {
	position := subscription.Renew()
	if err := a.write(frame("", eventReset, ending{reason})); err != nil {
		return err
	}
	query := view.Query{Namespace: a.caller.Namespace, User: a.caller.User, Limit: snapshotPage}
	for more := true; more; {
		var jobs []*view.Job
		jobs, more = a.jobs.List(query)
		for _, job := range jobs {
			// Without an id: whoever has only a part of the snapshot cannot go on behind it.
			if err := a.write(jobFrame("", job)); err != nil {
				return err
			}
		}
		if more {
			last := view.PositionOf(jobs[len(jobs)-1])
			query.After = &last
		}
	}
	return a.write(frame(position, eventReady, struct{}{}))
}

func (a *eventAnswer) write(p []byte) error {
	_, err := a.stream.Write(p)
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
		return frame(change.ResourceVersion, eventDeleted, gone{change.Job.ID.String()})
	}
	return jobFrame(change.ResourceVersion, change.Job)
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
