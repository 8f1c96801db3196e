package guard

import "sync"

// shares bounds the number of open things, and shares the room among their owners: if it is full, the owner with the most loses
// its oldest thing to an owner with fewer. So a single owner may have all of it, and none can keep another out. It is safe for
// concurrent use.
type shares struct {
	most int

	mu   sync.Mutex
	held *ranking[*share]
	// displaced counts the things that had to make room.
	displaced int
}

// share is one thing that is open.
type share struct {
	place *place[*share]
	// lost is called once the thing has to make room. It must neither block nor use the shares.
	lost func()
}

func newShares(most int) *shares { return &shares{most: most, held: newRanking[*share]()} }

// enter opens one more thing of an owner, until leave is called. It is refused if there is no room and nobody has more than the
// owner would have.
func (s *shares) enter(name string, lost func()) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.total >= s.most {
		most, oldest := s.held.most()
		if most <= s.held.count(name)+1 {
			return nil, false
		}
		s.displace(oldest)
	}
	return s.add(name, lost), true
}

// push opens one more thing of an owner as enter does, but is never refused: if nobody has more, an older one of the same owner
// makes room. It is for things that take long only if something is wrong with them.
func (s *shares) push(name string, lost func()) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.total >= s.most {
		most, oldest := s.held.most()
		if own := s.held.oldestOf(name); own != nil && most <= s.held.count(name)+1 {
			oldest = own
		}
		s.displace(oldest)
	}
	return s.add(name, lost)
}

func (s *shares) displace(oldest *place[*share]) {
	s.displaced++
	s.remove(oldest.thing)
	oldest.thing.lost()
}

func (s *shares) add(name string, lost func()) (leave func()) {
	entered := &share{lost: lost}
	entered.place = s.held.add(name, entered)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(entered)
	}
}

// remove removes a thing, unless it has already lost its room.
func (s *shares) remove(gone *share) {
	if gone.place != nil {
		s.held.remove(gone.place)
		gone.place = nil
	}
}

// count returns how many things are open, and how many have made room.
func (s *shares) count() (open, displaced int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.total, s.displaced
}
