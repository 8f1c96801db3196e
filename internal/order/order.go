package order

import (
	"cmp"
	"maps"
	"time"

	"github.com/tidwall/btree"
)

// Run is a run that waits for its start, or runs.
type Run struct {
	// Name tells the runs of a namespace apart.
	Name string
	// User is whose run it is. Runs without one are those of a user of their own, who has no name.
	User string
	// Spider is the name of the run's Spider, and Group the Spider's group; none if it is empty.
	Spider, Group string
	// Created is when the run was created.
	Created time.Time
	// Priority is from -MaxPriority to MaxPriority; what is beyond counts as the nearest of them. Higher comes first.
	Priority int32
}

// Before reports whether a run comes before another one of its user.
func (r Run) Before(other Run) bool {
	return (&entry{Run: r, key: key(r)}).before(&entry{Run: other, key: key(other)})
}

// Limits say how many runs may run at once. 0 is no limit, and so is a name that a map does not have.
type Limits struct {
	// Running is the limit of the namespace, and RunningPerUser that of each user.
	Running, RunningPerUser int
	// Groups are the limits of groups. DefaultGroup is the limit of each group that is not among them.
	Groups       map[string]int
	DefaultGroup int
	// Spiders are the limits of spiders.
	Spiders map[string]int
	// Weights are those of users. A user who is not among them has the weight 1.
	Weights map[string]int
}

// Kind is what a run waits for.
type Kind string

const (
	// ByNamespace means that the namespace's limit is reached.
	ByNamespace Kind = "namespace"
	// ByUser means that the user's limit is reached.
	ByUser Kind = "user"
	// ByGroup means that the group's limit is reached.
	ByGroup Kind = "group"
	// BySpider means that the spider's limit is reached.
	BySpider Kind = "spider"
	// ByTurn means that no limit is reached: the run starts as soon as those have that come before it.
	ByTurn Kind = "turn"
)

// Block is why a run waits.
type Block struct {
	Kind Kind
	// Name is the name of the user, the group or the spider; Limit is its limit, or the namespace's, and Used how many runs count
	// in it, which may be more. All are empty for ByTurn.
	Name        string
	Limit, Used int
}

// headStart is how much earlier a run counts as created for each point of priority.
const headStart = 10 * time.Minute

// MaxPriority bounds the priority, and so the head start: the longest is a week. A much higher one would overflow.
const MaxPriority = 1000

// key returns a run's creation minus its head start.
func key(run Run) time.Time {
	priority := min(max(run.Priority, -MaxPriority), MaxPriority)
	return run.Created.Add(-headStart * time.Duration(priority))
}

// entry is a run that is known.
type entry struct {
	Run
	key     time.Time
	running bool
	lane    *lane
}

// before is the order of a user's runs.
func (e *entry) before(other *entry) bool {
	return cmp.Or(e.key.Compare(other.key), cmp.Compare(e.Name, other.Name)) < 0
}

func newTree() *btree.BTreeG[*entry] {
	return btree.NewBTreeGOptions((*entry).before, btree.Options{NoLocks: true, Degree: 16})
}

// Namespace holds the runs of a namespace that wait and that run.
type Namespace struct {
	limits          Limits
	runs            map[string]*entry
	all             places
	users           map[string]*user
	groups, spiders map[string]*places
}

// New returns a Namespace without runs and limits.
func New() *Namespace {
	return &Namespace{
		runs:    map[string]*entry{},
		users:   map[string]*user{},
		groups:  map[string]*places{},
		spiders: map[string]*places{},
	}
}

// SetLimits replaces the limits. What runs keeps its places, even if they are more than the limits allow now.
func (n *Namespace) SetLimits(limits Limits) {
	limits.Groups, limits.Spiders, limits.Weights = maps.Clone(limits.Groups), maps.Clone(limits.Spiders), maps.Clone(limits.Weights)
	n.limits = limits
	n.all.max = limits.Running
	for _, u := range n.users {
		u.max, u.weight = limits.RunningPerUser, limits.weight(u.name)
	}
	for name, p := range n.groups {
		p.max = limits.group(name)
	}
	for name, p := range n.spiders {
		p.max = limits.Spiders[name]
	}
}

