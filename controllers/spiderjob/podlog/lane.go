package podlog

import "container/list"

// slots bound the concurrent reads of a kind. Risky reads, which may well not end soon, have at most half of them: so nodes
// that hang never have them all.
type slots struct {
	limit, active, risky int
}

func (s *slots) free(risky bool) bool {
	return s.active < s.limit && (!risky || s.risky < max(1, s.limit/2))
}

func (s *slots) take(risky bool) {
	s.active++
	if risky {
		s.risky++
	}
}

func (s *slots) release(risky bool) {
	s.active--
	if risky {
		s.risky--
	}
}

// lane is the work of one mode, with a bounded number of concurrent reads. The nodes take turns. A node is in one of two rows,
// according to its next read, or in none while it may not have one; so the next turn is found without looking at nodes that
// cannot have it.
type lane struct {
	slots
	waiting   int       // Pods
	sound     list.List // of *queue: nodes whose next read takes any slot
	unsound   list.List // of *queue: nodes whose next read takes a risky slot
	riskyNext bool      // which row is next if both could be
}

// queue is the work of one node in a lane.
type queue struct {
	node    *node
	waiting list.List // of *pod
	active  int
	row     *list.List    // the row it is in; nil for none
	turn    *list.Element // in the row
}

func (l *lane) add(q *queue, p *pod) {
	p.place = q.waiting.PushBack(p)
	p.queue = q
	l.waiting++
}

// remove takes a Pod out of the queue, if it waits there.
func (l *lane) remove(p *pod) {
	if p.place != nil {
		p.queue.waiting.Remove(p.place)
		p.place, p.queue = nil, nil
		l.waiting--
	}
}

// stand puts a node at the end of a row, or in none. A node that is already in the row keeps its turn.
func (l *lane) stand(q *queue, row *list.List) {
	if q.waiting.Len() == 0 {
		row = nil
	}
	if row == q.row {
		return
	}
	if q.row != nil {
		q.row.Remove(q.turn)
	}
	q.row, q.turn = row, nil
	if row != nil {
		q.turn = row.PushBack(q)
	}
}

// next removes the next work from its queue and returns it, or nil. The node loses its place in the row. While sound nodes
// wait, the others get every second free slot, but no more than one at a time.
func (l *lane) next() (p *pod, q *queue, risky bool) {
	sound := l.sound.Len() > 0 && l.free(false)
	risky = l.unsound.Len() > 0 && l.free(true)
	row := &l.sound
	switch {
	case !sound && !risky:
		return nil, nil, false
	case risky && (!sound || l.riskyNext && l.risky == 0):
		row = &l.unsound
	default:
		risky = false
	}
	l.riskyNext = !risky
	q = row.Front().Value.(*queue)
	p = q.waiting.Front().Value.(*pod)
	l.remove(p)
	l.stand(q, nil)
	l.take(risky)
	q.active++
	return p, q, risky
}

// end frees the slot.
func (l *lane) end(q *queue, risky bool) {
	l.release(risky)
	q.active--
}
