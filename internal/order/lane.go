package order

import (
	"cmp"

	"github.com/tidwall/btree"
)

// places are what the runs that share a limit run in.
type places struct {
	name string
	// max is the limit, 0 for none; used is how many run.
	max, used int
	// runs counts those that wait and those that run. With the last, the places are forgotten.
	runs int
}

func (p *places) full() bool { return p.max > 0 && p.used >= p.max }

// user has the runs of a user.
type user struct {
	places
	weight int
	// waiting are all that wait, in their order.
	waiting *btree.BTreeG[*entry]
	lanes   map[laneKey]*lane
}

// lane has the runs of a user that fit or do not fit together, since the same limits apply to them. Only its first is ever looked
// at.
type lane struct {
	key           laneKey
	user          *user
	spider, group *places
	waiting       *btree.BTreeG[*entry]
	runs          int
}

// laneKey names the lane of a user. A Spider's runs may be of several groups, if it was changed.
type laneKey struct{ spider, group string }

// places returns those that a run of the lane takes, beside the namespace's.
func (l *lane) places() [3]*places { return [3]*places{&l.user.places, l.group, l.spider} }

// join returns the lane of one more run.
func (n *Namespace) join(run Run) *lane {
	u := n.users[run.User]
	if u == nil {
		u = &user{
			places:  places{name: run.User, max: n.limits.RunningPerUser},
			weight:  n.limits.weight(run.User),
			waiting: newTree(),
			lanes:   map[laneKey]*lane{},
		}
		n.users[run.User] = u
	}
	key := laneKey{run.Spider, run.Group}
	l := u.lanes[key]
	if l == nil {
		l = &lane{key: key, user: u, waiting: newTree()}
		l.spider = share(n.spiders, run.Spider, n.limits.Spiders[run.Spider])
		l.group = share(n.groups, run.Group, n.limits.group(run.Group))
		u.lanes[key] = l
	}
	l.runs++
	for _, p := range l.places() {
		p.runs++
	}
	return l
}

func share(all map[string]*places, name string, limit int) *places {
	p := all[name]
	if p == nil {
		p = &places{name: name, max: limit}
		all[name] = p
	}
	return p
}

// leave takes a run out of its lane, and forgets what has no other.
func (n *Namespace) leave(l *lane) {
	for _, p := range l.places() {
		p.runs--
	}
	if l.runs--; l.runs == 0 {
		delete(l.user.lanes, l.key)
	}
	if l.user.runs == 0 {
		delete(n.users, l.user.name)
	}
	if l.group.runs == 0 {
		delete(n.groups, l.group.name)
	}
	if l.spider.runs == 0 {
		delete(n.spiders, l.spider.name)
	}
}

// first returns the first of a user's waiting runs for which group and spider have room; nil if there is none.
func (u *user) first() *entry {
	var first *entry
	for _, l := range u.lanes {
		if l.spider.full() || l.group.full() {
			continue
		}
		if e, found := l.waiting.Min(); found && (first == nil || e.before(first)) {
			first = e
		}
	}
	return first
}

// after returns the waiting run behind e; nil if there is none.
func (u *user) after(e *entry) *entry {
	var next *entry
	u.waiting.Ascend(e, func(other *entry) bool {
		if other == e {
			return true
		}
		next = other
		return false
	})
	return next
}

// turn is a user with a run that could be next.
type turn struct {
	user *user
	// count is how many count as running.
	count int
	run   *entry
}

// compareShare compares what two users have running for their weights.
func (t turn) compareShare(other turn) int {
	return cmp.Compare(t.count*other.user.weight, other.count*t.user.weight)
}

// before is the order of users. Runs of different users are compared by their creation, since priority does not cross users.
func (t turn) before(other turn) bool {
	return cmp.Or(t.compareShare(other), t.run.Created.Compare(other.run.Created), cmp.Compare(t.user.name, other.user.name)) < 0
}
