package podlog

import "time"

// slotTime is how long an answered stream keeps its slot even if others wait.
func (c *Collector) slotTime() time.Duration {
	return 2 * c.options.ReadTimeout
}

// makeWay ends as many unanswered streams as there are nodes whose streams could begin in their place. Streams that already
// have to end, but have not yet, count. If there are none, it ends an answered one if another node has a better claim to its
// slot. The caller holds the mutex.
func (c *Collector) makeWay() {
	if c.streams.free(false) {
		return
	}
	for e := c.silent.Front(); e != nil && c.yielding < c.streams.sound.Len(); {
		f := e.Value.(*flow)
		e = e.Next()
		f.node.silent = true
		c.giveUp(f, errYielded)
	}
	if c.yielding == 0 {
		c.share()
	}
}

// share ends one stream of the node that has the most, if a node waits that should have its slot: otherwise the containers of a
// few nodes, which end slowly or never, would have all slots for as long as FollowTimeout. The caller holds the mutex.
func (c *Collector) share() {
	f := c.dispensable()
	if f == nil {
		return
	}
	for e := c.streams.sound.Front(); e != nil; e = e.Next() {
		if !e.Value.(*queue).outranks(&f.node.streams) {
			continue
		}
		c.streams.sound.MoveToFront(e)
		c.streams.riskyNext = false
		c.giveUp(f, errShared)
		return
	}
}

// dispensable returns, of the streams that have had their time, the oldest one of the node that has the most streams, or nil.
// The caller holds the mutex.
func (c *Collector) dispensable() *flow {
	var most *flow
	for e := c.seasoned.Front(); e != nil; e = e.Next() {
		if f := e.Value.(*flow); most == nil || f.node.streams.active > most.node.streams.active {
			most = f
		}
	}
	return most
}

// outranks reports whether this node has a better claim to a slot of another node: if it has fewer even with that slot, or has
// none at all, so that the nodes take turns if there are more of them than slots. A node whose last stream was not answered may
// well waste the slot: it gets one, but never the only one of another.
func (q *queue) outranks(other *queue) bool {
	if q.node.silent {
		return q.active == 0 && other.active > 1
	}
	return q.active == 0 || q.active+1 < other.active
}

// giveUp makes a stream make way. The caller holds the mutex.
func (c *Collector) giveUp(f *flow, why error) {
	c.answered(f)
	c.dropSeasoned(f)
	c.yielding++
	f.yields = true
	f.cancel(why)
}

// dropSeasoned removes a stream from those that have had their time, or will have. The caller holds the mutex.
func (c *Collector) dropSeasoned(f *flow) {
	f.ripens.stop()
	f.ripens = nil
	if f.seasoned != nil {
		c.seasoned.Remove(f.seasoned)
		f.seasoned = nil
	}
}
