package podlog

import (
	"container/list"
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/changes"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// Collector reads the logs of Pods on request. It is a manager.Runnable, and does nothing until it is started. All its methods
// may be called at any time, from anywhere, and return at once.
type Collector struct {
	source  Source
	options Options
	changes *changes.Queue

	life context.Context // ends with the collector; every Pod's context is its child
	stop context.CancelFunc
	work sync.WaitGroup

	mu         sync.Mutex
	running    bool
	pods       map[types.UID]*pod
	jobs       map[types.NamespacedName]*pod // the newest Pod of each SpiderJob; the others follow by pod.older
	nodes      map[string]*node
	idle       list.List // of *node: those without Pods, the longest idle first
	roundRobin roundRobin
	turn       *alarm    // of the next sample
	turnAt     time.Time // when turn goes off
	samples    slots
	probes     list.List // of *node: those whose probe is due
	probing    int       // current probes, which count as samples
	finals     lane
	streams    lane
	silent     list.List // of *flow: streams that were not answered for long
	seasoned   list.List // of *flow: streams that have had their slot for slotTime
	yielding   int       // streams that have to make way and have not ended yet
}

// pod is one Pod's log. Its fields are guarded by the Collector's mutex, except target and ctx, which never change.
type pod struct {
	target Target
	ctx    context.Context // ends when the Pod is forgotten
	forget context.CancelFunc
	older  *pod          // the SpiderJob's Pod that was requested before this one
	node   *node         // nil when the Pod is forgotten
	member *list.Element // among the node's Pods

	mode    Mode
	reading Reading

	notBefore time.Time     // of the next sample
	lines     int64         // how many lines to request: fewer once they turned out to be too long
	turn      *list.Element // its turn; nil when it has none
	sampling  bool          // a sample is being read
	queue     *queue        // that it waits in
	place     *list.Element // in the queue; nil when it does not wait
	flow      *flow         // the follow stream; nil when there is none
	yields    int           // how often in a row its stream made way, since nothing answered it
	followed  time.Duration // by streams that made way
	attempts  int           // final reads that have failed
	pausing   bool          // a final read has failed and is tried again when alarm goes off
	spent     time.Duration // on final reads so far, with the pauses between them, but not in the queue
	alarm     *alarm        // when to give up waiting, stop the stream short or try again; nil for neither
	ended     bool          // the work is over: reading the log again would show nothing new

	end uint64 // a hash of the log's last bytes, as of reading.Quiet

	// The last counts of a stream: final counts that are believed once the log is gone.
	last *stats.Counts // nil for nothing
}

// New returns a Collector that reads from source.
func New(source Source, options Options) *Collector {
	options = options.withDefaults()
	life, stop := context.WithCancel(context.Background())
	samples := max(1, options.Concurrency/2)
	return &Collector{
		source:  source,
		options: options,
		changes: changes.New(),
		life:    life,
		stop:    stop,
		pods:    map[types.UID]*pod{},
		jobs:    map[types.NamespacedName]*pod{},
		nodes:   map[string]*node{},
		roundRobin: roundRobin{
			interval: options.Interval,
			spacing:  time.Duration(float64(time.Second) / options.Budget),
		},
		samples: slots{limit: samples},
		finals:  lane{slots: slots{limit: max(1, options.Concurrency-samples)}},
		streams: lane{slots: slots{limit: options.Streams}},
	}
}

// Start reads logs until ctx ends, and returns when every read has ended.
func (c *Collector) Start(ctx context.Context) error {
	c.mu.Lock()
	c.running = true
	c.work.Go(func() { c.changes.Run(ctx) })
	c.dispatch() //nolint:contextcheck // Each read runs under its Pod's own context.
	c.mu.Unlock()

	<-ctx.Done()

	c.mu.Lock()
	c.running = false
	c.stop()
	c.turn.stop()
	// In any order: cancelling an alarm has no other effect.
	for _, p := range c.pods {
		p.alarm.stop()
	}
	for _, n := range c.nodes {
		n.probe.stop()
	}
	c.mu.Unlock()
	c.work.Wait()
	return nil
}

// Want requests a Pod's log in a mode. Repeating the request, or requesting a lower mode, changes nothing, except that a Pod
// without a node may get one.
func (c *Collector) Want(target Target, mode Mode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[target.UID]
	if p == nil {
		p = &pod{target: target, lines: c.options.TailLines, older: c.jobs[target.SpiderJob]}
		p.ctx, p.forget = context.WithCancel(c.life)
		c.pods[target.UID] = p
		c.jobs[target.SpiderJob] = p
		c.join(p, target.Node)
	} else if p.node.name == "" && target.Node != "" {
		c.move(p, target.Node)
		c.dispatch()
	}
	if mode <= p.mode {
		return
	}
	c.unqueue(p)
	p.mode, p.reading.Mode = mode, mode
	if mode > Sample && !p.reading.conclusive() {
		p.reading.Counts.Final, p.reading.Counts.FinishReason = false, "" // which held only while the container ran
	}
	switch c.roundRobin.remove(p); mode {
	case Sample:
		if !p.node.unserved {
			c.roundRobin.add(p, c.now())
		}
	case Follow:
		p.reading.Since = c.now()
		c.queueStream(p)
	case Final:
		p.reading.Since = c.now()
		c.wantFinal(p)
	}
	c.turnsChanged()
	c.dispatch()
}

// unqueue ends whatever a Pod waits for. The caller holds the mutex.
func (c *Collector) unqueue(p *pod) {
	switch p.mode {
	case Follow:
		c.streams.remove(p)
	case Final:
		c.finals.remove(p)
	case Sample: // has its turn, and no place in a queue
	}
	p.alarm.stop()
	p.alarm, p.pausing = nil, false
	c.settle(p.node)
}

// Reading returns what is known of a Pod's log.
func (c *Collector) Reading(uid types.UID) Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pods[uid]; p != nil {
		return p.reading
	}
	return Reading{}
}

