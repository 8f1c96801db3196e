package podlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/scrapethis/spider-operator/controllers/stats"
)

const (
	// floodRate is how many bytes per second one stream may bring in the long run, beyond Options.MaxBytes at once. One that
	// brings more is left, and joined again at its end after floodPause: what matters is what the log ends with.
	floodRate  = 2 << 20
	floodPause = time.Second

	// brief is how long a stream of a running container lasts at the least, unless something broke it.
	brief = time.Second
)

// follow keeps a stream on the log until the log has come to its end, is gone, or need not be followed any more.
func (c *Collector) follow(ctx context.Context, p *pod) {
	err := c.followToEnd(ctx, p)

	c.mu.Lock()
	defer c.mu.Unlock()
	p.stopShort = nil
	switch {
	case p.ctx.Err() != nil:
	case err == nil || isGone(err):
		c.conclude(p, err, func(*Reading) {})
	case p.mode == Final:
		c.finals.add(p)
	default:
		c.learn(p, func(r *Reading) { r.Done, r.Err = true, err })
	}
}

// followToEnd returns nil when the log has come to its end. A stream may also end because an API server or kubelet goes
// away, and look no different: so without final counts the end is believed only when the stream, joined again, ends again
// at once, which that of a running container does not. An empty one proves nothing at all: the API server answers with it
// for a Pod that has not been scheduled yet.
func (c *Collector) followToEnd(ctx context.Context, p *pod) error {
	in := intakes.Get().(*intake)
	defer intakes.Put(in)
	budget := rate.NewLimiter(floodRate, c.options.MaxBytes)
	ends, failures := 0, 0
	for {
		begun := time.Now()
		final, err := c.stream(ctx, p, in, budget)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lasted := time.Since(begun)
		if lasted > brief {
			failures = 0
		}
		pause := backoff(failures)
		failures++
		switch {
		case err == nil:
			if in.brought() {
				ends++
			}
			if final || ends > 1 && lasted < brief {
				return nil
			}
		case isGone(err):
			return err
		case errors.Is(err, errTooMuch):
			c.askForFewer(p)
			pause = floodPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stream follows the log once. It returns nil when the stream came to an end by itself, and whether it ended with counts
// that are final.
func (c *Collector) stream(ctx context.Context, p *pod, in *intake, budget *rate.Limiter) (final bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in.ring.Reset()
	body, err := c.open(ctx, p.target, c.linesOf(p), true)
	if err == nil {
		defer body.Close()
		c.mu.Lock()
		c.learn(p, func(r *Reading) { r.Opened, r.Err = true, nil })
		c.mu.Unlock()

		observed := time.Now()
		err = in.take(ctx, body, func(n int) error {
			if time.Since(observed) >= c.options.Interval {
				observed = time.Now()
				c.observeStream(p, in, false)
			}
			if !budget.AllowN(time.Now(), n) {
				return errTooMuch
			}
			return nil
		})
	}
	counts, counted := c.observeStream(p, in, err == nil)
	countRead(Follow, counted, err)
	if err != nil {
		err = fmt.Errorf("following the log of container %s of Pod %s/%s: %w",
			p.target.Container, p.target.Namespace, p.target.Name, err)
		c.options.Log.V(1).Info("Log not followed to its end", "error", err.Error())
		c.mu.Lock()
		c.learn(p, func(r *Reading) { r.Err = err })
		c.mu.Unlock()
	}
	return counted && counts.Final, err
}

// observeStream reads the counts out of what a stream has brought so far.
func (c *Collector) observeStream(p *pod, in *intake, conclusive bool) (stats.Counts, bool) {
	counts, counted := stats.ParseLog(in.ring.Bytes())
	if !counted {
		return counts, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.last, p.lastKnown = counts, true
	c.learn(p, func(r *Reading) { r.observe(counts, conclusive) })
	return counts, true
}
