package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

const (
	// heartbeatInterval is how often something is sent on a silent stream, so that either side notices when the other has gone.
	heartbeatInterval = 15 * time.Second
	// snapshotPage is how many jobs of a snapshot are read at once.
	snapshotPage = 200
)

// Listener receives the changes of its caller's jobs. If a method returns an error, the listening ends.
type Listener interface {
	// Ready says that everything up to the position was sent.
	Ready(position string) error
	// Reset says to forget everything, and why. Every job in its current state follows, then Ready. Until then neither the old
	// position nor any other can be resumed from.
	Reset(reason string) error
	// Show sends the current state of a job.
	Show(job *view.Job) error
	// Change sends a change, which many listeners may receive.
	Change(entry *view.Entry) error
	// Alive says that there is nothing to send, and up to which position; empty if the position is unchanged.
	Alive(position string) error
	// Flush is called when there is nothing more to send at the moment.
	Flush() error
}

// ErrTooSlow means that a listener does not keep up with the changes of its jobs.
var ErrTooSlow = errors.New("the reader of events is too slow")

// Listen sends the changes of the caller's jobs until the context ends or the listener returns an error: those after the
// position, or, if that is empty, those to come.
func (s *Jobs) Listen(ctx context.Context, caller auth.Identity, after string, to Listener) error {
	subscription, known := s.view.Subscribe(ctx, caller.Namespace, caller.UserID, after)
	defer subscription.Stop()
	fresh := false // whether nothing was sent since a snapshot
	var err error
	switch {
	case after == "":
		err = to.Ready(subscription.Renew())
	case !known:
		fresh = true
		err = s.snapshot(caller, subscription, to, "unknown_event_id")
	}
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	for err == nil {
		entry, ok := subscription.Next()
		switch {
		case !ok && fresh:
			return ErrTooSlow
		case !ok:
			fresh = true
			err = s.snapshot(caller, subscription, to, "missed_events")
		case entry != nil:
			fresh = false
			err = to.Change(entry)
		default:
			fresh = false
			err = await(ctx, subscription, to, heartbeat.C)
		}
	}
	return err
}

// await waits until there is something to send. In the meantime it shows the caller that it is still there.
func await(ctx context.Context, subscription *view.Subscription, to Listener, heartbeat <-chan time.Time) error {
	if err := to.Flush(); err != nil {
		return err
	}
	select {
	case <-subscription.Changed():
		return nil
	case <-heartbeat:
		return to.Alive(subscription.Position())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// snapshot makes the caller forget what it knows, and then sends the current state of every job. Changes in the meantime are
// sent afterwards.
func (s *Jobs) snapshot(caller auth.Identity, subscription *view.Subscription, to Listener, reason string) error {
	position := subscription.Renew()
	if err := to.Reset(reason); err != nil {
		return err
	}
	query := view.Query{Limit: snapshotPage, Shown: true}
	for {
		jobs, next := s.List(caller, query)
		for _, job := range jobs {
			if err := to.Show(job); err != nil {
				return err
			}
		}
		if next == nil {
			return to.Ready(position)
		}
		query.After = next
	}
}
