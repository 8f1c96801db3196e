package queue

import (
	"container/heap"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Core is the queue as a value: the same calls give the same results. It has no clock, no goroutines and no lock.
type Core struct {
	limits Limits
	items  map[reconcile.Request]*item
	// delayed are the items whose time has not come.
	delayed dueHeap
	// turns are, by rank, the lanes that are not empty; the first is next.
	turns [ranks]list[*lane]
	// namespaces are those with items that are ready or in progress; waiting is the number of namespaces with ready items, and
	// ready the number of ready items.
	namespaces     map[string]*namespace
	waiting, ready int
	// progress are the items in progress, in the order in which they were taken; taken and creations count them.
	progress         list[*item]
	taken, creations int

	// orders numbers the delayed items.
	orders uint64
	// depth counts by rank the items that wait for a worker, or for their own end to be ready then. adds counts the items that
	// began to wait, and retries those that were delayed.
	depth         [ranks]int
	adds, retries int
}

// NewCore returns an empty queue for this number of workers.
func NewCore(workers int) *Core {
	return &Core{
		limits:     limitsFor(workers),
		items:      map[reconcile.Request]*item{},
		namespaces: map[string]*namespace{},
	}
}

// AddOptions say how an item is added.
type AddOptions struct {
	// Class is the class, nil for Routine or, if the item failed while in progress, for the class with which it was taken.
	Class *int
	// After is how long the item waits before it is ready; not at all if it is not positive.
	After time.Duration
	// Failed says that this is a retry: the item waits for its back-off or for After, whichever is positive and shorter, and
	// loses its place.
	Failed bool
}

// Add adds an item. An item that already waits is raised to the higher class and the earlier time, never lowered or delayed. An
// item in progress is ready again when it is done.
func (c *Core) Add(now time.Time, request reconcile.Request, opts AddOptions) {
	it := c.items[request]
	if it == nil {
		it = &item{request: request}
		it.place.owner, it.progress.owner = it, it
		c.items[request] = it
	}
	r, after := it.askedRank(opts.Class, opts.Failed), opts.After
	if opts.Failed {
		it.failures++
		r = r.afterFailure()
		if wait := backOff(it.failures); after <= 0 || wait < after {
			after = wait
		}
	}
	if r == createRank && it.failures > 0 {
		r = createAgainRank
	}
	if after > 0 {
		c.retries++
	}
	switch it.state {
	case ready, dirty:
		c.raise(now, it, r)
	case delayed:
		it.rank = min(it.rank, r)
		if after <= 0 {
			heap.Remove(&c.delayed, it.index)
			c.arrive(now, it)
		} else if due := now.Add(after); due.Before(it.due) {
			it.due = due
			heap.Fix(&c.delayed, it.index)
		}
	case absent:
		it.rank = r
		if after <= 0 {
			c.arrive(now, it)
			return
		}
		it.state, it.due, it.order = delayed, now.Add(after), c.orders
		c.orders++
		heap.Push(&c.delayed, it)
	}
}

// askedRank returns the rank that a caller asks for.
func (it *item) askedRank(class *int, failed bool) rank {
	switch {
	case class != nil:
		return rankOf(*class)
	case failed && it.taken:
		return it.takenRank
	}
	return routineRank
}

// arrive makes an item wait for a worker or, while it is in progress, for its end.
func (c *Core) arrive(now time.Time, it *item) {
	c.adds++
	c.depth[it.rank]++
	it.since = now
	if it.taken {
		it.state = dirty
		return
	}
	c.line(now, it)
}

// raise gives an item that waits for a worker a higher rank, at its end.
func (c *Core) raise(now time.Time, it *item, r rank) {
	if r >= it.rank {
		return
	}
	c.depth[it.rank]--
	c.depth[r]++
	if it.state == ready {
		c.unline(it)
		it.rank = r
		c.line(now, it)
		return
	}
	it.rank = r
}

// line puts an item at the end of its lane, and the lane, if it was empty, at the end of the turns.
func (c *Core) line(now time.Time, it *item) {
	ns := c.account(it.request.Namespace)
	it.state, it.joined, it.namespace = ready, now, ns
	l := &ns.lanes[it.rank]
	if l.items.empty() {
		c.turns[it.rank].push(&l.turn)
	}
	l.items.push(&it.place)
	c.ready++
	if ns.ready++; ns.ready == 1 {
		c.waiting++
	}
}

// unline takes an item out of its lane.
func (c *Core) unline(it *item) {
	ns := it.namespace
	l := &ns.lanes[it.rank]
	l.items.remove(&it.place)
	c.ready--
	if l.items.empty() {
		c.turns[it.rank].remove(&l.turn)
	}
	if ns.ready--; ns.ready == 0 {
		c.waiting--
	}
}

// account returns the account of a namespace.
func (c *Core) account(name string) *namespace {
	ns := c.namespaces[name]
	if ns == nil {
		ns = &namespace{name: name}
		for r := range ns.lanes {
			l := &ns.lanes[r]
			l.namespace, l.turn.owner = ns, l
		}
		c.namespaces[name] = ns
	}
	return ns
}

// Advance makes the delayed items ready that are due.
func (c *Core) Advance(now time.Time) {
	for len(c.delayed) > 0 && !c.delayed[0].due.After(now) {
		c.arrive(now, heap.Pop(&c.delayed).(*item))
	}
}

// NextDue returns when the next delayed item is due; false if there is none.
func (c *Core) NextDue() (time.Time, bool) {
	if len(c.delayed) == 0 {
		return time.Time{}, false
	}
	return c.delayed[0].due, true
}

// Taken is an item that was taken to be worked on.
type Taken struct {
	Request reconcile.Request
	// Class is the class with which it waited.
	Class int
	// Waited is how long it waited for a worker.
	Waited time.Duration
}

// Take takes the next item. It returns false if nothing is ready, or the limits permit nothing now.
func (c *Core) Take(now time.Time) (Taken, bool) {
	c.Advance(now)
	if c.taken >= c.limits.Workers {
		return Taken{}, false
	}
	for r := range ranks {
		if r.creates() && c.creations >= c.limits.Creations {
			continue
		}
		for n := c.turns[r].first; n != nil; n = n.behind {
			if c.permits(n.owner.namespace, r) {
				return c.take(now, n.owner, r), true
			}
		}
	}
	return Taken{}, false
}

// permits reports whether a namespace with a ready item of that rank may hold one more worker.
func (c *Core) permits(ns *namespace, r rank) bool {
	if c.waiting > 1 {
		return ns.holds < c.limits.Shared
	}
	return ns.holds < c.limits.Alone && (!r.creates() || ns.creations < c.limits.CreationsAlone)
}

// take takes the first item of a lane and ends the lane's turn.
func (c *Core) take(now time.Time, l *lane, r rank) Taken {
	it, ns := l.items.first.owner, l.namespace
	c.unline(it)
	if !l.items.empty() {
		c.turns[r].remove(&l.turn)
		c.turns[r].push(&l.turn)
	}
	c.depth[r]--
	it.state, it.taken, it.takenRank, it.started = absent, true, r, now
	c.progress.push(&it.progress)
	c.taken++
	ns.holds++
	if r.creates() {
		c.creations++
		ns.creations++
	}
	return Taken{Request: it.request, Class: classes[r], Waited: now.Sub(it.since)}
}

// Done ends the progress of an item, and returns how long it took. It is false for one that is not in progress.
func (c *Core) Done(now time.Time, request reconcile.Request) (took time.Duration, ok bool) {
	it := c.items[request]
	if it == nil || !it.taken {
		return 0, false
	}
	ns := it.namespace
	c.progress.remove(&it.progress)
	c.taken--
	ns.holds--
	if it.takenRank.creates() {
		c.creations--
		ns.creations--
	}
	it.taken = false
	if it.state == dirty {
		c.line(now, it)
	}
	if ns.holds == 0 && ns.ready == 0 {
		delete(c.namespaces, ns.name)
	}
	c.drop(it)
	return now.Sub(it.started), true
}

// drop forgets an item without any state.
func (c *Core) drop(it *item) {
	if it.state == absent && !it.taken && it.failures == 0 {
		delete(c.items, it.request)
	}
}

// Forget makes an item's next failure its first.
func (c *Core) Forget(request reconcile.Request) {
	if it := c.items[request]; it != nil {
		it.failures = 0
		c.drop(it)
	}
}

// Failures returns how often in a row an item has failed.
func (c *Core) Failures(request reconcile.Request) int {
	if it := c.items[request]; it != nil {
		return it.failures
	}
	return 0
}

// ClassOf returns the class with which an item in progress was taken; false if it is not in progress.
func (c *Core) ClassOf(request reconcile.Request) (class int, ok bool) {
	it := c.items[request]
	if it == nil || !it.taken {
		return 0, false
	}
	return classes[it.takenRank], true
}

// Ready returns how many items wait for a worker.
func (c *Core) Ready() int { return c.ready }

// Taken returns how many items are in progress.
func (c *Core) Taken() int { return c.taken }
