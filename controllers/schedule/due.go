package schedule

import (
	"fmt"
	"hash/fnv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/cron"
)

const (
	// promptness is how late a run may start with catchUp None: a controller that is only being replaced is no reason to lose one.
	promptness = 2 * time.Minute
	// maxCaughtUp is the most runs that catchUp All starts for times that have passed.
	maxCaughtUp = 100
	// maxLookBack is how far back missed times are looked for, and counted: the longest window.
	maxLookBack = 366 * 24 * time.Hour
)

// times are the times at which a schedule's runs are due.
type times struct {
	cron *cron.Schedule
	spec *v1alpha1.SpiderScheduleSpec
	uid  types.UID
}

// next returns the first time after the given one, zero if there is none.
func (t times) next(after time.Time) time.Time {
	if start := t.spec.StartAt; start != nil && after.Before(start.Time) {
		after = start.Add(-time.Second)
	}
	at := t.cron.Next(after)
	if end := t.spec.EndAt; end != nil && at.After(end.Time) {
		return time.Time{}
	}
	return at
}

// start returns when the run of a time is started: later by the schedule's jitter, and before the next time. It depends on
// nothing but the schedule and the time.
func (t times) start(at time.Time) time.Time {
	jitter := time.Duration(t.spec.JitterSeconds) * time.Second
	if jitter <= 0 {
		return at
	}
	if next := t.cron.Next(at); !next.IsZero() {
		jitter = min(jitter, next.Sub(at)-time.Second)
	}
	hash := fnv.New32a()
	_, _ = fmt.Fprint(hash, t.uid, at.Unix()) // a hash takes everything
	return at.Add(time.Duration(int64(hash.Sum32())%(int64(jitter/time.Second)+1)) * time.Second)
}

// dueTimes are the times after base whose runs have to be started by now, or have been missed.
type dueTimes struct {
	// chosen are the times to start runs for, the earliest first.
	chosen []time.Time
	// last is the latest of all of them, zero if there are none.
	last time.Time
	// missed counts those before the first chosen one, or all of them if none is chosen.
	missed int64
}

// due finds the times that are due, and chooses from them what catchUp says. A time whose run exists, because a controller died
// before it could record it, comes first whatever that says: the times after it are looked at again when it is recorded.
func (t times) due(base, now time.Time, exists func(at time.Time) bool) dueTimes {
	if earliest := now.Add(-maxLookBack); base.Before(earliest) {
		base = earliest
	}
	policy, window := t.spec.OnReturn()
	keep := 1
	if policy == v1alpha1.CatchUpAll {
		keep = maxCaughtUp
	}
	if policy == v1alpha1.CatchUpNone {
		window = min(window, promptness)
	}
	var found dueTimes
	for at := t.next(base); !at.IsZero(); at = t.next(at) {
		start := t.start(at)
		if start.After(now) {
			break
		}
		found.last = at
		if exists(at) {
			found.missed += int64(len(found.chosen))
			found.chosen = []time.Time{at}
			return found
		}
		if now.Sub(start) > window {
			found.missed++
			continue
		}
		found.chosen = append(found.chosen, at)
		if len(found.chosen) > keep {
			found.chosen = found.chosen[1:]
			found.missed++
		}
	}
	return found
}
