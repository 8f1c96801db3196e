package podlog

// sampleDue samples the Pods whose turn has come. If the number of concurrent reads is exhausted, it is called again when one
// has ended; turns that pass meanwhile are lost. A Pod whose node may not have another sample read at the moment misses its
// turn, which costs nothing of the budget. The caller holds the mutex.
func (c *Collector) sampleDue() {
	now := c.now()
	for c.samples.free(false) {
		wait, ok := c.roundRobin.wait(now)
		if !ok {
			return
		}
		if wait > 0 {
			c.scheduleTurn(now.Add(wait))
			return
		}
		p := c.roundRobin.front()
		may, risky := c.maySample(p.node)
		if !may || p.sampling {
			c.roundRobin.skip(now)
			continue
		}
		c.roundRobin.take(now)
		c.beginSample(p, risky, func() {})
	}
}

// beginSample reads a sample of a Pod's log, and calls ended, under the mutex, when that has ended. The caller holds the mutex.
func (c *Collector) beginSample(p *pod, risky bool, ended func()) {
	n := p.node
	p.sampling = true
	n.reads++
	n.samples++
	c.samples.take(risky)
	c.settle(n)
	ctx, cancel := c.within(p.ctx, c.options.ReadTimeout)
	c.work.Go(func() {
		found, err := c.tail(ctx, p, Sample)
		cancel(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		p.sampling = false
		n.reads--
		n.samples--
		c.samples.release(risky)
		if p.mode != Final {
			c.learn(p, func(r *Reading) {
				if err == nil {
					p.reached(found, c.now())
				}
				if found.counted {
					r.observe(found.counts, p.claims(found.counts), c.now())
				}
				if p.mode == Sample {
					r.Err = err
				}
			})
		}
		c.judge(n, err)
		ended()
		c.settle(n)
		c.dispatch() //nolint:contextcheck // Each read runs under its Pod's own context.
	})
}
