package queue

// list is a doubly linked list whose nodes are part of its members, so that a member can be removed from the middle, and adding
// one allocates nothing.
type list[T any] struct {
	first, last *node[T]
}

// node makes its owner a member of one list at a time.
type node[T any] struct {
	owner          T
	before, behind *node[T]
}

// push puts a node at the end.
func (l *list[T]) push(n *node[T]) {
	n.before, n.behind = l.last, nil
	if l.last == nil {
		l.first = n
	} else {
		l.last.behind = n
	}
	l.last = n
}

// remove removes a node, which has to be in this list.
func (l *list[T]) remove(n *node[T]) {
	if n.before == nil {
		l.first = n.behind
	} else {
		n.before.behind = n.behind
	}
	if n.behind == nil {
		l.last = n.before
	} else {
		n.behind.before = n.before
	}
	n.before, n.behind = nil, nil
}

func (l *list[T]) empty() bool { return l.first == nil }
