package podlog

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"time"

	logs "github.com/scrapethis/spider-operator/internal/podlog"
)

const (
	// nodeReads bounds the concurrent reads of one node's logs, samples and final reads together; nodeSamples bounds the samples
	// among them, so that final reads always have room. A node that has not yet answered in time has one of either.
	nodeReads   = 4
	nodeSamples = 2

	// hangsUnserved is how many reads in a row must hang before the node counts as serving no logs.
	hangsUnserved = 3

	// maxIdleNodes is how many nodes without Pods are remembered.
	maxIdleNodes = 1000
)

// errUnserved means that a log is not read because other logs of its node hang.
var errUnserved = errors.New("serves no logs")

// trust is what the last read of a node's log says about the next.
type trust int

const (
	unknown  trust = iota // none has ended yet
	timely                // it ended in time
	doubtful              // it did not
)

// node is what is known about how a node serves logs. Each Pod without a node has one of its own. Its fields are guarded by the
// Collector's mutex.
type node struct {
	key    string
	name   string // empty for a Pod without a node
	pods   list.List
	idle   *list.Element // among the nodes without Pods; nil when it has some
	finals queue
	// streams are the node's follow streams. A stream that hangs says nothing: a kubelet answers no follow request before the
	// container has written something.
	streams queue
	silent  bool // the last one made way unanswered, and none was answered since

	trust   trust
	reads   int // samples, probes and final reads under way
	samples int // samples under way
	hangs   int // in a row

	// While unserved, nothing of the node is read except one probe now and then: a read of the end of some log of it.
	unserved bool
	probes   int           // that have failed
	probe    *alarm        // of the next probe
	due      *list.Element // among the probes that wait for a slot
}

// join adds a Pod to its node.
func (c *Collector) join(p *pod, name string) {
	key := name
	if name == "" {
		key = "Pod/" + string(p.target.UID)
	}
	n := c.nodes[key]
	if n == nil {
		n = &node{key: key, name: name}
		n.finals.node, n.streams.node = n, n
		c.nodes[key] = n
	}
	if n.idle != nil {
		c.idle.Remove(n.idle)
		n.idle = nil
	}
	p.node = n
	p.member = n.pods.PushBack(p)
}

// leave removes a Pod from its node, and from its queue. A node without Pods is remembered for a while: if jobs are rare, its
// next Pod should not have to find out again that it hangs.
func (c *Collector) leave(p *pod) {
	n := p.node
	c.unqueue(p)
	n.pods.Remove(p.member)
	p.node, p.member = nil, nil
	c.settle(n)
	if n.pods.Len() > 0 {
		return
	}
	if n.name == "" {
		c.drop(n)
		return
	}
	n.idle = c.idle.PushBack(n)
	if c.idle.Len() > maxIdleNodes {
		c.drop(c.idle.Front().Value.(*node))
	}
}

// drop forgets a node that has no Pods.
func (c *Collector) drop(n *node) {
	c.served(n)
	if n.idle != nil {
		c.idle.Remove(n.idle)
		n.idle = nil
	}
	delete(c.nodes, n.key)
}

// move adds a Pod that had no node to its node. A current read ends where it began.
func (c *Collector) move(p *pod, name string) {
	waits, stopping := p.place != nil || p.pausing, p.mode == Final && p.flow != nil
	if p.pausing {
		p.spent = c.now().Sub(p.reading.Began)
	}
	c.leave(p)
	c.join(p, name)
	switch {
	case stopping:
		c.wantFinal(p)
	case waits && p.mode == Follow:
		c.queueStream(p)
	case waits && p.mode == Final:
		c.queueFinal(p)
	}
	if p.node.unserved {
		c.roundRobin.remove(p)
	}
}

// settle puts a node into the rows that its state requires.
func (c *Collector) settle(n *node) {
	var final, stream *list.List
	switch busy := n.finals.active > 0; {
	case n.unserved || n.reads >= nodeReads || busy && n.trust != timely:
	case busy || n.trust == doubtful:
		final = &c.finals.unsound
	default:
		final = &c.finals.sound
	}
	switch {
	case n.unserved:
	case n.streams.active >= max(1, c.streams.limit/4):
		stream = &c.streams.unsound
	default:
		stream = &c.streams.sound
	}
	c.finals.stand(&n.finals, final)
	c.streams.stand(&n.streams, stream)
}

