package cron

import (
	"math"
	"time"
)

// segment is a time during which a zone's offset from UTC does not change, in seconds since 1970: [start, end). A wall clock
// there shows UTC plus offset.
type segment struct{ start, end, offset int64 }

// Bounds of a segment without a beginning, or an end: far away, but not so far that sums overflow.
const (
	always = math.MinInt64 / 4
	never  = math.MaxInt64 / 4
)

// segmentAt returns the segment that an instant is in.
func (s *Schedule) segmentAt(at int64) segment {
	t := time.Unix(at, 0).In(s.zone)
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	seg := segment{always, never, int64(offset)}
	if !start.IsZero() {
		seg.start = start.Unix()
	}
	if !end.IsZero() {
		seg.end = end.Unix()
	}
	return seg
}

// maxJump bounds by how much a zone's offset changes at once: a day, when a country changes to the other side of the date line.
const maxJump = 25 * 60 * 60

// shownBefore returns the wall-clock time up to which, without it, wall clocks have shown all times before a segment began.
func (s *Schedule) shownBefore(seg segment) int64 {
	if seg.start == always {
		return always
	}
	shown := int64(always)
	for before := seg; before.start != always && seg.start-before.start <= maxJump; {
		before = s.segmentAt(before.start - 1)
		shown = max(shown, before.end+before.offset)
	}
	return shown
}
