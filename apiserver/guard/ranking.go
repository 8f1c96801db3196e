package guard

import "container/list"

// ranking keeps things by their owners, each owner's oldest first, and knows which owner has the most. Each operation takes
// constant time. It is not safe for concurrent use.
type ranking[T any] struct {
	owners map[string]*owner[T]
	// bySize holds the owners by the number of their things, those first that have had that many for longest.
	bySize []*list.List
	total  int
}

// owner owns things that count together.
type owner[T any] struct {
	name string
	// things are places, oldest first.
	things list.List
	// rank is the owner's element in bySize.
	rank *list.Element
}

// place is the place of a thing in its ranking.
type place[T any] struct {
	thing   T
	owner   *owner[T]
	element *list.Element
}

func newRanking[T any]() *ranking[T] {
	return &ranking[T]{owners: map[string]*owner[T]{}, bySize: []*list.List{list.New()}}
}

// add appends a thing to its owner's.
func (r *ranking[T]) add(name string, thing T) *place[T] {
	o := r.owners[name]
	if o == nil {
		o = &owner[T]{name: name}
		r.owners[name] = o
	}
	p := &place[T]{thing: thing, owner: o}
	r.resize(o, func() { p.element = o.things.PushBack(p) })
	r.total++
	return p
}

// remove takes a thing away. It has to be there.
func (r *ranking[T]) remove(p *place[T]) {
	r.resize(p.owner, func() { p.owner.things.Remove(p.element) })
	r.total--
	if p.owner.things.Len() == 0 {
		delete(r.owners, p.owner.name)
	}
}

// resize moves an owner to its place after a change of its things.
func (r *ranking[T]) resize(o *owner[T], change func()) {
	if o.rank != nil {
		r.bySize[o.things.Len()].Remove(o.rank)
		o.rank = nil
	}
	change()
	size := o.things.Len()
	if size == len(r.bySize) {
		r.bySize = append(r.bySize, list.New())
	}
	if size > 0 {
		o.rank = r.bySize[size].PushBack(o)
	}
	for last := len(r.bySize) - 1; last > 0 && r.bySize[last].Len() == 0; last-- {
		r.bySize = r.bySize[:last]
	}
}

// count returns how many things an owner has.
func (r *ranking[T]) count(name string) int {
	if o := r.owners[name]; o != nil {
		return o.things.Len()
	}
	return 0
}

// oldestOf returns the oldest thing of an owner; nil if it has none.
func (r *ranking[T]) oldestOf(name string) *place[T] {
	if o := r.owners[name]; o != nil {
		return o.oldest()
	}
	return nil
}

// most returns the number of things of the owner with the most, and the oldest of them; 0 and nil if there are none.
func (r *ranking[T]) most() (int, *place[T]) {
	last := len(r.bySize) - 1
	if last == 0 {
		return 0, nil
	}
	return last, r.bySize[last].Front().Value.(*owner[T]).oldest()
}

func (o *owner[T]) oldest() *place[T] { return o.things.Front().Value.(*place[T]) }