// Forget stops reading a Pod's log and drops what is known of it.
func (c *Collector) Forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pods[uid]; p != nil {
		c.discard(p)
		c.dispatch()
	}
}

// Keep forgets every Pod of a SpiderJob that is not among pods. Its cost grows with the Pods of that SpiderJob only.
func (c *Collector) Keep(spiderJob types.NamespacedName, pods ...types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	discarded := false
	for p := c.jobs[spiderJob]; p != nil; {
		older := p.older
		if !slices.Contains(pods, p.target.UID) {
			c.discard(p)
			discarded = true
		}
		p = older
	}
	if discarded {
		c.dispatch()
	}
}

// discard forgets a Pod. The caller holds the mutex.
func (c *Collector) discard(p *pod) {
	p.forget()
	c.roundRobin.remove(p)
	c.leave(p)
	delete(c.pods, p.target.UID)
	if newest := c.jobs[p.target.SpiderJob]; newest != p {
		for newest.older != p {
			newest = newest.older
		}
		newest.older = p.older
	} else if p.older != nil {
		c.jobs[p.target.SpiderJob] = p.older
	} else {
		delete(c.jobs, p.target.SpiderJob)
	}
	c.turnsChanged()
}

// Changes returns the channel of SpiderJobs, empty except for their names, of which something new is known: counts, that a
// stream is open, that the work is done or that it fails. It is made for source.Channel, and all callers share it.
func (c *Collector) Changes() <-chan event.GenericEvent {
	return c.changes.Events()
}

// learn changes what is known of a Pod, and enqueues its SpiderJob if that makes a difference to it. The caller holds the
// mutex.
func (c *Collector) learn(p *pod, change func(*Reading)) {
	before := p.reading
	change(&p.reading)
	after := p.reading
	// Once a stream has been answered, it makes no difference that it breaks, which may happen every few seconds.
	failing := p.mode > Sample && !after.Opened && before.Err == nil && after.Err != nil
	same := before.Known == after.Known && before.Opened == after.Opened && before.Done == after.Done && !failing &&
		reflect.DeepEqual(before.Counts, after.Counts)
	if !same && p.ctx.Err() == nil {
		c.changes.Add(p.target.SpiderJob)
	}
}

// reached records that a read came to the log's end. The caller holds the mutex.
func (p *pod) reached(found result, now time.Time) {
	r := &p.reading
	if r.Quiet.IsZero() || found.end != p.end {
		r.Quiet, p.end = now, found.end
	}
	r.Read, r.Whole = now, found.whole
}

// claims reports whether counts of a running container count as its last for the time being: every spider has closed, and
// nothing was written since an earlier read. Another crawl may still begin. The caller holds the mutex.
func (p *pod) claims(counts stats.Counts) bool {
	return counts.Closed && p.reading.Quiet.Before(p.reading.Read)
}

// observe takes counts that were read now. They are final when the log ends with them, or while it seems to end. Before that,
// even counts that Scrapy reported when it closed need not be final, since another crawl may begin in the process. What a log
// once said about a signal or feeds stays, even if it is out of reach since.
func (r *Reading) observe(counts stats.Counts, last bool, now time.Time) {
	before := r.Counts
	if before.Final && r.conclusive() {
		return
	}
	counts.Signalled = counts.Signalled || before.Signalled
	if counts.FeedError == "" {
		counts.FeedError = before.FeedError
	}
	if !last {
		counts.Final, counts.FinishReason = false, ""
	}
	if r.Known && !counts.Final && counts.Items < before.Items {
		if before.Signalled == counts.Signalled && before.FeedError == counts.FeedError && counts.FinishReason == "" {
			return
		}
		signalled, failed, reason, closed := counts.Signalled, counts.FeedError, counts.FinishReason, counts.Closed
		counts = before
		counts.Signalled, counts.FeedError, counts.FinishReason, counts.Closed = signalled, failed, reason, closed
		counts.Final = false
	}
	r.Counts, r.Known, r.ObservedAt = counts, true, now
}

// conclusive reports whether the current mode reads the log to its end: before that the container runs, and nothing is final.
func (r *Reading) conclusive() bool { return !r.Since.IsZero() }

// dispatch begins the work that may begin, in an order that depends only on what happened before. The caller holds the mutex.
func (c *Collector) dispatch() {
	if !c.running {
		return
	}
	for p, q, risky := c.finals.next(); p != nil; p, q, risky = c.finals.next() {
		c.beginFinal(p, q, risky)
	}
	for p, q, risky := c.streams.next(); p != nil; p, q, risky = c.streams.next() {
		c.beginStream(p, q, risky)
	}
	c.makeWay()
	streamsWaiting.Set(float64(c.streams.waiting))
	c.probeDue()
	c.sampleDue()
}

// scheduleTurn schedules dispatch for when the next sample is due. The caller holds the mutex.
func (c *Collector) scheduleTurn(due time.Time) {
	if c.turn != nil && !due.Before(c.turnAt) {
		return
	}
	c.turn.stop()
	c.turnAt = due
	c.turn = c.after(due.Sub(c.now()), func() { c.turn = nil })
}

// turnsChanged reports that the turns have changed. The caller holds the mutex.
func (c *Collector) turnsChanged() {
	sampleInterval.Set(c.roundRobin.period().Seconds())
	budgetWanted.Set(c.roundRobin.wanted())
}
