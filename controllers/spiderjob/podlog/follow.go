package podlog

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
	logs "github.com/scrapethis/spider-operator/internal/podlog"
)

const (
	// floodRate is how many bytes per second one stream may bring in the long run, beyond Options.MaxBytes at once. A stream that
	// brings more is closed, and reopened at the log's end after floodPause: only the end of the log matters.
	floodRate  = 2 << 20
	floodPause = time.Second

	// brief is the least time that a stream of a running container lasts, unless something broke it.
	brief = time.Second
)

// errYielded means that an unanswered stream was closed for one that waited.
var errYielded = fmt.Errorf("nothing came while others waited for their turn: %w", context.Canceled)

// errShared means that a stream was closed for one of a node that has fewer.
var errShared = fmt.Errorf("its node has more than its share, and others waited: %w", context.Canceled)

// flow is an open follow stream. Its fields are guarded by the Collector's mutex.
type flow struct {
	pod      *pod
	node     *node
	cancel   context.CancelCauseFunc
	begun    time.Time
	yields   bool          // it has to make way
	alarm    *alarm        // goes off if it is not answered for long
	silent   *list.Element // among the streams that were not answered for long
	ripens   *alarm        // goes off when it has had its slot for slotTime
	seasoned *list.Element // among the streams that have
}

// queueStream follows a log when its turn comes. The caller holds the mutex.
func (c *Collector) queueStream(p *pod) {
	n := p.node
	p.reading.Began = time.Time{}
	c.streams.add(&n.streams, p)
	c.settle(n)
	if n.unserved {
		c.learn(p, func(r *Reading) { r.Err = p.unserved() })
	}
}

// beginStream follows a log until it has reached its end, is gone, or need not be followed any more. The caller holds the
// mutex.
func (c *Collector) beginStream(p *pod, q *queue, risky bool) {
	ctx, cancel := c.within(p.ctx, c.options.FollowTimeout-p.followed)
	f := &flow{pod: p, node: q.node, cancel: cancel, begun: c.now()}
	p.flow = f
	p.reading.Began = f.begun
	c.awaitAnswer(f)
	f.ripens = c.after(c.slotTime(), func() { f.seasoned = c.seasoned.PushBack(f) })
	c.settle(f.node)
	streamsOpen.Inc()
	c.work.Go(func() {
		err := c.followToEnd(ctx, f)
		cancel(nil)
		streamsOpen.Dec()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answered(f)
		c.dropSeasoned(f)
		if f.yields {
			c.yielding--
		}
		c.streams.end(q, risky)
		c.settle(f.node)
		p.flow = nil
		p.alarm.stop()
		p.alarm = nil
		if p.ctx.Err() == nil {
			c.endStream(p, err) //nolint:contextcheck // Each read runs under its Pod's own context.
		}
		c.dispatch() //nolint:contextcheck // Each read runs under its Pod's own context.
	})
}

// endStream handles the end of a stream. The caller holds the mutex.
func (c *Collector) endStream(p *pod, err error) {
	switch {
	case err == nil || logs.IsGone(err):
		c.conclude(p, err, func(*Reading) {})
	case p.mode == Final:
		c.queueFinal(p)
	case errors.Is(err, errYielded), errors.Is(err, errShared):
		if errors.Is(err, errYielded) {
			p.yields++
		}
		p.followed += c.now().Sub(p.reading.Began)
		c.learn(p, func(r *Reading) { r.Err = p.failed(err) })
		c.queueStream(p)
	default:
		c.learn(p, func(r *Reading) { r.Done, r.Err = true, err })
	}
}

// awaitAnswer gives a stream time to be answered. After that it makes way if another waits for its turn; after the first time
// that happened it gets twice the time. The caller holds the mutex.
func (c *Collector) awaitAnswer(f *flow) {
	f.alarm = c.after(c.options.ReadTimeout<<min(f.pod.yields, 1), func() { f.silent = c.silent.PushBack(f) })
}

// answered records that a stream was answered, or has ended. The caller holds the mutex.
func (c *Collector) answered(f *flow) {
	f.alarm.stop()
	f.alarm = nil
	if f.silent != nil {
		c.silent.Remove(f.silent)
		f.silent = nil
	}
}

// followToEnd returns nil when the log has reached its end. A stream may also end because a kube-apiserver or kubelet stops,
// which looks the same: so without final counts the end is believed only if the stream, reopened, ends again at once, which
// that of a running container does not. An empty stream proves nothing at all: kube-apiserver answers with it for a Pod that
// has not been scheduled yet.
func (c *Collector) followToEnd(ctx context.Context, f *flow) error {
	p := f.pod
	in := intakes.Get().(*readBuffer)
	defer intakes.Put(in)
	budget := rate.NewLimiter(floodRate, c.options.MaxBytes)
	ends, failures := 0, 0
	for {
		begun := c.now()
		final, err := c.stream(ctx, f, in, budget)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		lasted := c.now().Sub(begun)
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
		case logs.IsGone(err):
			return err
		case errors.Is(err, errTooMuch):
			c.askForFewer(p)
			pause = floodPause
		}
		if err := c.pause(ctx, pause); err != nil {
			return err
		}
	}
}

// stream follows the log once. It returns nil if the stream ended by itself, and whether it ended with final counts.
func (c *Collector) stream(ctx context.Context, f *flow, in *readBuffer, budget *rate.Limiter) (final bool, err error) {
	p := f.pod
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in.reset()
	c.rejoin(f)
	asked := c.linesOf(p)
	body, err := c.open(ctx, p.target, asked, true)
	if err == nil {
		defer body.Close()
		c.mu.Lock()
		c.answered(f)
		p.yields = 0
		f.node.silent = false
		c.judge(f.node, nil)
		c.learn(p, func(r *Reading) { r.Opened, r.Err = true, nil })
		c.dispatch() //nolint:contextcheck // Each read runs under its Pod's own context.
		c.mu.Unlock()

		observed := c.now()
		err = in.take(ctx, body, func(n int) error {
			if c.now().Sub(observed) >= c.options.Interval {
				observed = c.now()
				c.observeStream(p, in, asked, false)
			}
			if !budget.AllowN(c.now(), n) {
				return errTooMuch
			}
			return nil
		})
	}
	counts, counted := c.observeStream(p, in, asked, err == nil)
	countRead(Follow, counted, err)
	if err != nil {
		err = fmt.Errorf("following the log of container %s of Pod %s/%s: %w",
			p.target.Container, p.target.Namespace, p.target.Name, err)
		if !errors.Is(err, context.Canceled) {
			c.options.Log.V(1).Info("Log not followed to its end", "error", err.Error())
		}
		c.mu.Lock()
		c.learn(p, func(r *Reading) { r.Err = err })
		c.mu.Unlock()
	}
	return counted && counts.Final, err
}

// rejoin waits for an answer once more, if a stream had been answered and broke.
func (c *Collector) rejoin(f *flow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.alarm == nil && f.silent == nil && !f.yields {
		c.awaitAnswer(f)
	}
}

// observeStream parses the counts from what a stream has brought so far.
func (c *Collector) observeStream(p *pod, in *readBuffer, asked int64, ended bool) (stats.Counts, bool) {
	var found result
	if ended {
		found = in.result(asked)
	} else {
		found.counts, found.counted = in.log.Counts()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found.counted {
		p.last = &found.counts
	}
	c.learn(p, func(r *Reading) {
		if ended && in.brought() {
			p.reached(found, c.now())
		}
		if found.counted {
			r.observe(found.counts, ended, c.now())
		}
	})
	return found.counts, found.counted
}
