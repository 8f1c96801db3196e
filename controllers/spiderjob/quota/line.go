package quota

import (
	"time"
)

const (
	// base is how many SpiderJobs of a namespace may have a Job without a Pod while its Pods are refused.
	base = 4
	// most bounds that number, which grows while Pods are being created. The Job controller creates some ten a second.
	most = 32
	// patience is how long a SpiderJob with permission to create its Job may take to do so, or to report something else. Then it
	// loses its place until it reports again, so that it cannot block the others.
	patience = 2 * time.Minute
)

// line holds the SpiderJobs of one namespace that have no Pod yet, as far as is known.
//
// They wait in one order, the oldest first. Those whose Pods ask for more than the quota's limit wait in another one: no Pod
// that ends makes room for them, and they must not block the others forever.
type line struct {
	entries map[string]*entry
	shapes  map[string]*shape
	fits    *lane
	never   *lane
	// message is the last refusal, in stable words.
	message string
}

func newLine() *line {
	l := &line{entries: map[string]*entry{}, shapes: map[string]*shape{}, fits: newLane(), never: newLane()}
	l.never.closed = true
	return l
}

func (l *line) lane(e *entry) *lane {
	if e.shape.neverFits {
		return l.never
	}
	return l.fits
}

// see returns the entry of a SpiderJob in the state it was seen in.
func (l *line) see(job Job, s state) *entry {
	e := l.entries[job.Key.Name]
	if e != nil && (!e.created.Equal(job.Created) || e.shape.name != job.Shape) {
		l.forget(e) // another SpiderJob of the name, or its Spider has changed
		e = nil
	}
	if e != nil {
		l.lane(e).set(e, s)
		return e
	}
	e = &entry{name: job.Key.Name, created: job.Created, state: s}
	l.join(e, job.Shape)
	if job.Recorded != "" && !l.lane(e).closed {
		l.learn(e.shape, job.Recorded) // from an earlier process
	}
	return e
}

// learn records a refusal. It closes the lane of those it applies to.
func (l *line) learn(s *shape, message string) {
	s.message = Message(message)
	l.classify(s, neverFits(message))
	if !s.neverFits {
		l.message = s.message
		l.fits.close()
	}
}

func (l *line) join(e *entry, name string) {
	s := l.shapes[name]
	if s == nil {
		s = &shape{name: name}
		l.shapes[name] = s
	}
	s.entries++
	e.shape = s
	l.entries[e.name] = e
	l.lane(e).add(e)
}

func (l *line) forget(e *entry) {
	l.lane(e).remove(e)
	delete(l.entries, e.name)
	if e.shape.entries--; e.shape.entries == 0 {
		delete(l.shapes, e.shape.name)
	}
}

// wants decides whether a SpiderJob without a Job may create it.
func (l *line) wants(job Job, now time.Time) (v Verdict, wake []string) {
	before := parked
	if e := l.entries[job.Key.Name]; e != nil {
		before = e.state
	}
	e := l.see(job, granted)
	lane := l.lane(e)
	e.since, e.refusedAt = now, time.Time{}
	if before != released && before != granted {
		e.fresh = lane.closed
	}
	wake = l.advance(now)
	if lane.allowed(e) {
		return Verdict{Go: true}, wake
	}
	lane.set(e, parked)
	v.Message = e.shape.message
	if v.Message == "" {
		v.Message = l.message
	}
	return v, wake
}

// mayKeep decides whether a SpiderJob whose Job has no Pod may keep it.
func (l *line) mayKeep(job Job, now time.Time) (keep bool, wake []string) {
	s := made
	if e := l.entries[job.Key.Name]; e != nil && e.state == refused {
		s = refused
	}
	e := l.see(job, s)
	wake = l.advance(now)
	return l.lane(e).allowed(e), wake
}

// refused records that the Pod of a SpiderJob's Job was refused for quota, the last time at at.
func (l *line) refused(job Job, message string, at, now time.Time) (wake []string) {
	known := l.entries[job.Key.Name]
	news := known == nil || known.state != refused || at.After(known.refusedAt)
	e := l.see(job, refused)
	e.refusedAt, e.fresh = at, false
	l.learn(e.shape, message)
	if news && !e.shape.neverFits {
		l.fits.window = base
	}
	return l.advance(now)
}

// started records that a SpiderJob has its Pod.
func (l *line) started(name string, now time.Time) (wake []string) {
	e := l.entries[name]
	if e == nil {
		return nil
	}
	if e.shape.neverFits {
		l.classify(e.shape, false)
	} else if l.fits.closed && e.fresh {
		l.fits.window = min(l.fits.window+1, most)
	}
	l.forget(e)
	return l.advance(now)
}

// gone records that a SpiderJob wants no Pod, or none that a quota refuses.
func (l *line) gone(name string, now time.Time) (wake []string) {
	e := l.entries[name]
	if e == nil {
		return nil
	}
	l.forget(e)
	return l.advance(now)
}

// classify moves all SpiderJobs of a shape to the right lane.
func (l *line) classify(s *shape, neverFits bool) {
	if s.neverFits == neverFits {
		return
	}
	from, to := l.fits, l.never
	if !neverFits {
		from, to = l.never, l.fits
	}
	var moving []*entry
	from.order.Scan(func(e *entry) bool {
		if e.shape == s {
			moving = append(moving, e)
		}
		return true
	})
	for _, e := range moving {
		known := from.allowed(e)
		from.remove(e)
		to.add(e)
		if known {
			to.first = append(to.first, e)
		}
	}
	if s.neverFits = neverFits; !neverFits {
		l.fits.close() // there is room for one of them, perhaps not for all
	}
}

// advance handles the consequences of a change, and returns the names of those to enqueue.
func (l *line) advance(now time.Time) (wake []string) {
	for _, lane := range []*lane{l.fits, l.never} {
		l.dropSilent(lane, now)
	}
	if l.fits.closed && l.fits.held == 0 && (l.fits.order.Len() == 0 || l.fits.window > base) {
		l.fits.open()
	}
	return append(l.fits.advance(now), l.never.advance(now)...)
}

// dropSilent drops those of the first that had permission to create their Jobs and have not reported since.
func (l *line) dropSilent(from *lane, now time.Time) {
	if !from.closed {
		return
	}
	var silent []*entry
	count := 0
	from.order.Scan(func(e *entry) bool {
		if (e.state == released || e.state == granted) && now.Sub(e.since) >= patience {
			silent = append(silent, e)
		}
		count++
		return count < from.window
	})
	for _, e := range silent {
		l.forget(e)
	}
}
