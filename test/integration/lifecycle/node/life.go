package node

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// life is a Pod's life on the node: bound, started container by container, running, ended and, once it is to be deleted, gone.
type life struct {
	node *Node
	// pod is the Pod as it was when the node took it over.
	pod       *corev1.Pod
	processes []*Process // in the order in which they start
	// going is closed when the Pod is to be deleted.
	going chan struct{}
	// reporting is held while a status is written, so that the last one written is the latest.
	reporting sync.Mutex

	mu       sync.Mutex
	states   map[string]corev1.ContainerState
	started  metav1.Time // zero until the node has started it
	stopped  bool        // the node starts nothing more
	deleted  bool
	deadline *int64 // activeDeadlineSeconds
	clock    *time.Timer
	// reason and message are why the node itself ends the Pod.
	reason, message string
	over            bool // no process will run any more
}

func newLife(n *Node, pod *corev1.Pod) *life {
	pod = pod.DeepCopy()
	l := &life{
		node: n, pod: pod, going: make(chan struct{}), states: map[string]corev1.ContainerState{},
		deadline: pod.Spec.ActiveDeadlineSeconds,
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		kind := initial
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			kind = sidecar
		}
		l.processes = append(l.processes, newProcess(pod, c.Name, kind))
	}
	for i := range pod.Spec.Containers {
		l.processes = append(l.processes, newProcess(pod, pod.Spec.Containers[i].Name, ordinary))
	}
	for _, p := range l.processes {
		l.states[p.container] = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
	}
	return l
}

func (l *life) process(container string) *Process {
	for _, p := range l.processes {
		if p.container == container {
			return p
		}
	}
	return nil
}

// program returns what a container runs, nil if its image cannot be pulled.
func (l *life) program(p *Process) Program {
	n := l.node
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.of(l.pod.Namespace)
	other := c.others[p.container]
	switch {
	case c.missing[p.container]:
		return nil
	case p.container == v1alpha1.ContainerName:
		return c.program
	case other != nil:
		return other
	case p.kind == initial:
		return prepared
	}
	return idle
}

func (l *life) live() {
	n := l.node
	if err := l.bind(); err != nil {
		n.fail(err)
		return
	}
	l.mu.Lock()
	l.started = metav1.Now()
	l.setClock()
	l.mu.Unlock()

	var sidecars, mains sync.WaitGroup
	if l.initialize(&sidecars) {
		spider := l.process(v1alpha1.ContainerName)
		var run *Run
		if spider != nil {
			run = n.begin(spider)
		}
		for _, p := range l.processes {
			if p.kind == ordinary {
				l.start(p, &mains)
			}
		}
		l.report()
		mains.Wait()
		l.stopSidecars()
		sidecars.Wait()
		if run != nil {
			n.end(run)
		}
	} else {
		l.stopSidecars()
		sidecars.Wait()
	}
	l.mu.Lock()
	l.over = true
	if l.clock != nil {
		l.clock.Stop()
	}
	l.mu.Unlock()
	l.report()
	select {
	case <-l.going:
	case <-n.ctx.Done():
		return
	}
	l.remove()
}

// initialize runs the init containers, starts the sidecars among them, and reports whether the ordinary containers may start.
func (l *life) initialize(sidecars *sync.WaitGroup) bool {
	for _, p := range l.processes {
		if p.kind == ordinary {
			continue
		}
		if l.isStopped() {
			return false
		}
		var work sync.WaitGroup
		group := &work
		if p.kind == sidecar {
			group = sidecars
		}
		l.start(p, group)
		l.report()
		work.Wait()
		if ended := l.state(p).Terminated; p.kind == initial && (ended == nil || ended.ExitCode != 0) {
			return false
		}
	}
	// A Pod without init containers starts even if it already has to stop: nothing was in time to prevent it.
	return len(l.pod.Spec.InitContainers) == 0 || !l.isStopped()
}

