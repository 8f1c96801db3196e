package simulated

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NodeState is whether a node works, and can be asked.
type NodeState int

// The states of a node.
const (
	Up  NodeState = iota
	Cut           // its processes run, but it cannot report them
	Off           // it has no power, or its kernel is gone
)

// Node is a machine with a kubelet.
type Node struct {
	Name  string
	State NodeState
	// Deleted says that its Node object is gone, OutOfService that somebody has given it that taint.
	Deleted, OutOfService bool
	// Logs is how its kubelet serves logs.
	Logs LogTrouble
	// Skew is how far its clock is ahead of the true time.
	Skew time.Duration
	// Since is when it was last Up.
	Since time.Time

	pods []*local
}

// local is what a kubelet knows of a Pod.
type local struct {
	uid        types.UID
	script     PodScript
	containers []*container // init containers in their order, then the others
	told       bool         // a first status was written
	killing    string       // why its containers are being stopped
	grace      time.Duration
	evicted    *eviction
	reported   time.Time // when a failure to mount was last reported
	removed    bool      // the kubelet has done with it
	shown      string    // the status that was written last, in short
}

type container struct {
	name     string
	kind     ContainerKind
	script   Script
	proc     *Process
	starts   int
	killed   bool   // signalled to end
	made     string // the state that the kubelet made up for it: Unknown, ContainerStatusUnknown
	finished time.Time
}

// OwnStorage is why a process was signalled to end whose Pod used more storage than it may.
const OwnStorage = "evicted for its own storage"

// eviction is why a kubelet ends a Pod.
type eviction struct {
	reason, message string
	disruption      bool
}

func (c *Cluster) node(name string) *Node {
	for _, n := range c.nodes {
		if n.Name == name {
			return n
		}
	}
	panic("no node " + name)
}

func (n *Node) now() metav1.Time {
	return metav1.Time{Time: time.Now().Add(n.Skew).Truncate(time.Second)}
}

func (n *Node) stamp(t time.Time) metav1.Time {
	return metav1.Time{Time: t.Add(n.Skew).Truncate(time.Second)}
}

func (n *Node) local(uid types.UID) *local {
	for _, l := range n.pods {
		if l.uid == uid {
			return l
		}
	}
	return nil
}

// scripts keeps what will happen in a Pod until a node takes it.
func (c *Cluster) scripts(pod *corev1.Pod, script PodScript) {
	l := &local{uid: pod.UID, script: script}
	for _, kind := range []ContainerKind{Init, Native, Spider, Ordinary} {
		if kind == Spider {
			l.containers = append(l.containers, &container{name: "spider", kind: Spider, script: script.Spider})
		}
		for _, extra := range script.Injected {
			if extra.Kind == kind {
				l.containers = append(l.containers, &container{name: extra.Name, kind: kind, script: extra.Script})
			}
		}
	}
	c.waiting = append(c.waiting, l)
}

// Schedule lets the scheduler look at each Pod that has no node, and bind it to the one that is picked.
func (c *Cluster) Schedule(pick func(n int) int) {
	c.as("the scheduler", func() {
		for _, pod := range c.AllPods() {
			if pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil || podEnded(pod) {
				continue
			}
			var up []*Node
			for _, n := range c.nodes {
				if n.State == Up && !n.Deleted && !n.OutOfService {
					up = append(up, n)
				}
			}
			if c.Unschedulable || len(up) == 0 {
				if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled }) {
					continue
				}
				modify(c, Pods, pod, func(p *corev1.Pod) {
					c.setScheduled(p, corev1.ConditionFalse, corev1.PodReasonUnschedulable, "0/3 nodes are available: 3 Insufficient cpu.")
				})
				continue
			}
			n := up[pick(len(up))]
			c.tell("the scheduler binds Pod %s to node %s", pod.Name, n.Name)
			modify(c, Pods, pod, func(p *corev1.Pod) {
				p.Spec.NodeName = n.Name
				c.setScheduled(p, corev1.ConditionTrue, "", "")
			})
			for _, l := range c.waiting {
				if l.uid == pod.UID {
					n.pods = append(n.pods, l)
				}
			}
		}
	})
}

func (c *Cluster) setScheduled(pod *corev1.Pod, status corev1.ConditionStatus, reason, message string) {
	for i := range pod.Status.Conditions {
		if cond := &pod.Status.Conditions[i]; cond.Type == corev1.PodScheduled {
			if cond.Status != status {
				cond.LastTransitionTime = c.serverTime()
			}
			cond.Status, cond.Reason, cond.Message = status, reason, message
			return
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: status, Reason: reason, Message: message, LastTransitionTime: c.serverTime(),
	})
}

// CutOff separates a node from the cluster; its processes run on.
func (c *Cluster) CutOff(n *Node) {
	if n.State == Up && !n.Deleted {
		c.tell("node %s is cut off", n.Name)
		n.State, n.Since = Cut, time.Now()
	}
}

