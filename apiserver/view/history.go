package view

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostDeleted is how many deleted jobs of each namespace are remembered, for readers that resume after a break.
	mostDeleted = 2048
	// deletedTime is how long they are remembered at least if there are no more of them. Namespaces come and go.
	deletedTime = 24 * time.Hour
	// mostBehind is how many changes a subscriber may lag before it loses its place.
	mostBehind = 1024
	// catchUpTime is how long a view that is behind a reader's position waits to catch up, and aheadTime how long that reader's
	// position is believed: a bookmark advances each watch at least that often.
	catchUpTime = time.Second
	aheadTime   = 90 * time.Second
)

// Change is a change of a job that the watch has shown.
type Change struct {
	// Job is the job after the change; its last state if it is Deleted.
	Job     *Job
	Deleted bool
	// Position is where a reader that knows all changes up to this one can resume, on any replica.
	Position string
}

// Entry is a change in the chain of a user's changes. All subscribers of the user read the same chain, each from its own place,
// so that a subscriber costs no more than that place; entries that all have read are released.
type Entry struct {
	Change

	reset    bool // not a change: the entries before it are incomplete
	number   uint64
	next     *Entry
	appended chan struct{} // closed once there is a next entry

	encode sync.Once
	frame  []byte
}

// Frame returns the change as encoded by encode, which is called once for all subscribers.
func (e *Entry) Frame(encode func(*Change) []byte) []byte {
	e.encode.Do(func() { e.frame = encode(&e.Change) })
	return e.frame
}

// history holds the chains of users with subscribers, and the deletions that a look at the current jobs does not show.
type history struct {
	most int // number of deletions remembered per namespace

	mu      sync.Mutex
	chains  map[chainKey]*chain
	deleted map[string]*deletions // by namespace
}

type chainKey struct{ namespace, user string }

type chain struct {
	last        *Entry
	number      atomic.Uint64 // of the last entry
	subscribers int
}

// deletion is what is remembered of a deleted job.
type deletion struct {
	maybe
	user            string
	born            uint64
	resourceVersion uint64
	// since is the progress of the watch before a complete list that did not have the job: it was deleted at some time after
	// that. It is 0 if the watch itself has shown the deletion.
	since uint64
}

// deletions are the latest ones of a namespace, in a ring whose oldest entry is at next when it is full.
type deletions struct {
	ring []deletion
	next int
	last time.Time
}

func newHistory() *history {
	return &history{most: mostDeleted, chains: map[chainKey]*chain{}, deleted: map[string]*deletions{}}
}

// publish sends a change to the subscribers of a user.
func (h *history) publish(user string, change Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.chains[chainKey{change.Job.Namespace, user}]; c != nil {
		c.append(&Entry{Change: change})
	}
}

// followed reports whether a user has subscribers.
func (h *history) followed(namespace, user string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.chains[chainKey{namespace, user}] != nil
}

func (h *history) remember(namespace string, d deletion) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	all := h.deleted[namespace]
	if all == nil {
		maps.DeleteFunc(h.deleted, func(_ string, old *deletions) bool { return now.Sub(old.last) > deletedTime })
		all = &deletions{}
		h.deleted[namespace] = all
	}
	all.last = now
	if len(all.ring) < h.most {
		all.ring = append(all.ring, d)
		return
	}
	all.ring[all.next] = d
	all.next = (all.next + 1) % h.most
}

