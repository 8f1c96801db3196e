package view

import (
	"sync"
	"sync/atomic"
)

const (
	// historyLength is how many changes, of all users together, are kept for those who come back after a break.
	historyLength = 8192
	// mostBehind is how many changes a subscriber may be behind before it is left behind.
	mostBehind = 1024
)

// Change is something that the watch has shown of a job.
type Change struct {
	// Job is the job as it is since; its last state when it is Deleted.
	Job     *Job
	Deleted bool
	// ResourceVersion is how far the watch had come with the change.
	ResourceVersion string

	scope string
	// again says that the job did not change itself, but what it shows of its Spider, which another watch has told. No resource
	// version says who has seen that, so it is told again to all who come back, as long as it is kept and true.
	again bool
}

// Entry is a change as it stands in the chain of a user's changes. All subscribers of the user read the same chain, each from
// its own place, so that a subscriber costs no more than that place; what all have read is not held any more.
type Entry struct {
	Change

	reset    bool // not a change: what comes before is not all that has changed
	number   uint64
	next     *Entry
	appended chan struct{} // closed once there is a next

	encode sync.Once
	frame  []byte
}

// Frame returns what encode makes of the change. It is called once for all subscribers.
func (e *Entry) Frame(encode func(*Change) []byte) []byte {
	e.encode.Do(func() { e.frame = encode(&e.Change) })
	return e.frame
}

// history holds the last changes of all users, and the chains of those who have subscribers.
type history struct {
	most int // how many changes are kept

	mu      sync.Mutex
	changes []*Change // in a ring, of which the oldest is at next when it is full
	next    int
	// from is, by the scope of each watch, the resource version behind which nothing has been forgotten.
	from   progress
	chains map[chainKey]*chain
}

type chainKey struct{ namespace, user string }

type chain struct {
	last        *Entry
	number      atomic.Uint64 // of the last entry
	subscribers int
}

func newHistory() *history {
	return &history{most: historyLength, from: progress{}, chains: map[chainKey]*chain{}}
}

// publish takes a change into the history, and tells the subscribers of its user.
func (h *history) publish(change *Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.changes) < h.most {
		h.changes = append(h.changes, change)
	} else {
		oldest := h.changes[h.next]
		h.from.advance(oldest.scope, oldest.ResourceVersion)
		h.changes[h.next] = change
		h.next = (h.next + 1) % h.most
	}
	if c := h.chains[chainKey{change.Job.Namespace, change.Job.User}]; c != nil {
		c.append(&Entry{Change: *change})
	}
}

// begin forgets all changes of a scope: after a complete list it is not known what has changed before.
func (h *history) begin(scope, resourceVersion string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := make([]*Change, 0, len(h.changes))
	for i := range h.changes {
		if change := h.changes[(h.next+i)%len(h.changes)]; change.scope != scope {
			kept = append(kept, change)
		}
	}
	h.changes, h.next = kept, 0
	h.from[scope] = resourceVersion
	for key, c := range h.chains {
		if scope == "" || scope == key.namespace {
			c.append(&Entry{reset: true})
		}
	}
}

func (c *chain) append(e *Entry) {
	e.number, e.appended = c.last.number+1, make(chan struct{})
	before := c.last
	before.next, c.last = e, e
	c.number.Store(e.number)
	close(before.appended)
}

// Subscription reads the changes of one user's jobs, in the order in which the watch shows them. It is used by one goroutine.
type Subscription struct {
	jobs    *Jobs
	key     chainKey
	chain   *chain
	backlog []*Change
	last    *Entry // the last entry that was read
}

// Subscribe begins to read the changes of a user's jobs behind the resource version after, which is one that a Change or
// Subscription has named, on any replica. known is false when the view cannot tell what has changed since; reading then begins
// with the present. Stop has to be called in the end.
func (v *Jobs) Subscribe(namespace, user, after string) (s *Subscription, known bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.history
	h.mu.Lock()
	defer h.mu.Unlock()
	key := chainKey{namespace, user}
	c := h.chains[key]
	if c == nil {
		c = &chain{last: &Entry{appended: make(chan struct{})}}
		h.chains[key] = c
	}
	c.subscribers++
	s = &Subscription{jobs: v, key: key, chain: c, last: c.last}
	if after == "" || newer(h.from.of(namespace), after) || newer(after, v.progress.of(namespace)) {
		return s, false
	}
	for i := range h.changes {
		change := h.changes[(h.next+i)%len(h.changes)]
		if change.Job.Namespace != namespace || change.Job.User != user {
			continue
		}
		if newer(change.ResourceVersion, after) || change.again && v.byID(namespace, change.Job.ID) == change.Job {
			s.backlog = append(s.backlog, change)
		}
	}
	return s, true
}

// Next returns the next change, or nil when there is none yet. ok is false when the subscriber is left behind, because it was
// too slow or because the watch itself had to begin anew: it may then go on after Renew.
func (s *Subscription) Next() (entry *Entry, ok bool) {
	if s.chain.number.Load()-s.last.number > mostBehind {
		return nil, false
	}
	if len(s.backlog) > 0 {
		change := s.backlog[0]
		s.backlog = s.backlog[1:]
		return &Entry{Change: *change}, true
	}
	select {
	case <-s.last.appended:
		s.last = s.last.next
		return s.last, !s.last.reset
	default:
		return nil, true
	}
}

// Changed is closed once Next has something to return.
func (s *Subscription) Changed() <-chan struct{} { return s.last.appended }

// Renew goes on with the present, and returns the resource version that the watch has come to: what the view shows is as new
// at least.
func (s *Subscription) Renew() (resourceVersion string) {
	s.jobs.mu.RLock()
	defer s.jobs.mu.RUnlock()
	s.jobs.history.mu.Lock()
	defer s.jobs.history.mu.Unlock()
	s.backlog, s.last = nil, s.chain.last
	return s.jobs.progress.of(s.key.namespace)
}

// Stop ends the subscription.
func (s *Subscription) Stop() {
	h := s.jobs.history
	h.mu.Lock()
	defer h.mu.Unlock()
	s.backlog = nil
	if s.chain.subscribers--; s.chain.subscribers == 0 {
		delete(h.chains, s.key)
	}
}