// start starts a container, which is done when the group is.
func (l *life) start(p *Process, group *sync.WaitGroup) {
	program := l.program(p)
	if program == nil {
		l.set(p, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "ImagePullBackOff", Message: fmt.Sprintf("Back-off pulling image of container %s: not found", p.container),
		}})
		group.Go(func() { idle(p) })
		return
	}
	started := metav1.Now()
	l.set(p, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}})
	group.Go(func() {
		exit := p.execute(program)
		p.log.close()
		l.set(p, p.exited(exit, started))
		if p.kind == ordinary && l.othersRun() {
			l.report() // otherwise the Pod has ended, which is reported once
		}
	})
}

// stopSidecars stops Kubernetes' own sidecars, as the kubelet does when the ordinary containers have ended.
func (l *life) stopSidecars() {
	for _, p := range l.processes {
		if p.kind == sidecar && l.state(p).Terminated == nil {
			l.tellKilling(p)
			p.terminate(l.grace())
		}
	}
}

func (l *life) grace() time.Duration {
	return time.Duration(ptr.Deref(l.pod.Spec.TerminationGracePeriodSeconds, 30)) * time.Second
}

// follow does what a change of the Pod asks for.
func (l *life) follow(pod *corev1.Pod) {
	l.mu.Lock()
	if pod.Spec.ActiveDeadlineSeconds != nil {
		l.deadline = pod.Spec.ActiveDeadlineSeconds
		l.setClock()
	}
	first := pod.DeletionTimestamp != nil && !l.deleted
	if first {
		l.deleted = true
		close(l.going)
	}
	l.mu.Unlock()
	if pod.DeletionTimestamp != nil {
		l.stop(time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 0))*time.Second, first)
	}
}

// setClock stops the Pod when it has been active for as long as it may. The caller holds the mutex.
func (l *life) setClock() {
	if l.deadline == nil || l.started.IsZero() || l.over {
		return
	}
	if l.clock != nil {
		l.clock.Stop()
	}
	left := time.Until(l.started.Add(time.Duration(*l.deadline) * time.Second))
	l.clock = time.AfterFunc(left, func() {
		l.stopFor("DeadlineExceeded", "Pod was active on the node longer than the specified deadline", l.grace())
	})
}

// stopFor stops the Pod for a reason of the node's own, which its status then gives.
func (l *life) stopFor(reason, message string, grace time.Duration) {
	l.mu.Lock()
	if l.over || l.reason != "" {
		l.mu.Unlock()
		return
	}
	l.reason, l.message = reason, message
	l.mu.Unlock()
	l.stop(grace, true)
}

// stop stops what runs of the Pod: the sidecars after the others. The first time, the node reports it in Events.
func (l *life) stop(grace time.Duration, first bool) {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	for _, p := range l.processes {
		if l.state(p).Terminated != nil {
			continue
		}
		if first && grace > 0 && p.kind != sidecar && l.state(p).Running != nil {
			l.tellKilling(p)
		}
		if p.kind == sidecar {
			p.limit(grace)
		} else {
			p.terminate(grace)
		}
	}
}

// gone kills what runs of a Pod that no longer exists.
func (l *life) gone() {
	l.mu.Lock()
	l.stopped = true
	if !l.deleted {
		l.deleted = true
		close(l.going)
	}
	l.mu.Unlock()
	for _, p := range l.processes {
		p.limit(0)
		p.log.close()
	}
}

func (l *life) lose(end Exit) {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	for _, p := range l.processes {
		p.lose(end)
	}
}

func (l *life) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

func (l *life) state(p *Process) corev1.ContainerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.states[p.container]
}

func (l *life) set(p *Process, state corev1.ContainerState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states[p.container] = state
}

// othersRun reports whether a container has not ended.
func (l *life) othersRun() bool {
	for _, p := range l.processes {
		if p.kind != initial && l.state(p).Terminated == nil {
			return true
		}
	}
	return false
}
