package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

const (
	// heartbeatInterval is how often something is sent where there is nothing to tell, so that either side notices when the
	// other has gone.
	heartbeatInterval = 15 * time.Second
	// snapshotPage is how many jobs of a snapshot are looked up at once.
	snapshotPage = 200
)

// Listener is told of its caller's jobs. An error of its ends that.
type Listener interface {
	// Ready tells that everything was told up to the position.
	Ready(position string) error
	// Reset tells to forget what was told, and why. Every job as it is follows, and Ready. Up to that no position can be gone on behind,
	// nor that before.
	Reset(reason string) error
	// Show tells of a job as it is.
	Show(job *view.Job) error
	// Change tells of a change, which many listeners may be told of.
	Change(entry *view.Entry) error
	// Alive tells that there is nothing to tell, and up to which position; that is empty where it is as before.
	Alive(position string) error
	// Flush is called when there is nothing more to tell at the moment.
	Flush() error
}

// ErrTooSlow says that a listener does not keep up with the changes of its jobs.
var ErrTooSlow = errors.New("the reader of events is too slow")

// Listen tells of the changes of the caller's jobs until the context ends or the listener does: of those behind the position, or of
// those to come where that is empty.
func (s *Jobs) Listen(ctx context.Context, caller auth.Identity, after string, to Listener) error {
	subscription, known := s.view.Subscribe(ctx, caller.Namespace, caller.UserID, after)
	defer subscription.Stop()
	fresh := false // whether nothing was told since a snapshot
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

// await waits until there is something to tell. In the meantime it shows the caller that it is still there.
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

// snapshot tells the caller to forget what it knows, and then every job as it is. What changes in the meantime is told after.
func (s *Jobs) snapshot(caller auth.Identity, subscription *view.Subscription, to Listener, reason string) error {
	position := subscription.Renew()
	if err := to.Reset(reason); err != nil {
		return err
	}
	query := view.Query{Limit: snapshotPage, Shown: true}
	for more := true; more; {
		var jobs []*view.Job
		jobs, more = s.List(caller, query)
		for _, job := range jobs {
			if err := to.Show(job); err != nil {
				return err
			}
		}
		if more {
			last := view.PositionOf(jobs[len(jobs)-1])
			query.After = &last
		}
	}
	return to.Ready(position)
}
