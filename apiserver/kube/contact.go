package kube

import (
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// silence is how long an open watch may be silent: kube-apiserver sends a bookmark every minute.
	silence = 75 * time.Second
	// refusedAfter is how often in a row Kubernetes has to refuse a read before it counts as refused: a kube-apiserver that has
	// just started refuses much, until it has read its roles.
	refusedAfter = 3
)

// State says how up to date a view of a scope is.
type State struct {
	// Synced says that the view has been complete at least once.
	Synced bool
	// Refused says that Kubernetes does not let the scope be read.
	Refused bool
	// Age is how long nothing has been heard on a watch of it: 0 while it is open.
	Age time.Duration
}

// contact knows when Kubernetes was last heard.
type contact struct {
	mu     sync.Mutex
	synced bool
	open   bool
	last   time.Time // when Kubernetes was last heard
	// doubtful says that an open watch proves nothing: the last one was silent for too long, or a probe had no answer.
	doubtful bool
	refusals int
}

// listed records that a complete list was read.
func (c *contact) listed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced, c.refusals, c.last = true, 0, time.Now()
}

// opened records that a watch was opened after a complete list.
func (c *contact) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.refusals = true, 0
	if !c.doubtful {
		c.last = time.Now()
	}
}

// heard records that the watch has progressed, if only by a bookmark, or that Kubernetes has answered a probe.
func (c *contact) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.doubtful = time.Now(), false
}

// closed records that the watch has ended, and that Kubernetes was reachable until the given time.
func (c *contact) closed(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	if !c.doubtful && until.After(c.last) {
		c.last = until
	}
}

// doubt records that Kubernetes does not answer a probe, although the watch is open.
func (c *contact) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubtful = true
}

// silent records that the watch was given up because it had been silent for too long.
func (c *contact) silent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.doubtful = false, true
}

func (c *contact) isDoubtful() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubtful
}

// failed records why the scope could not be read, and reports whether Kubernetes has refused that repeatedly.
func (c *contact) failed(err error) (refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if apierrors.IsForbidden(err) {
		c.refusals++
	}
	return c.refusals >= refusedAfter
}

func (c *contact) state(now time.Time) State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{Synced: c.synced, Refused: c.refusals >= refusedAfter}
	silentFor := max(0, now.Sub(c.last))
	if !c.last.IsZero() && (!c.open || c.doubtful || silentFor > silence) {
		s.Age = silentFor
	}
	return s
}
