package queue

import "sigs.k8s.io/controller-runtime/pkg/handler"

// The classes of items, the most urgent first. They are controller-runtime's priorities: any other number counts as the next
// lower class.
const (
	// Stop is for a run that has to be stopped: somebody waits for that, and a Pod's log is deleted with the Pod.
	Stop = 300
	// End is for a process that has ended, or whose time is over.
	End = 200
	// Create is for a Job that is to be created.
	Create = 100
	// Routine is for all other changes.
	Routine = 0
	// CreateAgain is for a creation that has failed: first tries go before it, and so do changes.
	CreateAgain = -10
	// Idle is for objects that are reconciled because the controller has just started, and most likely need nothing.
	Idle = handler.LowPriority
)

// rank is the position of a class, 0 for the most urgent.
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

// rankOf returns the rank of the highest class that is not above a priority.
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

// afterFailure returns the rank with which a failed item is retried: it loses its place to items that have not failed.
func (r rank) afterFailure() rank {
	if r.creates() {
		return createAgainRank
	}
	return max(r, routineRank)
}
