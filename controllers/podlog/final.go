package podlog

import (
	"context"
	"time"
)

const (
	// finalPatience is how long a final read is tried again, after the kubelet or the API server did not answer.
	finalPatience = 8 * time.Second

	// streamPatience is how long an open stream may take to come to its end after the container has terminated.
	streamPatience = 2 * time.Second
)

// wantFinal begins the end of reading a log. The caller holds the mutex.
func (c *Collector) wantFinal(p *pod) {
	switch {
	case p.stopShort != nil:
		time.AfterFunc(streamPatience, p.stopShort)
	case p.ended:
	default:
		p.reading.Done = false
		c.finals.add(p)
	}
}

// readFinal reads the log's end, and has that tried again later where it failed for a reason that may pass.
func (c *Collector) readFinal(ctx context.Context, p *pod) {
	counts, counted, err := c.tail(ctx, p, Final)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil && !isGone(err) && time.Since(p.reading.Since) < finalPatience {
		c.learn(p, func(r *Reading) {
			if counted {
				r.observe(counts, false)
			}
			r.Err = err
		})
		time.AfterFunc(backoff(p.attempts), func() { c.finalAgain(p) }) //nolint:contextcheck // It runs under the Pod's own.
		p.attempts++
		return
	}
	c.conclude(p, err, func(r *Reading) {
		if counted {
			r.observe(counts, err == nil)
		}
	})
}

func (c *Collector) finalAgain(p *pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finals.add(p)
	c.dispatch()
}

// conclude ends the work on a log with what was read in the end, all in one, so that its SpiderJob is woken once. If it ended in an
// error, what a stream had said last is all that will ever be known. The caller holds the mutex.
func (c *Collector) conclude(p *pod, err error, learned func(*Reading)) {
	p.ended = true
	c.learn(p, func(r *Reading) {
		learned(r)
		if err != nil && p.lastKnown {
			r.observe(p.last, true)
		}
		r.Done, r.Err = true, err
	})
}
