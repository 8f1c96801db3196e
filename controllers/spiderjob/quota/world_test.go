package quota

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// eventsAfter is how soon the controller looks why a Job has no Pod.
const eventsAfter = 2 * time.Second

// run is a SpiderJob of the world, with its Job and Pod.
type run struct {
	Job
	message string
	length  time.Duration

	made, refusedAt, tryAt, lookAt, endAt time.Time
	tries                                 int
	job, pod, ended                       bool
	// silent is never reconciled.
	silent bool
}

func (r *run) waits() bool { return !r.pod && !r.ended }

// world is a namespace with a quota of Pods, a Job controller that tries again like Kubernetes' own, and a reconciler that
// says to the line what the controller says. Time passes in seconds.
type world struct {
	*line
	now   time.Time
	limit int
	runs  []*run
	// delay is how many seconds late the reconciler is.
	delay func() int
	// refusals are the Job controller's, creations and deletions of Jobs the operator's.
	refusals, creations, deletions int
	// begun are those whose Pods were made, in that order; changed is when the last was, or something else was new.
	begun   []*run
	changed time.Time
}

func newWorld(limit int) *world {
	return &world{line: newLine(), now: epoch, limit: limit, changed: epoch, delay: func() int { return 0 }}
}

// create makes a SpiderJob whose Pod runs for length.
func (w *world) create(length time.Duration) *run {
	name := fmt.Sprintf("run-%05d", len(w.runs))
	job := Job{Key: types.NamespacedName{Namespace: "shop", Name: name}, Created: w.now, Shape: "books@1"}
	r := &run{Job: job, length: length, message: full, lookAt: w.now}
	w.runs = append(w.runs, r)
	return r
}

// wake has the SpiderJobs looked at.
func (w *world) wake(names []string) {
	for _, name := range names {
		i := slices.IndexFunc(w.runs, func(r *run) bool { return r.Key.Name == name })
		w.look(w.runs[i])
	}
}

func (w *world) look(r *run) { r.lookAt = w.now.Add(time.Duration(w.delay()) * time.Second) }

// reconcile says to the line what is seen of a SpiderJob, and does what it answers.
func (w *world) reconcile(r *run) {
	r.lookAt = time.Time{}
	switch {
	case r.ended:
		w.wake(w.gone(r.Key.Name, w.now))
	case r.pod:
		w.wake(w.started(r.Key.Name, w.now))
	case !r.job:
		verdict, wake := w.wants(r.Job, w.now)
		w.wake(wake)
		if r.Recorded = verdict.Message; verdict.Go {
			r.job, r.made, r.tryAt, r.tries = true, w.now, w.now, 0
			r.lookAt = w.now.Add(eventsAfter)
			w.creations++
		}
	default:
		age := w.now.Sub(r.made)
		if age >= eventsAfter && !r.refusedAt.IsZero() {
			w.wake(w.refused(r.Job, r.message, r.refusedAt, w.now))
			r.Recorded = Message(r.message)
		}
		keep, wake := w.mayKeep(r.Job, w.now)
		w.wake(wake)
		if r.lookAt = w.now.Add(min(max(age, 5*time.Second), time.Minute)); !keep {
			w.deletions++
			r.job, r.refusedAt = false, time.Time{}
			w.look(r)
		}
	}
}

// second lets a second pass.
func (w *world) second() {
	w.now = w.now.Add(time.Second)
	running := 0
	for _, r := range w.runs {
		if r.pod && !r.endAt.After(w.now) {
			r.pod, r.ended, r.job = false, true, false
			w.look(r)
		}
		if r.pod {
			running++
		}
	}
	w.tryPods(running)
	for range 3 { // what a reconcile wakes is reconciled in the same second
		for _, r := range w.runs {
			if !r.silent && !r.lookAt.IsZero() && !r.lookAt.After(w.now) {
				w.reconcile(r)
			}
		}
	}
}

// tryPods is the Job controller: ten tries a second, those due longest first, each with a back-off of its own up to a minute.
func (w *world) tryPods(running int) {
	var due []*run
	for _, r := range w.runs {
		if r.job && !r.pod && !r.tryAt.After(w.now) {
			due = append(due, r)
		}
	}
	slices.SortStableFunc(due, func(a, b *run) int { return a.tryAt.Compare(b.tryAt) })
	for _, r := range due[:min(10, len(due))] {
		if running < w.limit && r.message == full {
			running++
			r.pod, r.endAt = true, w.now.Add(r.length)
			w.begun, w.changed = append(w.begun, r), w.now
			w.look(r)
			continue
		}
		w.refusals++
		r.refusedAt, r.tryAt = w.now, w.now.Add(min(time.Second<<min(r.tries, 6), time.Minute))
		r.tries++
	}
}

// restart has a new process look at all SpiderJobs.
func (w *world) restart() {
	w.line = newLine()
	for _, r := range w.runs {
		w.look(r)
	}
}

// jobs counts the Jobs without a Pod.
func (w *world) jobs() (n int) {
	for _, r := range w.runs {
		if r.job && r.waits() {
			n++
		}
	}
	return n
}

// olderThan counts the SpiderJobs without a Pod that are older than r.
func (w *world) olderThan(r *run) (n int) {
	for _, other := range w.runs {
		if other.waits() && (other.Created.Before(r.Created) || other.Created.Equal(r.Created) && other.Key.Name < r.Key.Name) {
			n++
		}
	}
	return n
}

// unfinished counts those that have not ended.
func (w *world) unfinished() (n int) {
	for _, r := range w.runs {
		if !r.ended {
			n++
		}
	}
	return n
}
