package node

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Program is what runs in place of a container's image. It returns when the process ends, and must do so when it is
// terminated or killed, unless it means to play a process that ignores the former.
type Program func(p *Process) Exit

// Exit is how a process ends.
type Exit struct {
	Code int32
	// Message is what it left in /dev/termination-log.
	Message string
	// Reason is the runtime's word for the end: by default Completed or Error, as the code says.
	Reason string
}

// Run is a process, past or present.
type Run struct {
	// Namespace and SpiderJob say for whom it ran.
	Namespace, SpiderJob string
	Pod                  string
	// Ended is false while it runs.
	Ended bool
}

// Process is a running Program.
type Process struct {
	// Pod is the process's Pod as it was when the node took it on.
	Pod *corev1.Pod
	// Attempt counts the processes of its SpiderJob, from 1.
	Attempt int

	log *logbook

	term, kill chan struct{}
	mu         sync.Mutex
	killer     *time.Timer
	deadline   time.Time
}

func newProcess(pod *corev1.Pod) *Process {
	return &Process{Pod: pod.DeepCopy(), log: newLogbook(), term: make(chan struct{}), kill: make(chan struct{})}
}

// Terminated is closed when the process gets a SIGTERM, which one that is killed at once never does.
func (p *Process) Terminated() <-chan struct{} { return p.term }

// Killed is closed when the process is killed. What it does from then on is not seen by anyone.
func (p *Process) Killed() <-chan struct{} { return p.kill }

// Printf writes to the log.
func (p *Process) Printf(format string, args ...any) { p.log.write(fmt.Sprintf(format, args...)) }

// Followed waits until somebody follows the log, for at most limit.
func (p *Process) Followed(limit time.Duration) {
	timeout := time.After(limit)
	for {
		followers, changed := p.log.watch()
		if followers > 0 {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			return
		case <-p.kill:
			return
		}
	}
}

// terminate sends a SIGTERM, if none was sent yet, and a SIGKILL when the grace period is over. Without one there is only the
// SIGKILL. A shorter period given later counts, a longer one does not.
func (p *Process) terminate(graceSeconds int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	grace := time.Duration(graceSeconds) * time.Second
	switch deadline := time.Now().Add(grace); {
	case p.killer == nil:
		p.killer = time.AfterFunc(grace, func() {
			p.log.close()
			close(p.kill)
		})
		p.deadline = deadline
		if grace > 0 {
			close(p.term)
		}
	case deadline.Before(p.deadline) && p.killer.Stop():
		p.killer.Reset(grace)
		p.deadline = deadline
	}
}

// Runs returns the processes of a namespace in the order in which they started.
func (n *Node) Runs(namespace string) []Run {
	n.mu.Lock()
	defer n.mu.Unlock()
	var runs []Run
	for _, run := range n.runs {
		if run.Namespace == namespace {
			runs = append(runs, *run)
		}
	}
	return runs
}

// begin notes that a process starts.
func (n *Node) begin(p *Process) *Run {
	n.mu.Lock()
	defer n.mu.Unlock()
	run := &Run{Namespace: p.Pod.Namespace, SpiderJob: p.Pod.Labels[v1alpha1.LabelSpiderJob], Pod: p.Pod.Name}
	p.Attempt = 1
	for _, earlier := range n.runs {
		if earlier.Namespace == run.Namespace && earlier.SpiderJob == run.SpiderJob {
			p.Attempt++
		}
	}
	n.runs = append(n.runs, run)
	return run
}

func (n *Node) end(run *Run) {
	n.mu.Lock()
	defer n.mu.Unlock()
	run.Ended = true
}