// begin makes all subscribers in a scope start again: etcd was restored, and what they know may never have been.
func (h *history) begin(scope string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for namespace := range h.deleted {
		if scope == "" || scope == namespace {
			delete(h.deleted, namespace)
		}
	}
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

// tell forwards a change that Kubernetes has shown.
func (v *Jobs) tell(change shown[*Job]) {
	was, is, resourceVersion := change.was, change.is, number(change.resourceVersion)
	reached := resourceVersion
	if change.listed { // In any order: earlier changes may follow.
		reached = number(change.progress)
	}
	if was != nil && (is == nil || is.UserID != was.UserID) {
		if was.kept.shown {
			d := deletion{maybe: maybeOf(was), user: was.UserID, born: was.bornAt, resourceVersion: resourceVersion}
			if change.listed {
				d.since = reached
			}
			v.history.remember(was.Namespace, d)
		}
		v.publish(was.UserID, Change{Job: was, Deleted: true}, reached)
	}
	if is != nil {
		v.publish(is.UserID, Change{Job: is}, reached)
	}
}

// publish sends a change to a user's subscribers. reached is the resource version up to which all changes have then been sent.
func (v *Jobs) publish(user string, change Change, reached uint64) {
	namespace := change.Job.Namespace
	if v.history.followed(namespace, user) {
		change.Position = position{reached, v.sum(namespace, user)}.String()
		v.history.publish(user, change)
	}
}

// sum returns the checksum of a user's jobs, as far as Kubernetes has shown them.
func (v *Jobs) sum(namespace, user string) uint64 {
	if tenant := v.tenants[namespace]; tenant != nil {
		if jobs := tenant.users[user]; jobs != nil {
			return jobs.sum
		}
	}
	return 0
}

func (v *Jobs) position(key chainKey) position {
	return position{number(v.progress.of(key.namespace)), v.sum(key.namespace, key.user)}
}

// Subscription reads the changes of one user's jobs, in the order in which the watch shows them. It is used by one goroutine.
type Subscription struct {
	jobs    *Jobs
	key     chainKey
	chain   *chain
	backlog []Change
	last    *Entry // the last entry that was read
	// ahead is the resource version that the reader knew before the view did; 0 for none, or if it no longer matters. It is
	// believed until the given time.
	ahead uint64
	until time.Time
}

// Subscribe begins to read the changes of a user's jobs after a position from a Change or Subscription of any replica. known is
// false if it is not known what has changed since; reading then begins with the current state. A view that is behind the
// position waits for a moment to catch up. Call Stop in the end.
func (v *Jobs) Subscribe(ctx context.Context, namespace, user, after string) (s *Subscription, known bool) {
	s = v.subscribe(chainKey{namespace, user})
	p, ok := parsePosition(after)
	if !ok {
		return s, false
	}
	patience, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	for {
		known, ahead := s.resume(p)
		if !ahead || patience.Err() != nil {
			return s, known
		}
		pause := time.NewTimer(catchUpTime / 50)
		select {
		case <-pause.C:
		case <-patience.Done():
			pause.Stop()
		}
	}
}

func (v *Jobs) subscribe(key chainKey) *Subscription {
	h := v.history
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.chains[key]
	if c == nil {
		c = &chain{last: &Entry{appended: make(chan struct{})}}
		h.chains[key] = c
	}
	c.subscribers++
	return &Subscription{jobs: v, key: key, chain: c, last: c.last}
}

// resume continues after a position. known is false if it is not known what has changed since. ahead says that the view has not
// reached the position.
func (s *Subscription) resume(p position) (known, ahead bool) {
	v := s.jobs
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.history
	h.mu.Lock()
	defer h.mu.Unlock()
	now := v.position(s.key)
	s.backlog, s.last, s.ahead = nil, s.chain.last, 0
	if ahead = p.resourceVersion > now.resourceVersion; ahead {
		s.ahead, s.until = p.resourceVersion, time.Now().Add(aheadTime)
	}
	since := v.since(s.key, p.resourceVersion)
	if !since.explains(p.sum) || len(since.changes) > mostBehind {
		return false, ahead
	}
	s.backlog = since.backlog(p, now)
	return true, ahead
}

// since is what has happened to a user's jobs since a position.
type since struct {
	changes []sinceChange
	// sum is the checksum of the jobs that existed at the position, as far as that is certain; maybe are those that may have
	// existed.
	sum   uint64
	maybe []maybe
}

// sinceChange is one of the changes. there says that the job existed at the position, and sum is its part of the checksum.
type sinceChange struct {
	Change
	resourceVersion, sum uint64
	there                bool
}

// backlog returns the changes in order. A reader that reads only some of them resumes after the old position, with a checksum
// of what it knows by then.
func (s *since) backlog(from, now position) []Change {
	slices.SortStableFunc(s.changes, func(a, b sinceChange) int { return cmp.Compare(a.resourceVersion, b.resourceVersion) })
	backlog := make([]Change, 0, len(s.changes))
	for i, change := range s.changes {
		switch {
		case change.Deleted && change.there:
			from.sum -= change.sum
		case !change.Deleted && !change.there:
			from.sum += change.sum
		}
		if i == len(s.changes)-1 {
			from = now
		}
		change.Position = from.String()
		backlog = append(backlog, change.Change)
	}
	return backlog
}

// maybe is a job that may have existed at a position, and its part of the checksum.
type maybe struct {
	Position
	sum uint64
	// change is the index of its change among the changes; -1 if there is none.
	change int
}

func maybeOf(job *Job) maybe { return maybe{PositionOf(job), checksum(job), -1} }

// since finds out what has happened after a resource version. The caller holds both locks.
func (v *Jobs) since(key chainKey, resourceVersion uint64) *since {
	s := &since{}
	if tenant := v.tenants[key.namespace]; tenant != nil && tenant.users[key.user] != nil {
		tenant.users[key.user].all.Scan(func(job *Job) bool {
			if !job.kept.shown {
				return true // It is sent once Kubernetes has shown it.
			}
			is, m := number(job.ResourceVersion), maybeOf(job)
			if is > resourceVersion {
				m.change = s.add(Change{Job: job}, is, m.sum)
			}
			s.count(m, job.bornAt, resourceVersion, is <= resourceVersion)
			return len(s.changes) <= mostBehind
		})
	}
	if all := v.history.deleted[key.namespace]; all != nil {
		for i := range all.ring {
			d := &all.ring[(all.next+i)%len(all.ring)]
			if d.user != key.user || d.resourceVersion <= resourceVersion {
				continue
			}
			m := d.maybe
			if again := v.byID(key.namespace, d.ID); again == nil || again.UserID != key.user {
				gone := &Job{ID: d.ID, Namespace: key.namespace, UserID: key.user, Created: d.Created}
				m.change = s.add(Change{Job: gone, Deleted: true}, d.resourceVersion, d.sum)
			}
			if d.since != 0 && d.since < resourceVersion { // It may have been deleted before.
				s.maybe = append(s.maybe, m)
			} else {
				s.count(m, d.born, resourceVersion, false)
			}
		}
	}
	return s
}

func (s *since) add(change Change, resourceVersion, sum uint64) (place int) {
	s.changes = append(s.changes, sinceChange{Change: change, resourceVersion: resourceVersion, sum: sum})
	return len(s.changes) - 1
}

// count adds a job that existed at a resource version if it was created before, at the resource version born, which is 0 if
// unknown. certain says that the job existed in any case.
func (s *since) count(m maybe, born, resourceVersion uint64, certain bool) {
	switch {
	case certain, born != 0 && born <= resourceVersion:
		s.wasThere(m)
	case born == 0:
		s.maybe = append(s.maybe, m)
	}
}

func (s *since) wasThere(m maybe) {
	s.sum += m.sum
	if m.change >= 0 {
		s.changes[m.change].there = true
	}
}

// explains reports whether the jobs that existed can have had the given checksum: then there is no unknown deletion, nor
// another name of a Spider. Of those that may have existed, the oldest did.
func (s *since) explains(sum uint64) bool {
	slices.SortFunc(s.maybe, func(a, b maybe) int { return compareNewest(b.Position, a.Position) })
	for _, m := range s.maybe {
		if s.sum == sum {
			return true
		}
		s.wasThere(m)
	}
	return s.sum == sum
}

// Next returns the next change, or nil if there is none yet. ok is false if the subscriber has lost its place, because it was
// too slow or because what it knows may not be true: it may then continue after Renew.
func (s *Subscription) Next() (entry *Entry, ok bool) {
	if s.chain.number.Load()-s.last.number > mostBehind {
		return nil, false
	}
	if len(s.backlog) > 0 {
		change := s.backlog[0]
		s.backlog = s.backlog[1:]
		return &Entry{Change: change}, true
	}
	select {
	case <-s.last.appended:
		s.last = s.last.next
		return s.last, !s.last.reset
	default:
		return nil, s.believed()
	}
}

// believed reports whether the reader's position may still be ahead of the view. If the view never reaches it, the position
// comes from a cluster whose etcd was restored since.
func (s *Subscription) believed() bool {
	if s.ahead == 0 || time.Now().Before(s.until) {
		return true
	}
	s.jobs.mu.RLock()
	defer s.jobs.mu.RUnlock()
	if s.ahead > number(s.jobs.progress.of(s.key.namespace)) {
		return false
	}
	s.ahead = 0
	return true
}

// Changed is closed once Next has something to return.
func (s *Subscription) Changed() <-chan struct{} { return s.last.appended }

// Position returns where a reader that has read everything so far can resume; empty if there is more to read, or if the reader
// knows more than the view.
func (s *Subscription) Position() string {
	s.jobs.mu.RLock()
	defer s.jobs.mu.RUnlock()
	s.jobs.history.mu.Lock()
	defer s.jobs.history.mu.Unlock()
	now := s.jobs.position(s.key)
	if len(s.backlog) > 0 || s.last != s.chain.last || s.ahead > now.resourceVersion {
		return ""
	}
	return now.String()
}

// Renew continues with the current state, and returns the position that the view has reached: what it shows is at least that
// new.
func (s *Subscription) Renew() (position string) {
	s.jobs.mu.RLock()
	defer s.jobs.mu.RUnlock()
	s.jobs.history.mu.Lock()
	defer s.jobs.history.mu.Unlock()
	s.backlog, s.last, s.ahead = nil, s.chain.last, 0
	return s.jobs.position(s.key).String()
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
