package node

import (
	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Run is a spider's process, past or present.
type Run struct {
	// Namespace and SpiderJob name the SpiderJob for which it ran.
	Namespace, SpiderJob string
	Pod                  string
	// Ended is false while the process, or another container of its Pod, runs.
	Ended bool
	// Beside says that another process of its SpiderJob ran when it started.
	Beside bool
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

// begin records that a spider's process starts.
func (n *Node) begin(p *Process) *Run {
	n.mu.Lock()
	defer n.mu.Unlock()
	run := &Run{Namespace: p.Pod.Namespace, SpiderJob: p.Pod.Labels[v1alpha1.LabelSpiderJob], Pod: p.Pod.Name}
	p.Attempt = 1
	for _, earlier := range n.runs {
		if earlier.Namespace == run.Namespace && earlier.SpiderJob == run.SpiderJob {
			p.Attempt++
			run.Beside = run.Beside || !earlier.Ended
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
