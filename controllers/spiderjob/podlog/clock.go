package podlog

import (
	"context"
	"time"

	"k8s.io/utils/clock"
)

// alarm is something that the Collector does later. Its fields are guarded by the Collector's mutex.
type alarm struct {
	timer clock.Timer
	off   bool
}

// stop cancels an alarm, even one whose time has come but which still waits for the mutex. A nil alarm does nothing.
func (a *alarm) stop() {
	if a != nil {
		a.off = true
		a.timer.Stop()
	}
}

// after does something later, under the mutex, and then begins what that permits. It does nothing once the collector has
// stopped. The caller holds the mutex.
func (c *Collector) after(d time.Duration, do func()) *alarm {
	a := &alarm{}
	a.timer = c.options.Clock.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if a.off || c.life.Err() != nil {
			return
		}
		do()
		c.dispatch()
	})
	return a
}

func (c *Collector) now() time.Time {
	return c.options.Clock.Now()
}

// within returns a context that ends after a time of the Collector's clock, with context.DeadlineExceeded as its cause.
func (c *Collector) within(parent context.Context, limit time.Duration) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	timer := c.options.Clock.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	return ctx, func(cause error) {
		timer.Stop()
		cancel(cause)
	}
}

// pause waits. If ctx has ended, it returns why, however close to the end of the pause that was.
func (c *Collector) pause(ctx context.Context, d time.Duration) error {
	timer := c.options.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}
