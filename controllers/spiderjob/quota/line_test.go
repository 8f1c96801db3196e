package quota

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWaitingCostsTheSameForAnyBacklog has a quota of one Pod, which runs for an hour: once it is known that there is no room,
// what the others cost does not depend on their number.
func TestWaitingCostsTheSameForAnyBacklog(t *testing.T) {
	cost := func(backlog int) (refusals, requests int) {
		w := newWorld(1)
		w.create(2 * time.Hour)
		for range backlog {
			w.create(time.Minute)
		}
		for range 300 {
			w.second()
		}
		if n := w.jobs(); n != base {
			t.Fatalf("%d of %d Jobs wait for room, want %d", n, backlog, base)
		}
		refusals, requests = w.refusals, w.creations+w.deletions
		for range 3600 {
			w.second()
		}
		return w.refusals - refusals, w.creations + w.deletions - requests
	}
	few, fewRequests := cost(30)
	many, manyRequests := cost(1000)
	if few != many || few > base*61 {
		t.Errorf("an hour costs %d refusals with 30 Jobs and %d with 1000, want the same, at most %d", few, many, base*61)
	}
	if fewRequests != 0 || manyRequests != 0 {
		t.Errorf("an hour of waiting costs %d and %d requests of the operator, want none", fewRequests, manyRequests)
	}
}

// TestBurstIsRefusedForSecondsOnly has more and more Jobs created at once: the Job controller's ten tries a second go to them
// only until the first refusal is known, and those that it has not tried by then are deleted untried.
func TestBurstIsRefusedForSecondsOnly(t *testing.T) {
	refused := func(burst int) int {
		w := newWorld(0)
		for range burst {
			w.create(time.Minute)
		}
		for range 30 {
			w.second()
		}
		return w.refusals
	}
	few, many := refused(100), refused(5000)
	if few != many || few > 50 {
		t.Errorf("in 30 s %d Pods are refused of 100 Jobs and %d of 5000, want the same, at most 50", few, many)
	}
}

// TestOldestStartFirst has thirty Jobs for a quota of one Pod: none overtakes more than three that are older.
func TestOldestStartFirst(t *testing.T) {
	w := newWorld(1)
	for range 30 {
		w.create(30 * time.Second)
		w.second()
	}
	for i := 0; w.unfinished() > 0; i++ {
		if i > 3600 {
			t.Fatalf("%d have not run in an hour", w.unfinished())
		}
		before := len(w.begun)
		w.second()
		for _, r := range w.begun[before:] {
			if n := w.olderThan(r); n >= base {
				t.Errorf("%s overtakes %d", r.Key.Name, n)
			}
		}
	}
}

// TestRaisedQuotaFillsFast raises a quota from one Pod to 300: the first Pod that is created shows that there is room for
// more.
func TestRaisedQuotaFillsFast(t *testing.T) {
	w := newWorld(1)
	for range 400 {
		w.create(time.Hour)
	}
	for range 600 {
		w.second()
	}
	w.limit = 300
	for len(w.begun) == 1 { // until the Job controller tries again
		w.second()
	}
	for range 45 {
		w.second()
	}
	if n := len(w.begun); n != 300 {
		t.Errorf("%d Pods run 45 s after the quota was found raised, want 300: the Job controller makes ten a second", n)
	}
	for range 30 {
		w.second()
	}
	if n := w.jobs(); n != base {
		t.Errorf("%d Jobs wait for room again, want %d", n, base)
	}
}

// TestARestartCreatesAndDeletesFewJobs checks that a new process uses at once what the process before it has recorded.
func TestARestartCreatesAndDeletesFewJobs(t *testing.T) {
	w := newWorld(1)
	for range 100 {
		w.create(time.Hour)
	}
	for range 300 {
		w.second()
	}
	creations, deletions := w.creations, w.deletions
	w.restart()
	for _, r := range w.runs {
		if r.job {
			w.look(r)
			r.lookAt = r.lookAt.Add(10 * time.Second) // others are looked at first, and Events are read later
		}
	}
	for range 60 {
		w.second()
	}
	if c, d := w.creations-creations, w.deletions-deletions; c > base || d > base || w.jobs() != base {
		t.Errorf("a restart made %d Jobs and deleted %d, and %d wait for room, want at most %d", c, d, w.jobs(), base)
	}
}

// TestPodsThatNeverFitDelayNoOthers has Pods that ask for more than the quota's limit in front of others.
func TestPodsThatNeverFitDelayNoOthers(t *testing.T) {
	w := newWorld(2)
	for range 20 {
		r := w.create(time.Minute)
		r.Shape, r.message = "huge@1", tooBig
	}
	for range 20 {
		w.create(10 * time.Second)
	}
	for range 1200 {
		w.second()
	}
	if n := len(w.begun); n != 20 {
		t.Errorf("%d of the 20 that fit have run", n)
	}
	if n := w.jobs(); n != base {
		t.Errorf("%d Jobs wait that never fit, want %d", n, base)
	}
	for _, r := range w.runs { // the quota is raised
		r.message = full
	}
	for range 1200 {
		w.second()
	}
	if n := w.unfinished(); n != 0 {
		t.Errorf("%d have not run, although the quota has room for them", n)
	}
}

