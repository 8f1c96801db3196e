package queue

import "sigs.k8s.io/controller-runtime/pkg/handler"

// The classes of items, the most urgent first. They are controller-runtime's priorities: any other number counts as the next
// class below it.
const (
	// Stop is for a run that is to be stopped, until it is: somebody waits for it, and a Pod's log is gone with the Pod.
	Stop = 300
	// End is for a process that has ended, or whose time is over.
	End = 200
	// Create is for a Job that is to be created.
	Create = 100
	// Routine is for all else that has changed.
	Routine = 0
	// CreateAgain is for a creation that has failed: those that never were tried go first, and whatever has changed.
	CreateAgain = -10
	// Idle is for what is looked at because the controller has just started, and most likely needs nothing.
	Idle = handler.LowPriority
)

// rank is the place of a class among all of them, 0 for the most urgent.
type rank int

const (
	stopRank rank = iota
	endRank
	createRank
	routineRank
	createAgainRank
	idleRank
	ranks
)

// classes are the classes by their rank.
var classes = [ranks]int{Stop, End, Create, Routine, CreateAgain, Idle}

// rankOf is the rank of the highest class that is not above a priority.
func rankOf(priority int) rank {
	for r, class := range classes {
		if priority >= class {
			return rank(r)
		}
	}
	return idleRank
}

// creates reports whether items of this rank may create a Job.
func (r rank) creates() bool { return r == createRank || r == createAgainRank }

// afterFailure is the rank with which an item that has failed is tried again: it loses its place to what has not failed.
func (r rank) afterFailure() rank {
	if r.creates() {
		return createAgainRank
	}
	return max(r, routineRank)
}