// maySample reports whether a sample of the node's logs may be read now, and whether that is a risky one.
func (c *Collector) maySample(n *node) (may, risky bool) {
	risky = n.trust == doubtful || n.samples > 0
	switch {
	case n.unserved || n.reads >= nodeReads || n.samples >= nodeSamples || n.samples > 0 && n.trust != timely:
		return false, risky
	default:
		return c.samples.free(risky), risky
	}
}

// judge records how a sample, a probe or a final read of a node's log ended. A cancelled read, and one whose Pod is gone, say
// nothing.
func (c *Collector) judge(n *node, err error) {
	if c.nodes[n.key] != n {
		return
	}
	switch {
	case errors.Is(err, context.Canceled), logs.IsGone(err):
	case errors.Is(err, errHung):
		n.trust = doubtful
		n.hangs++
		if n.hangs >= hangsUnserved && n.name != "" && !n.unserved {
			c.unserve(n)
		}
	case errors.Is(err, errSlow):
		n.trust = doubtful
		c.served(n)
	case err == nil || errors.Is(err, errTooMuch):
		n.trust = timely
		c.served(n)
	default: // an answer, if only an error, which does not say whether the node will answer next time
		c.served(n)
	}
	c.settle(n)
}

// unserve ends at once what waits for a node that hangs. Samples take no turns any more, and streams wait for a successful
// probe.
func (c *Collector) unserve(n *node) {
	n.unserved = true
	nodesUnserved.Inc()
	n.probes = 0
	c.probeLater(n)
	for e := n.pods.Front(); e != nil; e = e.Next() {
		p := e.Value.(*pod)
		c.roundRobin.remove(p)
		switch {
		case p.mode == Final && (p.place != nil || p.pausing):
			c.unqueue(p)
			c.conclude(p, p.unserved(), func(*Reading) {})
		case p.mode == Follow && p.place != nil:
			c.learn(p, func(r *Reading) { r.Err = p.unserved() })
		}
	}
	c.turnsChanged()
	c.options.Log.Info("Node serves no logs", "node", n.name)
}

// served resumes all reads of a node that was unserved.
func (c *Collector) served(n *node) {
	n.hangs = 0
	if !n.unserved {
		return
	}
	n.unserved = false
	nodesUnserved.Dec()
	n.probe.stop()
	n.probe = nil
	if n.due != nil {
		c.probes.Remove(n.due)
		n.due = nil
	}
	for e := n.pods.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*pod); p.mode == Sample && p.turn == nil {
			c.roundRobin.add(p, c.now())
		}
	}
	c.turnsChanged()
	c.settle(n)
}

// unserved returns the error of a log that is not read because its node serves none.
func (p *pod) unserved() error {
	return p.failed(fmt.Errorf("node %s %w", p.node.name, errUnserved))
}

// failed says which log could not be read.
func (p *pod) failed(err error) error {
	return fmt.Errorf("reading the log of container %s of Pod %s/%s: %w",
		p.target.Container, p.target.Namespace, p.target.Name, err)
}

// probePause returns how long to wait before the next probe of a node after n have failed.
func probePause(n int) time.Duration {
	return min(10*time.Second<<min(n, 3), time.Minute)
}

// probeLater probes a node after a pause. A node without Pods by then is forgotten.
func (c *Collector) probeLater(n *node) {
	n.probe = c.after(probePause(n.probes), func() {
		n.probe = nil
		if n.pods.Len() == 0 {
			c.drop(n)
			return
		}
		n.due = c.probes.PushBack(n)
	})
}

// probeDue begins the due probes. They have at most a quarter of the slots for samples.
func (c *Collector) probeDue() {
	for c.probes.Len() > 0 && c.probing < max(1, c.samples.limit/4) && c.samples.free(false) {
		n := c.probes.Remove(c.probes.Front()).(*node)
		n.due = nil
		p := n.candidate()
		if p == nil {
			c.drop(n)
			continue
		}
		c.probing++
		c.beginSample(p, false, func() {
			c.probing--
			if n.unserved && c.nodes[n.key] == n {
				n.probes++
				c.probeLater(n)
			}
		})
	}
}

// candidate returns a Pod whose log shows whether the node serves logs: another one each time, and none that is gone if there
// are others.
func (n *node) candidate() *pod {
	var p *pod
	for range min(n.pods.Len(), 16) {
		e := n.pods.Front()
		n.pods.MoveToBack(e)
		if p = e.Value.(*pod); !logs.IsGone(p.reading.Err) {
			break
		}
	}
	return p
}
