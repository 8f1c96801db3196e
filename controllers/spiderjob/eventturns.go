package spiderjob

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// turnSpacing is the time between two requests for Events, over all namespaces.
	turnSpacing = time.Second
	// turnGrace is how long a turn is kept for the caller that is to come back for it.
	turnGrace = 10 * time.Second
)

// turn identifies one listing of Events: all Warnings of a namespace, or, with object, those of one object, or, with reason
// too, the object's Events of that reason.
type turn struct {
	namespace string
	object    types.UID
	reason    string
}

// turns assigns the times at which Events may be listed, in the order of the requests. It belongs to an eventReader, whose
// mutex guards it.
type turns struct {
	// times are the reserved times, one for each turn whose caller is to come back.
	times map[turn]time.Time
	// reading are the turns of current listings.
	reading map[turn]struct{}
	// next is the first time that is not reserved, ready the first at which the next listing may begin.
	next, ready time.Time
}

func newTurns() turns {
	return turns{times: map[turn]time.Time{}, reading: map[turn]struct{}{}}
}

// reserved reports whether the turn is reserved.
func (t *turns) reserved(of turn, now time.Time) bool {
	at, ok := t.times[of]
	return ok && now.Sub(at) < turnGrace
}

// reserve returns the time of the turn, and reserves a new one if it has none.
func (t *turns) reserve(of turn, now time.Time) time.Time {
	if !t.reserved(of, now) {
		at := lastOf(now, t.next, t.ready)
		t.times[of], t.next = at, at.Add(turnSpacing)
	}
	return t.times[of]
}

// take returns zero if the turn's time has come, and otherwise when to come back. Each turn taken ends with done.
func (t *turns) take(of turn, now time.Time) (askAt time.Time) {
	if _, ok := t.reading[of]; ok {
		return now.Add(turnSpacing)
	}
	if at := lastOf(t.reserve(of, now), t.ready); now.Before(at) {
		return at
	}
	for other, at := range t.times {
		if other == of || now.Sub(at) >= turnGrace {
			delete(t.times, other)
		}
	}
	t.reading[of] = struct{}{}
	t.ready = now.Add(turnSpacing)
	return time.Time{}
}

// done ends a turn that began at start and took this many requests, each of which counts.
func (t *turns) done(of turn, start time.Time, requests int) {
	delete(t.reading, of)
	t.ready = lastOf(t.ready, start.Add(time.Duration(requests)*turnSpacing))
}

func lastOf(times ...time.Time) (last time.Time) {
	for _, at := range times {
		if at.After(last) {
			last = at
		}
	}
	return last
}
