package cron

import (
	"math/bits"
	"time"
)

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// years returns the seconds of a number of years, all taken as leap years.
func years(n int64) int64 { return n * 366 * day }

// match returns the first wall-clock time in [from, until) that matches, in seconds since 1970 as a wall clock in UTC would
// count them.
func (s *Schedule) match(from, until int64) (at int64, ok bool) {
	from = (from + minute - 1) / minute * minute
	for today := from - mod(from, day); today < until; {
		date := time.Unix(today, 0).UTC()
		if s.months>>date.Month()&1 == 0 {
			today = time.Date(date.Year(), date.Month()+1, 1, 0, 0, 0, 0, time.UTC).Unix()
			continue
		}
		if s.dayMatches(date) {
			if second, ok := s.inDay(max(from-today, 0)); ok {
				return today + second, today+second < until
			}
		}
		today += day
	}
	return 0, false
}

// mod is the remainder of a division that rounds down: it is never negative.
func mod(a, b int64) int64 { return (a%b + b) % b }

func (s *Schedule) dayMatches(date time.Time) bool {
	ofMonth := s.days>>date.Day()&1 == 1
	ofWeek := s.weekdays>>date.Weekday()&1 == 1
	if s.eitherDay {
		return ofMonth || ofWeek
	}
	return ofMonth && ofWeek
}

// inDay returns the first time of a matching day that matches, from a given one on, in seconds.
func (s *Schedule) inDay(from int64) (second int64, ok bool) {
	h, m := from/hour, from%hour/minute
	if s.hours>>h&1 == 1 {
		if next := nextBit(s.minutes, m); next < 60 {
			return h*hour + next*minute, true
		}
	}
	h = nextBit(s.hours, h+1)
	if h >= 24 || s.minutes == 0 {
		return 0, false
	}
	return h*hour + nextBit(s.minutes, 0)*minute, true
}

// nextBit returns the lowest bit of a mask that is set, from a given one on; 64 if there is none.
func nextBit(mask uint64, from int64) int64 {
	return from + min(int64(bits.TrailingZeros64(mask>>from)), 64-from)
}
