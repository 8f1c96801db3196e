package quota

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/changes"
)

// Job is a SpiderJob that has no Pod yet.
type Job struct {
	// Key names the SpiderJob, Created is its creationTimestamp: the oldest comes first.
	Key     types.NamespacedName
	Created time.Time
	// Shape is the same for all SpiderJobs of a namespace whose Pods ask a quota for the same, such as a Spider's name and
	// generation. If a Job exists it is the shape of that Job.
	Shape string
	// Recorded is the message of the SpiderJob's status if its reason is QuotaExceeded, and otherwise empty. It lets a process
	// that has just started know what its predecessor knew.
	Recorded string
}

// Verdict says whether a Job may be made.
type Verdict struct {
	// Go says that it may. Otherwise the SpiderJob is parked: there is no need to ask again before the Gate enqueues it.
	Go bool
	// Message is why not, in words that stay the same while the reason does.
	Message string
}

// Gate decides which SpiderJobs may have a Job that waits for room in a quota. It keeps everything in memory, an entry for each
// SpiderJob without a Pod, and may forget it at any time. It is a manager.Runnable, and enqueues nothing until it is started.
//
// Each reconcile of a SpiderJob ends with one call of the Gate: Wants, MayKeep, Refused, Started or Gone. Repeating a call
// changes nothing. All methods may be called at any time, from anywhere, and return at once.
type Gate struct {
	woken *changes.Queue

	mu    sync.Mutex
	lines map[string]*line
}

// New returns an empty Gate, which lets everything pass.
func New() *Gate {
	return &Gate{woken: changes.New(), lines: map[string]*line{}}
}

// Start enqueues SpiderJobs until ctx ends.
func (g *Gate) Start(ctx context.Context) error {
	g.woken.Run(ctx)
	return nil
}

// Woken returns the channel of SpiderJobs whose turn has come, and of those whose Job has to be deleted.
func (g *Gate) Woken() <-chan event.GenericEvent { return g.woken.Events() }

// Wants asks whether a SpiderJob that has no Job may make it now.
func (g *Gate) Wants(job Job, now time.Time) (v Verdict) {
	g.with(job.Key.Namespace, func(l *line) (wake []string) {
		v, wake = l.wants(job, now)
		return wake
	})
	return v
}

// MayKeep asks whether a SpiderJob may keep its Job, which has no Pod. If not, the Job has to be deleted.
func (g *Gate) MayKeep(job Job, now time.Time) (keep bool) {
	g.with(job.Key.Namespace, func(l *line) (wake []string) {
		keep, wake = l.mayKeep(job, now)
		return wake
	})
	return keep
}

// Refused reports that a SpiderJob's Job has no Pod since it was refused for quota, the last time at the time at, by the clock
// of what reported it: the same message at the same time is not a new refusal.
func (g *Gate) Refused(job Job, message string, at, now time.Time) {
	g.with(job.Key.Namespace, func(l *line) []string { return l.refused(job, message, at, now) })
}

// Started reports that a SpiderJob has its Pod: there was room.
func (g *Gate) Started(key types.NamespacedName, now time.Time) {
	g.ifKnown(key, func(l *line) []string { return l.started(key.Name, now) })
}

// Gone reports that a SpiderJob does not wait for quota: it has ended, was cancelled or deleted, is suspended, or waits for
// something else.
func (g *Gate) Gone(key types.NamespacedName, now time.Time) {
	g.ifKnown(key, func(l *line) []string { return l.gone(key.Name, now) })
}

// with calls change with the line of a namespace, and enqueues the SpiderJobs that it returns.
func (g *Gate) with(namespace string, change func(*line) []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[namespace]
	if l == nil {
		l = newLine()
		g.lines[namespace] = l
	}
	g.apply(namespace, l, change)
}

// ifKnown is like with, for a namespace with waiting SpiderJobs only.
func (g *Gate) ifKnown(key types.NamespacedName, change func(*line) []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lines[key.Namespace]; l != nil {
		g.apply(key.Namespace, l, change)
	}
}

// apply needs the mutex. An empty line is dropped.
func (g *Gate) apply(namespace string, l *line, change func(*line) []string) {
	for _, name := range change(l) {
		g.woken.Add(types.NamespacedName{Namespace: namespace, Name: name})
	}
	if len(l.entries) == 0 {
		delete(g.lines, namespace)
	}
}
