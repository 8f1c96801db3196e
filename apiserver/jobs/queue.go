package jobs

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/order"
)

// Place is where a job is in the queue of its namespace.
type Place struct {
	// Position counts from 1; 0 if it is beyond MaxPosition, or not known yet.
	Position int
	// WaitingFor is what the job waits for, in the controller's words; empty if that is not known yet.
	WaitingFor string
}

// MaxPosition is the last position that is told.
const MaxPosition = 1000

// Place returns where a job is in the queue; nil if no limit holds it back.
func (s *Jobs) Place(job *view.Job) *Place {
	if !job.HeldBack() {
		return nil
	}
	return &Place{
		Position:   s.positions.of(job.Namespace, s.now(), s.order)[job.Name],
		WaitingFor: strings.TrimPrefix(job.Message, "waits for "),
	}
}

// order returns the names of the first jobs of a namespace that wait, in their order.
func (s *Jobs) order(namespace string) []string {
	queue := order.New()
	weights := map[string]int{}
	for _, weight := range s.quotas.Of(namespace).Weights {
		weights[weight.UserID] = int(weight.Weight)
	}
	queue.SetLimits(order.Limits{Weights: weights}) // Positions are those under no other limits.
	for _, user := range s.view.Queues(namespace, MaxPosition) {
		for i := range user.Admitted {
			queue.Start(order.Run{Name: fmt.Sprintf("%s/%d", user.UserID, i), User: user.UserID}) // No other name contains a slash.
		}
		for _, run := range user.Waiting {
			queue.Wait(run)
		}
	}
	return queue.Positions(MaxPosition)
}

// positions are those of the jobs that wait, by namespace. Those of a namespace are computed once a second at most, however many
// callers ask.
type positions struct {
	mu         sync.Mutex
	namespaces map[string]*namespacePositions
}

type namespacePositions struct {
	mu sync.Mutex
	at time.Time
	of map[string]int // by name; it is replaced, never changed
}

// positionsFor is for how long positions count as known.
const positionsFor = time.Second

func (p *positions) of(namespace string, now time.Time, compute func(namespace string) []string) map[string]int {
	known := p.entry(namespace, now)
	known.mu.Lock()
	defer known.mu.Unlock()
	if age := now.Sub(known.at); known.of != nil && age >= 0 && age < positionsFor {
		return known.of
	}
	known.of, known.at = map[string]int{}, now
	for i, name := range compute(namespace) {
		known.of[name] = i + 1
	}
	return known.of
}

// entry returns the positions of a namespace, and forgets those of the others that are outdated.
func (p *positions) entry(namespace string, now time.Time) *namespacePositions {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.namespaces[namespace]
	if known != nil {
		return known
	}
	for name, other := range p.namespaces {
		if other.mu.TryLock() {
			if now.Sub(other.at) > positionsFor {
				delete(p.namespaces, name)
			}
			other.mu.Unlock()
		}
	}
	known = &namespacePositions{at: now}
	p.namespaces[namespace] = known
	return known
}

// Queue is what limits say about the jobs of a namespace. A limit of 0 is none.
type Queue struct {
	All Share
	// User is what the caller has of it, and Weight its weight; nil for the namespace itself.
	User   *Share
	Weight int
	// MaxPriority is the highest priority that a caller may give.
	MaxPriority int
	// Groups are those to which the SpiderQuota gives a limit, in its order, and DefaultGroupMax that of each other group.
	Groups          []Group
	DefaultGroupMax int
}

// Share is how many jobs have and have not been admitted, and how many may.
type Share struct {
	Running, MaxRunning int
	Queued, MaxQueued   int
}

// Group is a group of spiders that share a limit.
type Group struct {
	Name         string
	Running, Max int
}

// Queue returns what limits say about the jobs of the caller's namespace.
func (s *Jobs) Queue(caller auth.Identity) *Queue {
	quota := s.quotas.Of(caller.Namespace)
	all := s.view.Usage(caller.Namespace)
	queue := &Queue{
		All: Share{
			Running: all.AdmittedJobs, MaxRunning: int(quota.MaxRunning), Queued: all.QueuedJobs, MaxQueued: int(quota.MaxQueued),
		},
		MaxPriority: int(quota.MaxPriority), DefaultGroupMax: int(quota.DefaultGroupMax),
	}
	if caller.UserID != "" {
		own := s.view.UsageOf(caller.Namespace, caller.UserID)
		queue.User = &Share{
			Running: own.AdmittedJobs, MaxRunning: int(quota.MaxRunningPerUser),
			Queued: own.QueuedJobs, MaxQueued: int(quota.MaxQueuedPerUser),
		}
		queue.Weight = 1
		for _, weight := range quota.Weights {
			if weight.UserID == caller.UserID {
				queue.Weight = int(weight.Weight)
			}
		}
	}
	if len(quota.Groups) == 0 {
		return queue
	}
	running := map[string]int{}
	for spider, count := range s.view.AdmittedBySpider(caller.Namespace) {
		running[s.groups(caller.Namespace, spider)] += count
	}
	for _, group := range quota.Groups {
		queue.Groups = append(queue.Groups, Group{Name: group.Name, Running: running[group.Name], Max: int(group.Max)})
	}
	return queue
}