func (l *Limits) group(name string) int {
	if name == "" {
		return 0
	}
	if limit, found := l.Groups[name]; found {
		return limit
	}
	return l.DefaultGroup
}

func (l *Limits) weight(user string) int { return max(l.Weights[user], 1) }

// Wait says that a run waits. What was said of it before no longer counts.
func (n *Namespace) Wait(run Run) { n.put(run, false) }

// Start says that a run runs: from now on it has its places, whether it waited, and whether it fits, or not. What was said of it
// before no longer counts.
func (n *Namespace) Start(run Run) { n.put(run, true) }

func (n *Namespace) put(run Run, running bool) {
	if known := n.runs[run.Name]; known != nil {
		if known.Run == run && known.running == running {
			return
		}
		n.Remove(run.Name)
	}
	e := &entry{Run: run, key: key(run), running: running, lane: n.join(run)}
	n.runs[run.Name] = e
	if !running {
		e.lane.waiting.Set(e)
		e.lane.user.waiting.Set(e)
		return
	}
	n.all.used++
	for _, limited := range e.lane.places() {
		limited.used++
	}
}

// Remove forgets a run. Its places are free.
func (n *Namespace) Remove(name string) {
	e := n.runs[name]
	if e == nil {
		return
	}
	delete(n.runs, name)
	if e.running {
		n.all.used--
		for _, limited := range e.lane.places() {
			limited.used--
		}
	} else {
		e.lane.waiting.Delete(e)
		e.lane.user.waiting.Delete(e)
	}
	n.leave(e.lane)
}

// Next returns the run that is to start next, and false if none fits. It takes no places: Start does.
//
// It looks at each user and, as far as it needs to, at each of the user's spiders, but at the first run only of each.
func (n *Namespace) Next() (Run, bool) {
	if n.all.full() {
		return Run{}, false
	}
	var best turn
	for _, u := range n.users {
		t := turn{user: u, count: u.used}
		if u.full() || u.waiting.Len() == 0 || best.run != nil && t.compareShare(best) > 0 {
			continue
		}
		if t.run = u.first(); t.run != nil && (best.run == nil || t.before(best)) {
			best = t
		}
	}
	if best.run == nil {
		return Run{}, false
	}
	return best.run.Run, true
}

// Blocked returns what a run waits for, and false if it does not wait. If several limits are reached, it is the one that applies
// to the fewest runs: the spider's before the group's, the user's and the namespace's.
func (n *Namespace) Blocked(name string) (Block, bool) {
	e := n.runs[name]
	if e == nil || e.running {
		return Block{}, false
	}
	l := e.lane
	for _, limit := range []struct {
		kind Kind
		*places
	}{{BySpider, l.spider}, {ByGroup, l.group}, {ByUser, &l.user.places}, {ByNamespace, &n.all}} {
		if limit.full() {
			return Block{Kind: limit.kind, Name: limit.name, Limit: limit.max, Used: limit.used}, true
		}
	}
	return Block{Kind: ByTurn}, true
}

// Positions returns the names of the first runs that wait, at most limit, in the order in which Next would return them if no
// limit were ever reached and no run ended: each counts as one more that runs of its user. So it says how many runs come before
// one as long as all fit. A run that fits starts before those ahead of it that do not, without changing their positions.
func (n *Namespace) Positions(limit int) []string {
	turns := btree.NewBTreeGOptions(turn.before, btree.Options{NoLocks: true})
	for _, u := range n.users {
		if first, found := u.waiting.Min(); found {
			turns.Set(turn{user: u, count: u.used, run: first})
		}
	}
	var names []string
	for len(names) < limit {
		t, found := turns.PopMin()
		if !found {
			break
		}
		names = append(names, t.run.Name)
		t.count++
		if t.run = t.user.after(t.run); t.run != nil {
			turns.Set(t)
		}
	}
	return names
}
