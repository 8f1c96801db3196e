package node

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// conduct is how the node treats the Pods of one namespace.
type conduct struct {
	// program is what spiders run, nil for a namespace whose Pods stay without a node.
	program Program
	// others are what the other containers run, by name.
	others map[string]Program
	// missing are the containers whose image cannot be pulled.
	missing map[string]bool
	// removal is how long a Pod whose processes have ended is kept before its deletion is complete.
	removal time.Duration
	// cut is closed when the node is reachable again; nil while it is.
	cut chan struct{}
	// muteLogs has reads of logs hang.
	muteLogs bool
}

// of is the conduct towards a namespace. The caller holds the mutex.
func (n *Node) of(namespace string) *conduct {
	c := n.conducts[namespace]
	if c == nil {
		c = &conduct{others: map[string]Program{}, missing: map[string]bool{}}
		n.conducts[namespace] = c
	}
	return c
}

func (n *Node) change(namespace string, change func(*conduct)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n.of(namespace))
}

// Serve has the Pods of a namespace, those that wait already among them, run program from now on.
func (n *Node) Serve(namespace string, program Program) {
	n.change(namespace, func(c *conduct) { c.program = program })
	n.syncAll(namespace)
}

// ServeContainer has another container of a namespace's Pods run program. By default it waits to be told to stop, and an init
// container succeeds at once.
func (n *Node) ServeContainer(namespace, container string, program Program) {
	n.change(namespace, func(c *conduct) { c.others[container] = program })
}

// CannotPull has a container of a namespace's Pods stay without its image.
func (n *Node) CannotPull(namespace, container string) {
	n.change(namespace, func(c *conduct) { c.missing[container] = true })
}

// RemoveAfter sets the time between the end of a deleted Pod's processes and its removal: by default none.
func (n *Node) RemoveAfter(namespace string, delay time.Duration) {
	n.change(namespace, func(c *conduct) { c.removal = delay })
}

// MuteLogs has reads of a namespace's logs hang until whoever reads gives up.
func (n *Node) MuteLogs(namespace string) {
	n.change(namespace, func(c *conduct) { c.muteLogs = true })
}

// Cut has the node lose its connection as far as a namespace is concerned: it hears of nothing and says nothing, and its
// processes run on.
func (n *Node) Cut(namespace string) {
	n.change(namespace, func(c *conduct) {
		if c.cut == nil {
			c.cut = make(chan struct{})
		}
	})
}

// Rejoin ends what Cut began: the node catches up on what it has missed.
func (n *Node) Rejoin(namespace string) {
	n.change(namespace, func(c *conduct) {
		if c.cut != nil {
			close(c.cut)
			c.cut = nil
		}
	})
	for _, l := range n.livesIn(namespace) {
		object, there, err := n.pods.GetStore().GetByKey(namespace + "/" + l.pod.Name)
		if err != nil {
			n.fail(err)
		}
		if pod, ok := object.(*corev1.Pod); !there || !ok || pod.UID != l.pod.UID {
			n.removed(l.pod)
		}
	}
	n.syncAll(namespace)
}

// Lose has the node forget the processes of a namespace, as a reboot does: they end, and the node says of each what it makes up.
func (n *Node) Lose(namespace string, end Exit) {
	for _, l := range n.livesIn(namespace) {
		l.lose(end)
	}
}

// Evict has the node stop the Pods of a namespace for a reason of its own: each ends as Failed with that reason and message.
func (n *Node) Evict(namespace, reason, message string) {
	const grace = time.Second // of the kubelet for evictions at once
	for _, l := range n.livesIn(namespace) {
		l.stopFor(reason, message, grace)
	}
}

// reachable waits until the node is not cut off, and reports whether it still exists then.
func (n *Node) reachable(namespace string) bool {
	n.mu.Lock()
	cut := n.of(namespace).cut
	n.mu.Unlock()
	if cut == nil {
		return n.ctx.Err() == nil
	}
	select {
	case <-cut:
		return true
	case <-n.ctx.Done():
		return false
	}
}

func (n *Node) livesIn(namespace string) []*life {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lives []*life
	for _, l := range n.lives {
		if l.pod.Namespace == namespace {
			lives = append(lives, l)
		}
	}
	return lives
}
