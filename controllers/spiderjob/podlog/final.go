package podlog

import (
	"fmt"
	"time"

	logs "github.com/scrapethis/spider-operator/internal/podlog"
)

const (
	// finalPatience is how long a final read is retried after the kubelet or kube-apiserver did not answer.
	finalPatience = 8 * time.Second

	// streamPatience is how long an open stream may take to reach its end after the container has terminated.
	streamPatience = 2 * time.Second

	// queuePatience is how long a final read waits for its turn.
	queuePatience = 2 * time.Minute
)

// wantFinal begins the end of reading a log. The caller holds the mutex.
func (c *Collector) wantFinal(p *pod) {
	switch {
	case p.flow != nil:
		stopShort := p.flow.cancel
		p.reading.Began = c.now()
		p.alarm = c.after(streamPatience, func() { stopShort(nil) })
	case p.ended:
	default:
		p.reading.Done = false
		c.queueFinal(p)
	}
}

// queueFinal reads the log's end when its turn comes, which may be at once. The caller holds the mutex.
func (c *Collector) queueFinal(p *pod) {
	n := p.node
	if n.unserved {
		c.conclude(p, p.unserved(), func(*Reading) {})
		return
	}
	p.reading.Began = time.Time{}
	c.finals.add(&n.finals, p)
	c.settle(n)
	c.dispatch()
	if p.place == nil {
		return
	}
	p.alarm = c.after(queuePatience, func() {
		c.unqueue(p)
		c.settle(n)
		c.conclude(p, p.failed(fmt.Errorf("it waited for its turn for %v", queuePatience)), func(*Reading) {})
	})
}

// beginFinal reads the log's end. The caller holds the mutex.
func (c *Collector) beginFinal(p *pod, q *queue, risky bool) {
	n := q.node
	n.reads++
	c.settle(n)
	p.alarm.stop()
	p.alarm = nil
	p.reading.Began = c.now().Add(-p.spent)
	ctx, cancel := c.within(p.ctx, c.options.ReadTimeout)
	c.work.Go(func() {
		found, err := c.tail(ctx, p, Final)
		cancel(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		n.reads--
		c.finals.end(q, risky)
		if p.ctx.Err() == nil {
			c.endFinal(p, found, err) //nolint:contextcheck // Each read runs under its Pod's own context.
		}
		c.judge(n, err)
		c.settle(n)
		c.dispatch() //nolint:contextcheck // Each read runs under its Pod's own context.
	})
}

// endFinal takes the result of a final read, and retries it later if it failed for a transient reason. The caller holds the
// mutex.
func (c *Collector) endFinal(p *pod, found result, err error) {
	patient := c.now().Sub(p.reading.Began) < finalPatience
	if err == nil || logs.IsGone(err) || !patient || p.node.unserved {
		if p.node.unserved && err != nil && !logs.IsGone(err) {
			err = p.unserved()
		}
		c.conclude(p, err, func(r *Reading) {
			if err == nil {
				p.reached(found, c.now())
			}
			if found.counted {
				r.observe(found.counts, err == nil, c.now())
			}
		})
		return
	}
	c.learn(p, func(r *Reading) {
		if found.counted {
			r.observe(found.counts, false, c.now())
		}
		r.Err = err
	})
	p.pausing = true
	p.alarm = c.after(backoff(p.attempts), func() {
		p.pausing = false
		p.spent = c.now().Sub(p.reading.Began)
		c.queueFinal(p)
	})
	p.attempts++
}

// conclude ends the work on a log with its last result, in one step, so that its SpiderJob is enqueued once. If that was an
// error, the last counts of a stream are all that will ever be known. The caller holds the mutex.
func (c *Collector) conclude(p *pod, err error, learned func(*Reading)) {
	p.ended = true
	c.learn(p, func(r *Reading) {
		learned(r)
		if err != nil && p.last != nil {
			r.observe(*p.last, true, c.now())
		}
		r.Done, r.Err = true, err
	})
}
