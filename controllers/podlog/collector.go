package podlog

import (
	"container/list"
	"context"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/controllers/changes"
	"github.com/scrapethis/spider-operator/controllers/stats"
)

// Collector reads the logs of the Pods it is told of. It is a manager.Runnable, and does nothing until it is started.
// All its methods may be called at any time, from anywhere, and return at once.
type Collector struct {
	source  Source
	options Options
	changes *changes.Queue
	nudged  chan struct{} // the rotation has changed

	life context.Context // ends with the collector; every Pod's context is its child
	stop context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex
	running  bool
	pods     map[types.UID]*pod
	rotation rotation
	streams  lane
	finals   lane
}

// pod is one Pod's log. Its fields are guarded by the Collector's mutex but for target and ctx, which never change.
type pod struct {
	target Target
	ctx    context.Context // ends when the Pod is forgotten
	forget context.CancelFunc

	mode    Mode
	reading Reading

	notBefore time.Time     // of the next sample
	lines     int64         // how many lines are asked for: fewer once they turned out to be too long
	turn      *list.Element // in the rotation; nil when it has none
	sampling  bool          // a sample is being read
	stopShort func()        // ends the follow stream; nil when there is none
	attempts  int           // final reads that have failed
	ended     bool          // the log has come to its end or is gone: reading it again would tell nothing new

	// What a stream said last, as it stood there: final counts that are believed once the log is gone.
	last      stats.Counts
	lastKnown bool
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
		nudged:  make(chan struct{}, 1),
		life:    life,
		stop:    stop,
		pods:    map[types.UID]*pod{},
		rotation: rotation{
			interval: options.Interval,
			spacing:  time.Duration(float64(time.Second) / options.Budget),
		},
		streams: lane{mode: Follow, limit: options.Streams},
		finals:  lane{mode: Final, limit: max(1, options.Concurrency-samples)},
	}
}

// Start reads logs until ctx ends, and returns when every read has been given up.
func (c *Collector) Start(ctx context.Context) error {
	c.mu.Lock()
	c.running = true
	c.work.Go(func() { c.changes.Run(ctx) })
	c.work.Go(func() { c.sampleInTurn(ctx) })
	c.dispatch() //nolint:contextcheck // Each read runs under its Pod's own context.
	c.mu.Unlock()

	<-ctx.Done()

	c.mu.Lock()
	c.running = false
	c.stop()
	c.mu.Unlock()
	c.work.Wait()
	return nil
}

// Want asks for a Pod's log to be read in a mode. Asking again, or for a lower mode, changes nothing.
func (c *Collector) Want(target Target, mode Mode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[target.UID]
	if p == nil {
		p = &pod{target: target, lines: c.options.TailLines}
		p.ctx, p.forget = context.WithCancel(c.life)
		c.pods[target.UID] = p
	}
	if mode <= p.mode {
		return
	}
	p.mode = mode
	c.rotation.remove(p)
	switch mode {
	case Sample:
		c.rotation.add(p, time.Now())
	case Follow:
		p.reading.Since = time.Now()
		c.streams.add(p)
	case Final:
		p.reading.Since = time.Now()
		c.wantFinal(p)
	}
	c.rotationChanged()
	c.dispatch()
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

// Forget gives up reading a Pod's log and drops what is known of it.
func (c *Collector) Forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pods[uid]; p != nil {
		p.forget()
		c.rotation.remove(p)
		c.rotationChanged()
		delete(c.pods, uid)
	}
}

// Changes returns the channel that names, as otherwise empty SpiderJobs, those of which something new is known: counts, that
// a stream is open, that the work is done or that it fails. It is made for source.Channel, and there is one for all callers.
func (c *Collector) Changes() <-chan event.GenericEvent {
	return c.changes.Events()
}

// learn changes what is known of a Pod, and wakes its SpiderJob when that makes a difference to it. The caller holds the
// mutex.
func (c *Collector) learn(p *pod, change func(*Reading)) {
	before := p.reading
	change(&p.reading)
	after := p.reading
	failing := p.mode > Sample && (before.Err == nil) != (after.Err == nil)
	same := before.Known == after.Known && before.Opened == after.Opened && before.Done == after.Done && !failing &&
		reflect.DeepEqual(before.Counts, after.Counts)
	if !same && p.ctx.Err() == nil {
		c.changes.Add(p.target.SpiderJob)
	}
}

// observe takes counts that were read just now. They are conclusive when the log ends with them; before, even those that
// Scrapy gave on closing need not be the last, for another crawl may begin in the process.
func (r *Reading) observe(counts stats.Counts, conclusive bool) {
	if !conclusive {
		counts.Final, counts.FinishReason = false, ""
	}
	if r.Counts.Final || r.Known && !counts.Final && counts.Items < r.Counts.Items {
		return
	}
	r.Counts, r.Known, r.ObservedAt = counts, true, time.Now()
}

// lane is a queue of work in one mode, of which a bounded amount is under way at once.
type lane struct {
	mode    Mode
	limit   int
	active  int
	waiting []*pod
}

func (l *lane) add(p *pod) {
	l.waiting = append(l.waiting, p)
}

// next returns the work to begin now, or nil. What was forgotten or has gone on to another mode while it waited is dropped.
func (l *lane) next() *pod {
	for l.active < l.limit && len(l.waiting) > 0 {
		p := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if p.mode == l.mode && p.ctx.Err() == nil {
			l.active++
			return p
		}
	}
	return nil
}

// dispatch begins what work may begin. The caller holds the mutex.
func (c *Collector) dispatch() {
	if !c.running {
		return
	}
	for p := c.finals.next(); p != nil; p = c.finals.next() {
		c.work.Go(func() {
			c.readFinal(p.ctx, p)
			c.release(&c.finals)
		})
	}
	for p := c.streams.next(); p != nil; p = c.streams.next() {
		ctx, cancel := context.WithTimeout(p.ctx, c.options.FollowTimeout)
		p.stopShort = cancel
		streamsOpen.Inc()
		c.work.Go(func() {
			c.follow(ctx, p)
			cancel()
			streamsOpen.Dec()
			c.release(&c.streams)
		})
	}
	streamsWaiting.Set(float64(len(c.streams.waiting)))
}

// release makes room for the next in the lane.
func (c *Collector) release(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.active--
	c.dispatch()
}
