package simulated

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Forever is longer than any history.
const Forever = 1000 * time.Hour

// Script is what a container does undisturbed, and when it is signalled to end.
type Script struct {
	// Waits is the reason of the waiting state in which the container stays until Ready, "" where it starts as soon as it may.
	Waits   string
	Message string
	Ready   time.Time
	// Runs is how long it runs by itself, and Exit what it exits with then.
	Runs time.Duration
	Exit int32
	// Reason is the runtime's word for the end, empty for Completed or Error. OOMKilled may come with exit code 0.
	Reason string
	// FinishReason is Scrapy's, empty where nothing is dumped at the end.
	FinishReason string
	// Items is how many items it scrapes in ten seconds, and Stalls for how long it does so, 0 for as long as it runs.
	Items  int64
	Stalls time.Duration
	// Reacts is how long after a SIGTERM it ends, with TermExit; one that exceeds its grace period is killed.
	Reacts   time.Duration
	TermExit int32
}

// ContainerKind is the kind of a container of a Pod.
type ContainerKind int

// The kinds of containers.
const (
	Spider   ContainerKind = iota
	Ordinary               // a further ordinary container
	Native                 // an init container with restartPolicy Always
	Init                   // an init container
)

// Injected is a container that somebody adds to a Pod.
type Injected struct {
	Name   string
	Kind   ContainerKind
	Script Script
}

// PodScript is what will happen in a Pod.
type PodScript struct {
	Spider   Script
	Injected []Injected
	// Unmountable is until when a volume does not mount, and why.
	Unmountable  time.Time
	MountMessage string
}

// Process is what really runs: one start of one container.
type Process struct {
	// SpiderJob, Pod and Container say what it is a process of, by UID and name.
	SpiderJob types.UID
	Pod       types.UID
	PodName   string
	Container string
	Kind      ContainerKind
	Node      string
	// Attempt counts the starts of the container in this Pod, from 1.
	Attempt int
	Started time.Time
	// DeclaredDead says that somebody declared it dead while it may have been alive, and who: a forced deletion, a node that was
	// removed from the cluster or marked out of service.
	DeclaredDead string
	// Signalled is when it was first signalled to end, zero if it was not; SignalledBy says why.
	Signalled   time.Time
	SignalledBy string
	// Lost says that its node lost it: power, or the runtime's state.
	Lost string

	script Script
	ends   time.Time // when it ends, as things stand
	exit   int32
	reason string
	killAt time.Time
}

// Ends is when the process has ended, or will end undisturbed.
func (p *Process) Ends() time.Time { return p.ends }

// Running reports whether it runs now.
func (p *Process) Running() bool { return time.Now().Before(p.ends) }

// Exit is its exit code, once it has ended.
func (p *Process) Exit() int32 { return p.exit }

// Undisturbed reports whether it came, or will come, to its end by itself.
func (p *Process) Undisturbed() bool { return p.Signalled.IsZero() && p.Lost == "" }

// FinishReason is Scrapy's word for its end; "shutdown" after a signal, empty where nothing was dumped.
func (p *Process) FinishReason() string {
	switch {
	case p.Lost != "" || p.exit == 137:
		return ""
	case p.Signalled.IsZero():
		return p.script.FinishReason
	case p.exit == 0:
		return "shutdown"
	}
	return ""
}

// Items is how many items it has scraped so far.
func (p *Process) Items() int64 {
	until := time.Now()
	if p.ends.Before(until) {
		until = p.ends
	}
	worked := until.Sub(p.Started)
	if p.script.Stalls > 0 {
		worked = min(worked, p.script.Stalls)
	}
	return p.script.Items * int64(worked/time.Second) / 10
}

// signal asks the process to end within grace from now.
func (p *Process) signal(grace time.Duration, why string) {
	now := time.Now()
	if !now.Before(p.ends) {
		return
	}
	natural := p.Signalled.IsZero()
	killAt := now.Add(grace)
	if natural {
		p.Signalled, p.SignalledBy = now, why
		p.killAt = killAt
		reacts := now.Add(p.script.Reacts)
		if own := p.ends; own.Before(reacts) && !own.After(killAt) {
			p.Signalled, p.SignalledBy = time.Time{}, "" // it is through before the signal has any effect
			return
		}
		p.ends, p.exit, p.reason = reacts, p.script.TermExit, ""
	}
	if killAt.Before(p.killAt) {
		p.killAt = killAt
	}
	if p.killAt.Before(p.ends) {
		p.ends, p.exit, p.reason = p.killAt, 137, ""
	}
}

// lose ends the process at once, without a word.
func (p *Process) lose(why string) {
	if now := time.Now(); now.Before(p.ends) {
		p.ends, p.exit, p.Lost = now, 137, why
	}
}

// start begins a process.
func (c *Cluster) start(n *Node, pod *corev1.Pod, name string, kind ContainerKind, s Script, attempt int) *Process {
	now := time.Now()
	p := &Process{
		SpiderJob: types.UID(pod.Labels[v1alpha1.LabelSpiderJobUID]), Pod: pod.UID, PodName: pod.Name,
		Container: name, Kind: kind, Node: n.Name, Attempt: attempt, Started: now,
		script: s, ends: now.Add(s.Runs), exit: s.Exit, reason: s.Reason,
	}
	c.processes = append(c.processes, p)
	c.tell("node %s: container %s of Pod %s starts (start %d)", n.Name, name, pod.Name, attempt)
	if c.started != nil {
		c.started(p)
	}
	return p
}

// OutOfMemory reports whether it ended because its memory was used up.
func (p *Process) OutOfMemory() bool {
	return p.Undisturbed() && p.reason == "OOMKilled" && !p.Running()
}

// ran is how long it has run so far.
func (p *Process) ran() time.Duration {
	if now := time.Now(); now.Before(p.ends) {
		return now.Sub(p.Started)
	}
	return p.ends.Sub(p.Started)
}

// StoodStill is for how long it has scraped nothing, or had when it ended.
func (p *Process) StoodStill() time.Duration {
	switch ran := p.ran(); {
	case p.script.Items == 0:
		return ran
	case p.script.Stalls > 0:
		return max(ran-p.script.Stalls, 0)
	}
	return min(p.ran(), 10*time.Second)
}
