package quota

import (
	"cmp"
	"slices"
	"time"

	"github.com/tidwall/btree"
)

// state is what the Gate knows of a SpiderJob that has no Pod yet.
type state int

const (
	// parked has no Job, and waits for its turn.
	parked state = iota
	// released was parked, and was enqueued to create its Job.
	released
	// granted has permission to create its Job.
	granted
	// made has its Job, of which nothing is known yet.
	made
	// refused has its Job, whose Pod was refused for quota.
	refused
)

// entry is a SpiderJob that has no Pod yet.
type entry struct {
	name    string
	created time.Time
	shape   *shape
	state   state
	// since is when it was released or granted.
	since time.Time
	// refusedAt is the time of the last refusal that was reported.
	refusedAt time.Time
	// fresh says that its Job was created, or may be, after others were refused, and was not refused so far: if its Pod is
	// created, there is room for more.
	fresh bool
	// may says that it has permission for a Job.
	may bool
}

// shape is shared by all SpiderJobs whose Pods ask for the same.
type shape struct {
	name    string
	entries int
	// neverFits says that its Pods ask for more than the quota's limit.
	neverFits bool
	// message is its last refusal, in stable words.
	message string
}

// lane is an order of SpiderJobs of which, while it is closed, only the first may have Jobs.
type lane struct {
	order *btree.BTreeG[*entry]
	// closed says that Pods are refused. An open lane lets everything pass.
	closed bool
	// window is how many may have Jobs while the lane is closed.
	window int
	// first are those with permission.
	first []*entry
	// held counts the entries that are parked or refused.
	held int
}

func newLane() *lane {
	return &lane{window: base, order: btree.NewBTreeGOptions(olderThan, btree.Options{NoLocks: true, Degree: 8})}
}

// olderThan orders by age, and by name where the ages are the same.
func olderThan(a, b *entry) bool {
	return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name, b.name)) < 0
}

func (s state) holds() bool { return s == parked || s == refused }

func (l *lane) add(e *entry) {
	l.order.Set(e)
	e.may = false
	if e.state.holds() {
		l.held++
	}
}

func (l *lane) remove(e *entry) {
	l.order.Delete(e)
	if i := slices.Index(l.first, e); i >= 0 {
		l.first = slices.Delete(l.first, i, i+1)
	}
	if e.state.holds() {
		l.held--
	}
}

// set changes an entry's state.
func (l *lane) set(e *entry, s state) {
	if e.state.holds() {
		l.held--
	}
	if e.state = s; s.holds() {
		l.held++
	}
}

// allowed reports whether an entry of the lane may have a Job.
func (l *lane) allowed(e *entry) bool { return !l.closed || e.may }

// close lets only the first pass. Until now all could.
func (l *lane) close() {
	if l.closed {
		return
	}
	l.closed, l.window = true, base
	l.first = l.order.Items()
	for _, e := range l.first {
		e.may, e.fresh = true, false
	}
}

// open lets everything pass.
func (l *lane) open() { l.closed, l.first = false, nil }

// advance gives permission to those that are among the first by now, and to no others. It returns the names of those to
// enqueue: parked ones that may now have a Job, and those that have one and may no longer.
func (l *lane) advance(now time.Time) (wake []string) {
	if !l.closed {
		return nil
	}
	var first []*entry
	l.order.Scan(func(e *entry) bool {
		first = append(first, e)
		return len(first) < l.window
	})
	for _, e := range l.first {
		e.may = false
	}
	was := l.first
	l.first = first
	for _, e := range first {
		e.may = true
		if e.state == parked {
			l.set(e, released)
			e.since, e.fresh, e.refusedAt = now, true, time.Time{}
			wake = append(wake, e.name)
		}
	}
	for _, e := range was {
		switch {
		case e.may:
		case e.state == released:
			l.set(e, parked)
		case e.state != parked:
			wake = append(wake, e.name)
		}
	}
	return wake
}
