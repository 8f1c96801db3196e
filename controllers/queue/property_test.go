package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// step is one call of a Core.
type step struct {
	kind    int
	request reconcile.Request
	class   int
	after   time.Duration
	pick    int
}

const (
	addStep = iota
	failStep
	takeStep
	doneStep
	forgetStep
	passStep
)

// stepKinds are the kinds of steps, the frequent ones several times: work has to pile up before a limit is felt.
var stepKinds = []int{
	addStep,
	addStep,
	addStep,
	addStep,
	takeStep,
	takeStep,
	takeStep,
	takeStep,
	failStep,
	doneStep,
	forgetStep,
	passStep,
}

func steps() *rapid.Generator[[]step] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			kind:    rapid.SampledFrom(stepKinds).Draw(t, "kind"),
			request: req(rapid.StringMatching("[a-d]/[0-5]").Draw(t, "request")),
			class:   classes[rapid.IntRange(0, int(ranks)-1).Draw(t, "class")],
			after:   time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 50}).Draw(t, "after")) * time.Millisecond,
			pick:    rapid.IntRange(0, 1000).Draw(t, "pick"),
		}
	}), 0, 200)
}

// expected is what an item of the model is to be: plain, slow, and without any of Core's structure.
type expected struct {
	waits, isDelayed bool
	rank             rank
	due              time.Time
	// came is its place among those of its namespace and rank.
	came     int
	failures int
	taken    bool
	took     rank
}

// model says what a Core has to do, in sentences instead of lists.
type model struct {
	limits Limits
	now    time.Time
	items  map[reconcile.Request]*expected
	came   int
}

func (m *model) of(request reconcile.Request) *expected {
	if m.items[request] == nil {
		m.items[request] = &expected{}
	}
	return m.items[request]
}

func (m *model) next() int {
	m.came++
	return m.came
}

func (m *model) add(request reconcile.Request, r rank, after time.Duration) {
	e := m.of(request)
	if r == createRank && e.failures > 0 {
		r = createAgainRank
	}
	switch {
	case !e.waits:
		*e = expected{waits: true, isDelayed: after > 0, rank: r, due: m.now.Add(after), came: m.next(),
			failures: e.failures, taken: e.taken, took: e.took}
	case e.isDelayed && after <= 0:
		e.isDelayed, e.rank, e.came = false, min(e.rank, r), m.next()
	case e.isDelayed:
		e.rank = min(e.rank, r)
		if due := m.now.Add(after); due.Before(e.due) {
			e.due = due
		}
	case r < e.rank:
		e.rank, e.came = r, m.next()
	}
}

// advance makes ready what is due. Those due together may come in any order, which the model leaves open by giving them one
// place.
func (m *model) advance() {
	for {
		var first *expected
		for _, e := range m.items {
			if e.waits && e.isDelayed && !e.due.After(m.now) && (first == nil || e.due.Before(first.due)) {
				first = e
			}
		}
		if first == nil {
			return
		}
		place := m.next()
		due := first.due
		for _, e := range m.items {
			if e.waits && e.isDelayed && e.due.Equal(due) {
				e.isDelayed, e.came = false, place
			}
		}
	}
}

func (m *model) ready(e *expected) bool { return e.waits && !e.isDelayed && !e.taken }

// permitted are the items that may be taken now.
func (m *model) permitted() []reconcile.Request {
	taken, creations, holds, creating, waiting := 0, 0, map[string]int{}, map[string]int{}, map[string]bool{}
	for request, e := range m.items {
		if e.taken {
			taken++
			holds[request.Namespace]++
			if e.took.creates() {
				creations++
				creating[request.Namespace]++
			}
		}
		if m.ready(e) {
			waiting[request.Namespace] = true
		}
	}
	var all []reconcile.Request
	for request, e := range m.items {
		ns := request.Namespace
		switch shared := len(waiting) > 1; {
		case !m.ready(e), taken >= m.limits.Workers,
			e.rank.creates() && creations >= m.limits.Creations,
			shared && holds[ns] >= m.limits.Shared,
			!shared && holds[ns] >= m.limits.Alone,
			!shared && e.rank.creates() && creating[ns] >= m.limits.CreationsAlone:
		default:
			all = append(all, request)
		}
	}
	return all
}

// checkTake holds a take against what is permitted: nothing is held back, the most urgent goes first, and within its namespace
// and class the one that came first.
func (m *model) checkTake(t *rapid.T, got Taken, ok bool) {
	permitted := m.permitted()
	if ok != (len(permitted) > 0) {
		t.Fatalf("taken is %t (%v), and permitted are %v", ok, got, permitted)
	}
	if !ok {
		return
	}
	if !slices.Contains(permitted, got.Request) {
		t.Fatalf("%v is taken, and permitted are %v", got, permitted)
	}
	e := m.of(got.Request)
	if classes[e.rank] != got.Class {
		t.Fatalf("%v is taken, of class %d", got, classes[e.rank])
	}
	for _, request := range permitted {
		other := m.of(request)
		if other.rank < e.rank {
			t.Fatalf("%v is taken before %v of class %d", got, request, classes[other.rank])
		}
		if request.Namespace == got.Request.Namespace && other.rank == e.rank && other.came < e.came {
			t.Fatalf("%v is taken before %v, which came first", got, request)
		}
	}
	e.waits, e.taken, e.took = false, true, e.rank
}

