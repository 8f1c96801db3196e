package queue

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// state says where an item waits, if it does.
type state int

const (
	// absent does not wait. The item is known only because it is in progress, or has failed.
	absent state = iota
	// delayed waits for its time.
	delayed
	// ready waits for a worker.
	ready
	// dirty waits for the end of its own progress, and is then ready.
	dirty
)

// item is what is known of a request.
type item struct {
	request reconcile.Request
	state   state
	// rank is the rank with which it waits.
	rank rank
	// failures counts failures in a row.
	failures int

	// due is when a delayed item is due; order decides among equals; index is its place in the heap.
	due   time.Time
	order uint64
	index int

	// since is when it began to wait for a worker, joined when it got this rank.
	since, joined time.Time
	// place is its place in its lane.
	place node[*item]

	// taken says that it is in progress: since started, with takenRank, charged to the account of namespace.
	taken     bool
	takenRank rank
	started   time.Time
	namespace *namespace
	progress  node[*item]
}

// namespace is the account of a namespace with items that are ready or in progress.
type namespace struct {
	name string
	// ready is how many of its items wait for a worker, holds how many are in progress, and creations how many of those are
	// creations.
	ready, holds, creations int
	lanes                   [ranks]lane
}

// lane is a namespace's ready items of one rank, first come, first served.
type lane struct {
	items list[*item]
	// turn is its place among the namespaces that have items of this rank.
	turn      node[*lane]
	namespace *namespace
}

// dueHeap holds the delayed items, the next due first.
type dueHeap []*item

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].order < h[j].order
}

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is called by container/heap.
func (h *dueHeap) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}

// Pop is called by container/heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return it
}