// TestFewJobsTryARaisedLimit raises a limit that all Pods exceeded: one Pod that is created does not show that all have room.
func TestFewJobsTryARaisedLimit(t *testing.T) {
	w := newWorld(6)
	for range 100 {
		w.create(time.Hour).message = tooBig
	}
	for range 300 {
		w.second()
	}
	for _, r := range w.runs {
		r.message = full
	}
	for range 120 {
		w.second()
		if n := w.jobs(); n > 2*base {
			t.Fatalf("%d Jobs wait for room at once, want at most %d", n, 2*base)
		}
	}
	if n := len(w.begun); n != 6 {
		t.Errorf("%d Pods run, want 6", n)
	}
}

// TestYoungestLoseTheirJobs checks that once a quota is known to be full, only the oldest keep the Jobs that were created
// before.
func TestYoungestLoseTheirJobs(t *testing.T) {
	w := newWorld(0)
	for range 6 {
		r := w.create(time.Minute)
		if verdict, _ := w.wants(r.Job, w.now); !verdict.Go {
			t.Fatalf("%s is parked before any refusal", r.Key.Name)
		}
	}
	wake := w.refused(w.runs[5].Job, full, w.now, w.now)
	if got := fmt.Sprint(wake); got != "[run-00004 run-00005]" {
		t.Errorf("woke %s, want the two youngest of six", got)
	}
	for i, r := range w.runs {
		if keep, _ := w.mayKeep(r.Job, w.now); keep != (i < base) {
			t.Errorf("%s may keep its Job: %t", r.Key.Name, keep)
		}
	}
}

// TestAWokenSpiderJobThatDoesNothingLosesItsPlace checks that a SpiderJob that was woken and then neither creates a Job nor
// waits does not keep others from running.
func TestAWokenSpiderJobThatDoesNothingLosesItsPlace(t *testing.T) {
	w := newWorld(1)
	w.create(time.Minute)
	for range 20 {
		w.create(time.Minute)
	}
	for range 30 {
		w.second()
	}
	for _, r := range w.runs[5:9] {
		r.silent = true
	}
	for range 3600 {
		w.second()
	}
	if n := w.unfinished(); n != 4 {
		t.Errorf("%d have not run, want only the four that do nothing", n)
	}
}

// TestMessageOfAParkedSpiderJobIsStable checks that a parked SpiderJob gets the same message each time.
func TestMessageOfAParkedSpiderJobIsStable(t *testing.T) {
	w := newWorld(1)
	for range 10 {
		w.create(time.Hour)
	}
	for range 30 {
		w.second()
	}
	for range 3 {
		w.second()
		verdict, _ := w.wants(w.runs[9].Job, w.now)
		if verdict.Go || verdict.Message != stable {
			t.Errorf("the youngest gets %+v, want it parked with %q", verdict, stable)
		}
	}
}

// TestAnyBacklog has SpiderJobs come and be cancelled, quotas change, reconciles be late and the process restart: all run in
// the end, no more than a few Jobs wait for room for long, and nothing is remembered of SpiderJobs that are gone.
func TestAnyBacklog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		w := newWorld(pick(4, "limit"))
		late := pick(3, "late")
		w.delay = func() int { return pick(late+1, "delay") }
		second := func() {
			t.Helper()
			before := len(w.begun)
			w.second()
			for _, r := range w.begun[before:] {
				if n := w.olderThan(r); w.fits.closed && w.now.Sub(w.changed) > 20*time.Second && n >= most {
					t.Fatalf("%s overtakes %d", r.Key.Name, n)
				}
			}
			if n := w.jobs(); n > base && w.now.Sub(w.changed) > 20*time.Second {
				t.Fatalf("%d Jobs have waited for room for 20 s", n)
			}
		}
		for range 40 {
			switch pick(6, "event") {
			case 0:
				w.changed = w.now
				for range pick(12, "burst") {
					w.create(time.Duration(1+pick(90, "length")) * time.Second)
				}
			case 1:
				w.limit = pick(8, "limit")
			case 2:
				if len(w.runs) > 0 {
					if r := w.runs[pick(len(w.runs), "cancelled")]; r.waits() {
						r.ended, r.job = true, false
						w.look(r)
					}
				}
			case 3:
				if pick(4, "restart") == 0 {
					w.restart()
					w.changed = w.now
				}
			default:
				for range pick(40, "seconds") {
					second()
				}
			}
		}
		w.limit = max(w.limit, 1)
		for i := 0; w.unfinished() > 0; i++ {
			if i > 200*(1+len(w.runs)) {
				t.Fatalf("%d never run", w.unfinished())
			}
			second()
		}
		for range 5 {
			w.second()
		}
		if len(w.entries)+len(w.shapes)+w.fits.order.Len()+w.never.order.Len() != 0 {
			t.Fatalf("%d SpiderJobs that are gone are remembered", len(w.entries))
		}
	})
}
