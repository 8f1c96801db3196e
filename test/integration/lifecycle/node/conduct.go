package node

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// conduct is how the node treats the Pods of one namespace.
type conduct struct {
	// program is what spiders run, nil for a namespace whose Pods get no node.
	program Program
	// others are what the other containers run, by name.
	others map[string]Program
	// missing are the containers whose image cannot be pulled.
	missing map[string]bool
	// removal is how long a Pod whose processes have ended is kept before its deletion is complete.
	removal time.Duration
	// cut is closed when the node is reachable again; nil while it is.
	cut chan struct{}
	// muteLogs makes reads of logs hang.
	muteLogs bool
}

// of returns the conduct towards a namespace. The caller holds the mutex.
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

// Serve makes the Pods of a namespace, including those that already wait, run program from now on.
func (n *Node) Serve(namespace string, program Program) {
	n.change(namespace, func(c *conduct) { c.program = program })
	n.syncAll(namespace)
}

// ServeContainer makes another container of a namespace's Pods run program. By default it waits to be stopped, and an init
// container succeeds at once.
func (n *Node) ServeContainer(namespace, container string, program Program) {
	n.change(namespace, func(c *conduct) { c.others[container] = program })
}

// CannotPull makes the image of a container of a namespace's Pods impossible to pull.
func (n *Node) CannotPull(namespace, container string) {
	n.change(namespace, func(c *conduct) { c.missing[container] = true })
}

// RemoveAfter sets the time between the end of a deleted Pod's processes and its removal: by default none.
func (n *Node) RemoveAfter(namespace string, delay time.Duration) {
	n.change(namespace, func(c *conduct) { c.removal = delay })
}

// MuteLogs makes reads of a namespace's logs hang until the reader gives up.
func (n *Node) MuteLogs(namespace string) {
	n.change(namespace, func(c *conduct) { c.muteLogs = true })
}

// Cut cuts the node's connection for a namespace: it receives and reports nothing, and its processes continue.
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

// Lose makes the node lose the processes of a namespace, as a reboot does: they end, and the node invents an end for each.
func (n *Node) Lose(namespace string, end Exit) {
	for _, l := range n.livesIn(namespace) {
		l.lose(end)
	}
}

// Evict makes the node stop the Pods of a namespace for a reason of its own: each ends as Failed with that reason and message.
func (n *Node) Evict(namespace, reason, message string) {
	const grace = time.Second // the kubelet's, for immediate evictions
	for _, l := range n.livesIn(namespace) {
		l.stopFor(reason, message, grace)
	}
}

// reachable waits until the node is connected, and reports whether it still exists then.
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
