package podlog

import "container/list"

// slots bound how many reads of a kind are under way at once. Those that may well not end soon, the risky ones, have at most
// half of them: so nodes that hang never have them all.
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

// lane is the work of one mode, of which a bounded amount is under way at once. The nodes take turns. A node stands in one of
// two rows, by what its next read is, or in none while it may not have one; so a turn is found without looking at the nodes
// that cannot have it.
type lane struct {
	slots
	waiting   int       // Pods
	sound     list.List // of *queue: nodes whose next read takes any slot
	unsound   list.List // of *queue: nodes whose next read takes a risky slot
	riskyNext bool      // whose turn it is when both rows could have one
}

// queue is the work of one node in a lane.
type queue struct {
	node    *node
	waiting list.List // of *pod
	active  int
	row     *list.List    // that it stands in; nil for none
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

// stand has a node stand in a row from now on, at its end, or in none. Where it stands there already it keeps its turn.
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

// next takes the work to begin now out of its queue, or returns nil. The node loses its place in the row. While sound nodes
// wait, the others have every second slot that becomes free, but no more than one at a time.
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

// end makes room for the next.
func (l *lane) end(q *queue, risky bool) {
	l.release(risky)
	q.active--
}
