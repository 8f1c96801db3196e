package podlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// patience is how long to try to open a followed log while kube-apiserver or the node does not answer or answers with errors.
	patience = time.Minute
	// shortestPause and longestPause bound the pause before a log is reopened.
	shortestPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	// restPatience is how long a node may take to start sending the rest of a log whose process has ended.
	restPatience = 10 * time.Second
)

// ErrCutOff means that a log is gone before it was read to its end.
var ErrCutOff = errors.New("the log is gone, and it is unknown whether it was read to its end")

// Reader reads the log of a container that has started, line by line.
type Reader struct {
	// Open opens the log.
	Open Opener
	// Options say where to begin, unless Position does.
	Options corev1.PodLogOptions
	// Position is where to begin, and advances from there.
	Position Position

	begun *Log
}

// Begin opens the current log, within patience, and returns an error if there is none. Read continues from there.
func (r *Reader) Begin(ctx context.Context, patience time.Duration) error {
	log, err := r.open(ctx, false, patience)
	if err != nil {
		return err
	}
	if err := log.Begin(); err != nil {
		return errors.Join(err, log.Close())
	}
	r.begun = log
	return nil
}

// Read passes on the log after the position as it was when Begin opened it. The error is the Sink's own, if it has one, or says
// why the context has ended.
func (r *Reader) Read(sink Sink) error {
	log := r.begun
	r.begun = nil
	err := errors.Join(r.Position.copy(sink, log), log.Close())
	if own, ok := errors.AsType[errSink](err); ok {
		return own.error
	}
	return err
}

// Follow passes on the log after the position until the process has ended, and returns nil only if that was all of it. ended
// reports whether the container's process has ended, or its Pod is gone. The error is the Sink's own, if it has one, or says
// why ctx has ended.
//
// The stream from the node may end before the process: because the log was rotated, or because kube-apiserver or the kubelet
// was restarted. Only the Pod shows whether an end is the true one. So the log is then reopened, after the last line that was
// passed on; lines have times for that.
func (r *Reader) Follow(ctx context.Context, sink Sink, ended func(context.Context) (bool, error)) error {
	distance, failing := shortestPause, time.Time{}
	for {
		before := r.Position
		err := r.stream(ctx, sink, true, 0)
		if own, ok := errors.AsType[errSink](err); ok {
			return own.error
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.Position != before {
			distance, failing = shortestPause, time.Time{}
		}
		if IsGone(err) {
			return ErrCutOff
		}
		whole := err == nil
		over, asking := ended(ctx)
		if over {
			return r.rest(ctx, sink, whole)
		}
		if err = errors.Join(err, asking); err != nil && failing.IsZero() {
			failing = time.Now()
		}
		if err != nil && time.Since(failing) > patience {
			return fmt.Errorf("following a log: %w", err)
		}
		if !pause(ctx, distance) {
			return context.Cause(ctx)
		}
		distance = min(2*distance, longestPause)
	}
}

// stream passes on what follows the position, until the answer ends.
func (r *Reader) stream(ctx context.Context, sink Sink, follow bool, patience time.Duration) error {
	log, err := r.open(ctx, follow, patience)
	if err != nil {
		return err
	}
	return errors.Join(r.Position.copy(sink, log), log.Close())
}

func (r *Reader) open(ctx context.Context, follow bool, patience time.Duration) (*Log, error) {
	options := r.Position.behind(r.Options)
	options.Follow = follow
	return Open(ctx, r.Open, options, patience)
}

// rest passes on what a stream that broke before the end has left out. If the log is gone, only a stream that ended by itself
// shows that nothing is missing.
func (r *Reader) rest(ctx context.Context, sink Sink, whole bool) error {
	err := r.stream(ctx, sink, false, restPatience)
	own, ok := errors.AsType[errSink](err)
	switch {
	case err == nil:
		return nil
	case ok:
		return own.error
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case (IsGone(err) || IsWaiting(err) || IsRefused(err)) && whole:
		return nil
	case IsGone(err), IsWaiting(err), IsRefused(err):
		return ErrCutOff
	}
	return fmt.Errorf("reading the end of a log: %w", err)
}

// pause waits, and reports whether there is time left then.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
