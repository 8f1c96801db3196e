package podlog

import (
	"context"
	"time"
)

// sampleInTurn samples the Pods of the rotation, each when its turn has come, until ctx ends. When all the reads that may
// be under way at once are, it waits for one to end; the turns that pass meanwhile are not made up for.
func (c *Collector) sampleInTurn(ctx context.Context) {
	slots := make(chan struct{}, max(1, c.options.Concurrency/2))
	for {
		if !c.awaitTurn(ctx) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		p := c.takeTurn()
		if p == nil {
			<-slots
			continue
		}
		c.work.Go(func() {
			c.sample(p.ctx, p)
			<-slots
		})
	}
}

// awaitTurn waits until somebody's turn has come. It returns false when ctx has ended.
func (c *Collector) awaitTurn(ctx context.Context) bool {
	for {
		c.mu.Lock()
		wait, ok := c.rotation.wait(time.Now())
		c.mu.Unlock()
		if ok && wait <= 0 {
			return ctx.Err() == nil
		}
		var due <-chan time.Time
		if ok {
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-c.nudged:
		case <-ctx.Done():
			return false
		}
	}
}

// takeTurn returns the Pod to sample now, or nil when that has changed meanwhile or its last sample is still being read.
func (c *Collector) takeTurn() *pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.rotation.next(time.Now())
	if p == nil || p.sampling {
		return nil
	}
	p.sampling = true
	return p
}

func (c *Collector) sample(ctx context.Context, p *pod) {
	counts, counted, err := c.tail(ctx, p, Sample)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.sampling = false
	c.learn(p, func(r *Reading) {
		if counted {
			r.observe(counts, false)
		}
		if p.mode == Sample {
			r.Err = err
		}
	})
}

// rotationChanged tells that the turns have changed. The caller holds the mutex.
func (c *Collector) rotationChanged() {
	sampleInterval.Set(c.rotation.period().Seconds())
	budgetWanted.Set(c.rotation.wanted())
	select {
	case c.nudged <- struct{}{}:
	default:
	}
}