func (m *model) inProgress() []reconcile.Request {
	var all []reconcile.Request
	for request, e := range m.items {
		if e.taken {
			all = append(all, request)
		}
	}
	slices.SortFunc(all, func(a, b reconcile.Request) int { return slices.Compare([]byte(a.String()), []byte(b.String())) })
	return all
}

func (m *model) done(request reconcile.Request) {
	e := m.of(request)
	e.taken = false
	if e.waits && !e.isDelayed {
		e.came = m.next()
	}
}

// Whatever is called in whatever order: no item is with two workers, nothing is lost, no limit is exceeded, and nothing that may
// be taken is held back.
func TestCoreKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 12).Draw(t, "workers")
		core := NewCore(workers)
		m := &model{limits: limitsFor(workers), now: epoch, items: map[reconcile.Request]*expected{}}
		take := func() bool {
			m.advance()
			got, ok := core.Take(m.now)
			m.checkTake(t, got, ok)
			return ok
		}
		for _, s := range steps().Draw(t, "steps") {
			inProgress := m.inProgress()
			switch {
			case s.kind == addStep:
				core.Add(m.now, s.request, AddOptions{Class: &s.class, After: s.after})
				m.add(s.request, rankOf(s.class), s.after)
			case s.kind == takeStep:
				take()
			case s.kind == passStep:
				m.now = m.now.Add(s.after)
			case s.kind == forgetStep:
				core.Forget(s.request)
				m.of(s.request).failures = 0
			case len(inProgress) == 0:
			case s.kind == failStep:
				request := inProgress[s.pick%len(inProgress)]
				e := m.of(request)
				e.failures++
				core.Add(m.now, request, AddOptions{Failed: true})
				m.add(request, e.took.afterFailure(), backOff(e.failures))
				core.Done(m.now, request)
				m.done(request)
			case s.kind == doneStep:
				request := inProgress[s.pick%len(inProgress)]
				core.Done(m.now, request)
				m.done(request)
			}
		}
		// With every worker coming back, all that was ever added is worked on.
		for range 1000 {
			for take() {
			}
			for _, request := range m.inProgress() {
				core.Done(m.now, request)
				m.done(request)
			}
			if due, ok := core.NextDue(); ok && due.After(m.now) {
				m.now = due
			}
		}
		for request, e := range m.items {
			if e.waits {
				t.Fatalf("%v is lost: %+v", request, e)
			}
		}
		if core.Ready() != 0 || core.Taken() != 0 || len(core.namespaces) != 0 {
			t.Fatalf("%d are ready, %d in progress, of %d namespaces", core.Ready(), core.Taken(), len(core.namespaces))
		}
	})
}

// Same calls, same answers.
func TestCoreIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 8).Draw(t, "workers")
		script := steps().Draw(t, "steps")
		play := func() []string {
			core, now, story := NewCore(workers), epoch, []string{}
			for _, s := range script {
				switch s.kind {
				case addStep:
					core.Add(now, s.request, AddOptions{Class: &s.class, After: s.after})
				case failStep:
					core.Add(now, s.request, AddOptions{Failed: true})
				case takeStep:
					got, ok := core.Take(now)
					story = append(story, fmt.Sprint(got, ok))
				case doneStep:
					took, ok := core.Done(now, s.request)
					story = append(story, fmt.Sprint(took, ok))
				case forgetStep:
					core.Forget(s.request)
				case passStep:
					now = now.Add(s.after)
				}
			}
			return story
		}
		if first, second := play(), play(); !slices.Equal(first, second) {
			t.Fatalf("it was %q, and is %q", first, second)
		}
	})
}

// Of the namespaces that wait, none has a second turn before every other has had one.
func TestEveryNamespaceHasItsTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 8).Draw(t, "workers")
		s := newScript(workers)
		class := classes[rapid.IntRange(0, int(ranks)-1).Draw(t, "class")]
		namespaces := rapid.IntRange(2, 6).Draw(t, "namespaces")
		left := map[string]int{}
		for n := range namespaces {
			name := string(rune('a' + n))
			left[name] = rapid.IntRange(1, 10).Draw(t, "items")
			s.add(class, names(name, left[name])...)
		}
		turns := map[string]int{}
		for {
			got, ok := s.Take(s.now)
			if !ok {
				break
			}
			for name, n := range left {
				if n > 0 && turns[name] < turns[got.Request.Namespace] {
					t.Fatalf("%s has its turn before %s: %v", got.Request.Namespace, name, turns)
				}
			}
			turns[got.Request.Namespace]++
			left[got.Request.Namespace]--
			s.Done(s.now, got.Request)
		}
		if s.Ready() != 0 {
			t.Fatalf("%d are still ready", s.Ready())
		}
	})
}
