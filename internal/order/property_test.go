package order

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a Namespace that is plain and slow: it keeps a list, counts it each time, and sorts it each time.
type model struct {
	limits           Limits
	waiting, running map[string]Run
}

func newModel() *model { return &model{waiting: map[string]Run{}, running: map[string]Run{}} }

func (m *model) count(counts func(Run) bool) (n int) {
	for _, run := range m.running {
		if counts(run) {
			n++
		}
	}
	return n
}

func (m *model) groupLimit(run Run) int {
	limit, found := m.limits.Groups[run.Group]
	switch {
	case run.Group == "":
		return 0
	case found:
		return limit
	}
	return m.limits.DefaultGroup
}

func (m *model) block(run Run) Block {
	for _, b := range []Block{
		{BySpider, run.Spider, m.limits.Spiders[run.Spider], m.count(func(o Run) bool { return o.Spider == run.Spider })},
		{ByGroup, run.Group, m.groupLimit(run), m.count(func(o Run) bool { return o.Group == run.Group })},
		{ByUser, run.User, m.limits.RunningPerUser, m.ofUser(run)},
		{ByNamespace, "", m.limits.Running, len(m.running)},
	} {
		if b.Limit > 0 && b.Used >= b.Limit {
			return b
		}
	}
	return Block{Kind: ByTurn}
}

func (m *model) ofUser(run Run) int { return m.count(func(o Run) bool { return o.User == run.User }) }

// share is what the user of a run has running per weight. The weights of the tests divide 60, so that it is a whole number.
func (m *model) share(run Run) int { return m.ofUser(run) * 60 / max(m.limits.Weights[run.User], 1) }

func seniority(run Run) time.Time {
	return run.Created.Add(time.Duration(-10*run.Priority) * time.Minute)
}

// next tries each run that waits.
func (m *model) next(fits func(Run) bool) (Run, bool) {
	heads := map[string]Run{}
	for _, run := range m.waiting {
		head, found := heads[run.User]
		if fits(run) && (!found || cmp.Or(seniority(run).Compare(seniority(head)), cmp.Compare(run.Name, head.Name)) < 0) {
			heads[run.User] = run
		}
	}
	if len(heads) == 0 {
		return Run{}, false
	}
	return slices.MinFunc(slices.Collect(maps.Values(heads)), func(a, b Run) int {
		return cmp.Or(cmp.Compare(m.share(a), m.share(b)), a.Created.Compare(b.Created), cmp.Compare(a.User, b.User))
	}), true
}

// positions starts all that wait, as if there was room.
func (m *model) positions() (names []string) {
	then := &model{limits: m.limits, waiting: maps.Clone(m.waiting), running: maps.Clone(m.running)}
	for {
		run, found := then.next(func(Run) bool { return true })
		if !found {
			return names
		}
		delete(then.waiting, run.Name)
		then.running[run.Name] = run
		names = append(names, run.Name)
	}
}

var (
	users   = []string{"ann", "bob", "cat", ""}
	spiders = []string{"books", "quotes", "shoes"}
	groups  = []string{"", "shop", "news"}
)

func limits() *rapid.Generator[Limits] {
	// Often there is no limit, and seldom a wide one.
	number := rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3, 6})
	return rapid.Custom(func(t *rapid.T) Limits {
		return Limits{
			Running:        rapid.SampledFrom([]int{0, 3, 5, 8}).Draw(t, "running"),
			RunningPerUser: number.Draw(t, "per user"),
			Groups:         rapid.MapOf(rapid.SampledFrom(groups), number).Draw(t, "groups"),
			DefaultGroup:   number.Draw(t, "default group"),
			Spiders:        rapid.MapOf(rapid.SampledFrom(spiders), number).Draw(t, "spiders"),
			Weights:        rapid.MapOf(rapid.SampledFrom(users), rapid.SampledFrom([]int{1, 2, 3, 5})).Draw(t, "weights"),
		}
	})
}

func anyRun() *rapid.Generator[Run] {
	return rapid.Custom(func(t *rapid.T) Run {
		return Run{
			Name:     fmt.Sprint("run-", rapid.IntRange(0, 30).Draw(t, "name")),
			User:     rapid.SampledFrom(users).Draw(t, "user"),
			Spider:   rapid.SampledFrom(spiders).Draw(t, "spider"),
			Group:    rapid.SampledFrom(groups).Draw(t, "group"),
			Created:  minute(rapid.IntRange(0, 20).Draw(t, "created")),
			Priority: int32(rapid.SampledFrom([]int{0, 0, 0, 1, -1, 2}).Draw(t, "priority")),
		}
	})
}

// check compares all answers of a Namespace with those of the model.
func (m *model) check(t *rapid.T, n *Namespace) {
	want, wantOK := m.next(func(run Run) bool { return m.block(run).Kind == ByTurn })
	if got, ok := n.Next(); got != want || ok != wantOK {
		t.Fatalf("next is %+v (%t), want %+v (%t)", got, ok, want, wantOK)
	}
	for name, run := range m.waiting {
		if got, ok := n.Blocked(name); !ok || got != m.block(run) {
			t.Fatalf("%+v waits (%t) for %+v, want %+v", run, ok, got, m.block(run))
		}
	}
	for name := range m.running {
		if got, ok := n.Blocked(name); ok {
			t.Fatalf("%s waits for %+v, and runs", name, got)
		}
	}
	if got, want := n.Positions(1000), m.positions(); !slices.Equal(got, want) {
		t.Fatalf("the order is %q, want %q", got, want)
	}
}

