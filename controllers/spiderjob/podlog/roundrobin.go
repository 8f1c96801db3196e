package podlog

import (
	"container/list"
	"time"
)

// roundRobin decides whose log is sampled next, and when. The Pods take turns, one at a time at even intervals, so that their
// reads are spread even if many start together.
type roundRobin struct {
	interval time.Duration // between two samples of one Pod, as long as the budget allows
	spacing  time.Duration // the least time between any two samples: the budget
	turns    list.List     // of *pod, the next one first
	last     time.Time     // when the last sample was taken
}

// add gives a Pod a turn. Its first comes after half an interval: Scrapy, too, writes its progress at an interval from its
// start, ten seconds by default, and samples in step with it would just miss each line.
func (r *roundRobin) add(p *pod, now time.Time) {
	p.notBefore = now.Add(r.interval / 2)
	p.turn = r.turns.PushBack(p)
}

// remove removes a Pod's turn, if it has one.
func (r *roundRobin) remove(p *pod) {
	if p.turn != nil {
		r.turns.Remove(p.turn)
		p.turn = nil
	}
}

// wait returns the time until the next sample, or false if there is none to take.
func (r *roundRobin) wait(now time.Time) (time.Duration, bool) {
	front := r.turns.Front()
	if front == nil {
		return 0, false
	}
	due := r.last.Add(r.period() / time.Duration(r.turns.Len()))
	if notBefore := front.Value.(*pod).notBefore; notBefore.After(due) {
		due = notBefore
	}
	return due.Sub(now), true
}

// front returns the Pod whose turn is next, or nil.
func (r *roundRobin) front() *pod {
	if front := r.turns.Front(); front != nil {
		return front.Value.(*pod)
	}
	return nil
}

// take moves the next Pod to the end: it is sampled now.
func (r *roundRobin) take(now time.Time) {
	r.skip(now)
	r.last = now
}

// skip moves the next Pod to the end without a sample, so that the one behind it has its turn at once.
func (r *roundRobin) skip(now time.Time) {
	front := r.turns.Front()
	front.Value.(*pod).notBefore = now.Add(r.interval)
	r.turns.MoveToBack(front)
}

// period returns the actual interval: the time in which every Pod has its turn.
func (r *roundRobin) period() time.Duration {
	return max(r.interval, r.spacing*time.Duration(r.turns.Len()))
}

// wanted returns the share of the budget that sampling every Pod at the shortest interval would take.
func (r *roundRobin) wanted() float64 {
	return float64(r.spacing*time.Duration(r.turns.Len())) / float64(r.interval)
}
