package node

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// killedCode is the exit code of a process that a SIGKILL ended.
const killedCode = 128 + 9

// Program runs in place of a container's image. It returns when the process ends, and must do so when the process is terminated
// or killed, unless it simulates a process that ignores SIGTERM.
type Program func(p *Process) Exit

// Exit is how a process ends.
type Exit struct {
	Code int32
	// Message is what it left in /dev/termination-log.
	Message string
	// Reason is the runtime's reason for the end: by default Completed or Error, according to the code.
	Reason string
}

// Process is a running Program.
type Process struct {
	// Pod is the process's Pod as it was when the node took it over.
	Pod *corev1.Pod
	// Attempt counts the processes of its SpiderJob, from 1.
	Attempt int

	container string
	kind      containerKind
	log       *logbook

	term, kill, lost chan struct{}

	mu         sync.Mutex
	terminated bool
	killer     *time.Timer
	deadline   time.Time
	end        Exit // what a node that has lost the process reports
	losing     sync.Once
}

// containerKind is the role of a container in its Pod.
type containerKind int

const (
	// ordinary containers run side by side: a Pod has ended when all of them have.
	ordinary containerKind = iota
	// initial containers run one after the other, before the ordinary ones start.
	initial
	// sidecar containers are Kubernetes' own sidecars: they start before the ordinary ones, and are stopped after them.
	sidecar
)

func newProcess(pod *corev1.Pod, container string, kind containerKind) *Process {
	return &Process{
		Pod: pod, container: container, kind: kind, log: newLogbook(),
		term: make(chan struct{}), kill: make(chan struct{}), lost: make(chan struct{}),
	}
}

// Terminated is closed when the process gets a SIGTERM; a process that is killed at once never gets one.
func (p *Process) Terminated() <-chan struct{} { return p.term }

// Killed is closed when the process is killed. What the process does afterwards is not visible to anybody.
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

// terminate sends a SIGTERM, if none was sent yet, and a SIGKILL when the grace period is over. Without a grace period it sends
// only the SIGKILL. A shorter period given later applies, a longer one does not.
func (p *Process) terminate(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if grace > 0 && !p.terminated {
		p.terminated = true
		close(p.term)
	}
	p.killAfter(grace)
}

// limit sends a SIGKILL when the grace period is over, and no SIGTERM.
func (p *Process) limit(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killAfter(grace)
}

func (p *Process) killAfter(grace time.Duration) {
	switch deadline := time.Now().Add(grace); {
	case p.killer == nil:
		p.killer = time.AfterFunc(grace, func() {
			p.log.close()
			close(p.kill)
		})
		p.deadline = deadline
	case deadline.Before(p.deadline) && p.killer.Stop():
		p.killer.Reset(grace)
		p.deadline = deadline
	}
}

// lose ends the process without a signal. The node invents an end for it.
func (p *Process) lose(end Exit) {
	p.losing.Do(func() {
		p.end = end
		close(p.lost)
	})
	p.limit(0)
}

// execute runs the program to its end, or as long as it may run.
func (p *Process) execute(program Program) Exit {
	exited := make(chan Exit, 1)
	go func() { exited <- program(p) }()
	select {
	case exit := <-exited:
		return exit
	case <-p.lost:
		return p.end
	case <-p.kill:
		select {
		case <-p.lost:
			return p.end
		default:
			return Exit{Code: killedCode}
		}
	}
}

// exited describes the end of the process. The end of a process that fails without a message is quoted from its log.
func (p *Process) exited(exit Exit, started metav1.Time) corev1.ContainerState {
	reason := exit.Reason
	switch {
	case reason != "":
	case exit.Code == 0:
		reason = "Completed"
	default:
		reason = "Error"
	}
	message := exit.Message
	if message == "" && exit.Code != 0 {
		message = p.log.lastBytes(2048)
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: exit.Code, Reason: reason, Message: message, StartedAt: started, FinishedAt: metav1.Now(),
	}}
}

// idle is a container that works until it is asked to stop.
func idle(p *Process) Exit {
	select {
	case <-p.Terminated():
	case <-p.Killed():
	}
	return Exit{}
}

// prepared is an init container that has nothing to do.
func prepared(*Process) Exit { return Exit{} }