// rebuilt returns a Namespace that is told of the same in another order.
func (m *model) rebuilt(seed uint64) *Namespace {
	random := rand.New(rand.NewPCG(seed, 0))
	tell := []func(*Namespace){func(n *Namespace) { n.SetLimits(m.limits) }}
	for _, run := range m.waiting {
		tell = append(tell, func(n *Namespace) { n.Wait(run) })
	}
	for _, run := range m.running {
		tell = append(tell, func(n *Namespace) { n.Start(run) })
	}
	random.Shuffle(len(tell), func(i, j int) { tell[i], tell[j] = tell[j], tell[i] })
	n := New()
	for _, each := range tell {
		each(n)
	}
	return n
}

// Whatever it is told in whatever order, the next run is the one that the plain definition finds: so none is if and only if none
// fits, and none starts beyond a limit. A Namespace that is told of the same in another order, as after a restart, answers the
// same; and nothing is kept of runs that are gone.
func TestAnswersAreThoseOfThePlainDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := New(), newModel()
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { m.check(t, n) },
			"limits": func(t *rapid.T) {
				m.limits = limits().Draw(t, "limits")
				n.SetLimits(m.limits)
			},
			"wait": func(t *rapid.T) {
				for _, run := range rapid.SliceOfN(anyRun(), 1, 6).Draw(t, "runs") {
					n.Wait(run)
					delete(m.running, run.Name)
					m.waiting[run.Name] = run
				}
			},
			"start anything": func(t *rapid.T) {
				run := anyRun().Draw(t, "run")
				n.Start(run)
				delete(m.waiting, run.Name)
				m.running[run.Name] = run
			},
			"start the next": func(*rapid.T) {
				if run, ok := n.Next(); ok {
					n.Start(run)
					delete(m.waiting, run.Name)
					m.running[run.Name] = run
				}
			},
			"remove": func(t *rapid.T) {
				name := anyRun().Draw(t, "run").Name
				n.Remove(name)
				delete(m.waiting, name)
				delete(m.running, name)
			},
			"restart": func(t *rapid.T) { n = m.rebuilt(rapid.Uint64().Draw(t, "seed")) },
		})
		for _, all := range []map[string]Run{m.waiting, m.running} {
			for name := range all {
				n.Remove(name)
			}
		}
		if len(n.runs)+len(n.users)+len(n.groups)+len(n.spiders)+n.all.used != 0 {
			t.Fatalf("something is left of nothing: %+v", n)
		}
	})
}

// Starting what is next passes no limit, whatever waits; and when nothing is next, each run that waits is up against a limit.
func TestNoLimitIsPassedAndNoPlaceStaysFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := New(), newModel()
		m.limits = limits().Draw(t, "limits")
		n.SetLimits(m.limits)
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			for _, run := range rapid.SliceOfN(anyRun(), 0, 20).Draw(t, "runs") {
				if _, runs := m.running[run.Name]; !runs {
					n.Wait(run)
					m.waiting[run.Name] = run
				}
			}
			for _, name := range n.startAll() {
				m.running[name] = m.waiting[name]
				delete(m.waiting, name)
			}
			for _, run := range m.running {
				for _, c := range []struct{ used, limit int }{
					{len(m.running), m.limits.Running},
					{m.ofUser(run), m.limits.RunningPerUser},
					{m.count(func(o Run) bool { return o.Group == run.Group }), m.groupLimit(run)},
					{m.count(func(o Run) bool { return o.Spider == run.Spider }), m.limits.Spiders[run.Spider]},
				} {
					if c.limit > 0 && c.used > c.limit {
						t.Fatalf("%d run like %+v, with a limit of %d", c.used, run, c.limit)
					}
				}
			}
			for _, run := range m.waiting {
				if m.block(run).Kind == ByTurn {
					t.Fatalf("%+v waits, and fits", run)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(m.running)) {
				if rapid.Bool().Draw(t, "ends") {
					n.Remove(name)
					delete(m.running, name)
				}
			}
		}
	})
}

// All that waits runs some day, under any limits, as long as what runs ends.
func TestAllThatWaitsRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := New()
		n.SetLimits(limits().Draw(t, "limits"))
		left := map[string]bool{}
		for _, run := range rapid.SliceOfN(anyRun(), 0, 30).Draw(t, "runs") {
			n.Wait(run)
			left[run.Name] = true
		}
		var running []string
		for len(left) > 0 {
			running = append(running, n.startAll()...)
			if len(running) == 0 {
				t.Fatalf("%v never run", left)
			}
			i := rapid.IntRange(0, len(running)-1).Draw(t, "ends")
			n.Remove(running[i])
			delete(left, running[i])
			running = slices.Delete(running, i, i+1)
		}
	})
}