// PowerOff ends everything on a node.
func (c *Cluster) PowerOff(n *Node) {
	if n.State == Off || n.Deleted {
		return
	}
	c.tell("node %s loses its power", n.Name)
	if n.State == Up {
		n.Since = time.Now()
	}
	n.State = Off
	for _, p := range c.processes {
		if p.Node == n.Name {
			p.lose("its node lost power")
		}
	}
}

// Reconnect brings a node back. One that was off has lost its containers: with made "Unknown" the runtime says 255 of them, with
// "ContainerStatusUnknown" the kubelet says 137, and with "" nothing is known of them any more, so that they are started again.
func (c *Cluster) Reconnect(n *Node, made string) {
	if n.State == Up || n.Deleted {
		return
	}
	c.tell("node %s is back", n.Name)
	if n.State == Off {
		c.forgetContainers(n, made)
	}
	n.State, n.Since, n.OutOfService = Up, time.Now(), false
}

// LoseRuntime has a node's container runtime lose its state, and all its processes.
func (c *Cluster) LoseRuntime(n *Node, made string) {
	if n.State != Up || n.Deleted {
		return
	}
	c.tell("node %s loses the state of its container runtime", n.Name)
	for _, p := range c.processes {
		if p.Node == n.Name {
			p.lose("its node's runtime lost its state")
		}
	}
	c.forgetContainers(n, made)
}

func (c *Cluster) forgetContainers(n *Node, made string) {
	for _, l := range n.pods {
		pod := c.Pod(l.uid)
		if pod == nil || podEnded(pod) {
			continue
		}
		for _, ct := range l.containers {
			if ct.proc == nil || ct.proc.Lost == "" || ct.made != "" || ct.kind == Init {
				continue
			}
			if made == "" && l.killing == "" && pod.DeletionTimestamp == nil {
				ct.proc = nil // it will be started again, in the same Pod
				continue
			}
			ct.made = made
			if made == "" {
				ct.made = "ContainerStatusUnknown"
			}
			ct.finished = time.Now()
		}
	}
}

// Remove deletes a node's Node object. The machine may still be running.
func (c *Cluster) Remove(n *Node) {
	if !n.Deleted {
		c.tell("somebody deletes Node %s", n.Name)
		n.Deleted = true
		if n.State == Up {
			n.State, n.Since = Cut, time.Now()
		}
	}
}

// Taint marks a node that does not answer as out of service.
func (c *Cluster) Taint(n *Node) {
	if n.State != Up && !n.OutOfService && !n.Deleted {
		c.tell("somebody gives node %s the out-of-service taint", n.Name)
		n.OutOfService = true
	}
}

// EvictFromLostNodes is the taint manager: five minutes after a node was lost its Pods are deleted, and stay until somebody can
// stop them.
func (c *Cluster) EvictFromLostNodes() {
	c.as("the taint manager", func() {
		for _, n := range c.nodes {
			if n.State == Up || n.Deleted || time.Since(n.Since) < 5*time.Minute && !n.OutOfService {
				continue
			}
			for _, pod := range c.AllPods() {
				if pod.Spec.NodeName != n.Name || pod.DeletionTimestamp != nil || podEnded(pod) {
					continue
				}
				c.tell("the taint manager deletes Pod %s of lost node %s", pod.Name, n.Name)
				modify(c, Pods, pod, func(p *corev1.Pod) {
					c.setDisrupted(p, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
				})
				_ = c.Delete(Pods, pod.Namespace, pod.Name, metav1.DeleteOptions{})
			}
		}
	})
}

// Evict has a node's kubelet end a Pod: for pressure on the node with a DisruptionTarget, for the Pod's own storage without.
func (c *Cluster) Evict(pod *corev1.Pod, ownStorage bool) {
	n := c.node(pod.Spec.NodeName)
	l := n.local(pod.UID)
	if n.State != Up || l == nil || l.killing != "" || podEnded(pod) || n.Deleted {
		return
	}
	l.evicted = &eviction{reason: "Evicted", message: "The node was low on resource: memory. ", disruption: true}
	if ownStorage {
		l.evicted = &eviction{reason: "Evicted", message: `Usage of EmptyDir volume "scrapethis-tmp" exceeds the limit "10Gi". `}
	}
	c.tell("the kubelet of node %s evicts Pod %s: %s", n.Name, pod.Name, l.evicted.message)
	c.event(pod, "Pod", "", corev1.EventTypeWarning, l.evicted.reason, l.evicted.message)
}

// Join brings a new node into the cluster.
func (c *Cluster) Join(name string) {
	c.tell("node %s joins", name)
	c.nodes = append(c.nodes, &Node{Name: name})
}
