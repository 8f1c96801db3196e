package admission

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/changes"
	"github.com/scrapethis/spider-operator/internal/order"
)

// patience is how long a SpiderJob that was admitted may take to create its Job. Then it loses its places until it asks again, so
// that it cannot block others.
const patience = 2 * time.Minute

// SettlingMessage is the message of what waits for a new leader. When that is over, another one follows.
const SettlingMessage = "waits until this controller, which has just begun to lead, knows what runs"

// Verdict says whether a SpiderJob may create its Job.
type Verdict struct {
	// Go says that it may. Otherwise there is no need to ask again before the Gate enqueues it.
	Go bool
	// Message is why not.
	Message string
}

// Gate admits SpiderJobs. It keeps everything in memory, an entry for each SpiderJob that has not ended. A
// Follower tells it the limits, and starts it.
//
// Each reconcile of a SpiderJob calls Wants, Runs or Gone. Repeating a call changes nothing. All methods may be called at any
// time, from anywhere, and return at once.
type Gate struct {
	woken *changes.Queue

	mu         sync.Mutex
	namespaces map[string]*namespace
	phase      phase
}

// phase is what the Gate knows.
type phase int

const (
	// opened knows the limits, and what runs.
	opened phase = iota
	// settling knows the limits, but not yet what a predecessor has admitted.
	settling
	// blind knows neither.
	blind
)

// namespace is what the Gate knows of one namespace.
type namespace struct {
	name   string
	order  *order.Namespace
	limits order.Limits
	jobs   map[string]*job
	// unused are the names of those that were admitted, the earliest first. They may be used, or gone, by now.
	unused []string
}

// job is a SpiderJob that has not ended.
type job struct {
	run   order.Run
	state state
	// since is when it was admitted, or last asked since.
	since time.Time
	// held says that it had to wait.
	held bool
}

type state int

const (
	waiting state = iota
	admitted
	running
)

// New returns an empty Gate, which lets everything pass.
func New() *Gate { return &Gate{woken: changes.New(), namespaces: map[string]*namespace{}} }

// Woken returns the channel of SpiderJobs that were admitted.
func (g *Gate) Woken() <-chan event.GenericEvent { return g.woken.Events() }

// Enqueue enqueues the SpiderJobs that were admitted, until ctx ends.
func (g *Gate) Enqueue(ctx context.Context) { g.woken.Run(ctx) }

// Wants asks whether a SpiderJob of a namespace may create its Job now. One that has its places keeps them.
func (g *Gate) Wants(namespace string, run order.Run, now time.Time) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of(namespace)
	j := n.jobs[run.Name]
	if j == nil {
		j = &job{}
		n.jobs[run.Name] = j
	}
	if j.state == waiting {
		j.run = run // its priority may have changed
		n.order.Wait(run)
		g.admit(n, run.Name, now)
	}
	if j.state == waiting {
		j.held = true
		return Verdict{Message: n.why(run.Name, g.phase)}
	}
	j.state, j.since = admitted, now
	return Verdict{Go: true}
}

// Runs reports that a SpiderJob has a Job, or a Pod.
func (g *Gate) Runs(namespace string, run order.Run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of(namespace)
	j := n.jobs[run.Name]
	if j == nil {
		j = &job{run: run}
		n.jobs[run.Name] = j
	}
	if j.state == waiting {
		n.order.Start(j.run)
	}
	j.state = running
}

// Gone reports that a SpiderJob neither runs nor wants to: it has ended, pauses, waits for something else, or does not exist.
func (g *Gate) Gone(key types.NamespacedName, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.namespaces[key.Namespace]
	if n == nil || n.jobs[key.Name] == nil {
		return
	}
	n.remove(key.Name)
	g.admit(n, "", now)
	g.drop(n)
}

// of returns what is known of a namespace. It needs the mutex.
func (g *Gate) of(name string) *namespace {
	n := g.namespaces[name]
	if n == nil {
		n = &namespace{name: name, order: order.New(), jobs: map[string]*job{}}
		g.namespaces[name] = n
	}
	return n
}

// drop forgets a namespace of which there is nothing to know. It needs the mutex.
func (g *Gate) drop(n *namespace) {
	if len(n.jobs) == 0 && unlimited(&n.limits) {
		delete(g.namespaces, n.name)
	}
}

// admit admits all that have room, and enqueues them, but for the one that asks. It needs the mutex.
func (g *Gate) admit(n *namespace, asks string, now time.Time) {
	if g.phase == blind || g.phase == settling && !unlimited(&n.limits) {
		return
	}
	n.takeBack(now)
	for {
		next, ok := n.order.Next()
		if !ok {
			return
		}
		n.order.Start(next)
		j := n.jobs[next.Name]
		j.state, j.since = admitted, now
		if j.held {
			admissionWait.Observe(max(now.Sub(next.Created).Seconds(), 0))
		}
		if next.Name != asks {
			n.unused = append(n.unused, next.Name)
			g.woken.Add(types.NamespacedName{Namespace: n.name, Name: next.Name})
		}
	}
}

// takeBack takes their places from those that were admitted, and do not use them.
func (n *namespace) takeBack(now time.Time) {
	for len(n.unused) > 0 {
		j := n.jobs[n.unused[0]]
		if j != nil && j.state == admitted && now.Sub(j.since) <= patience {
			return
		}
		if j != nil && j.state == admitted {
			n.remove(n.unused[0])
		}
		n.unused = n.unused[1:]
	}
}

func (n *namespace) remove(name string) {
	n.order.Remove(name)
	delete(n.jobs, name)
}

// why says what a SpiderJob waits for, in words that stay the same while its limit does.
func (n *namespace) why(name string, phase phase) string {
	block, blocked := n.order.Blocked(name)
	var of string
	switch {
	case phase == blind:
		return "" // it will be known in a moment
	case phase == settling:
		return SettlingMessage
	case !blocked, block.Kind == order.ByTurn:
		return "waits for its turn"
	case block.Kind == order.ByNamespace:
		of = "the namespace"
	case block.Name == "":
		of = "those without a user"
	default:
		of = string(block.Kind) + " " + block.Name
	}
	return fmt.Sprintf("waits for 1 of %d places of %s", block.Limit, of)
}
