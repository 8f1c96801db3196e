package order

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }

// r reads a run from words: its name, which begins with the user's, the minute of its creation, and whatever of spider=, group=
// and priority= differs.
func r(text string) Run {
	words := strings.Fields(text)
	run := Run{Name: words[0], User: strings.TrimRight(words[0], "0123456789"), Spider: "books"}
	var created int
	if _, err := fmt.Sscan(words[1], &created); err != nil {
		panic(err)
	}
	run.Created = minute(created)
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "spider":
			run.Spider = value
		case "group":
			run.Group = value
		case "priority":
			if _, err := fmt.Sscan(value, &run.Priority); err != nil {
				panic(err)
			}
		default:
			panic(word)
		}
	}
	return run
}

// build returns a namespace with these runs.
func build(limits Limits, running, waiting []string) *Namespace {
	n := New()
	n.SetLimits(limits)
	for _, text := range running {
		n.Start(r(text))
	}
	for _, text := range waiting {
		n.Wait(r(text))
	}
	return n
}

// startAll starts all that may start, and returns their names.
func (n *Namespace) startAll() (names []string) {
	for {
		run, ok := n.Next()
		if !ok {
			return names
		}
		n.Start(run)
		names = append(names, run.Name)
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name             string
		limits           Limits
		running, waiting []string
		// want are those that start, in this order.
		want string
	}{
		{name: "nothing waits", running: []string{"ann1 0"}},
		{name: "without limits all start", waiting: []string{"ann1 0", "ann2 1"}, want: "ann1 ann2"},
		{name: "users alternate, the oldest run first", waiting: []string{"ann1 0", "ann2 0", "bob1 1", "bob2 1"}, want: "ann1 bob1 ann2 bob2"},
		{name: "runs of the same time come by name", waiting: []string{"ann2 0", "ann1 0"}, want: "ann1 ann2"},
		{name: "users with runs of the same time come by name", waiting: []string{"bob1 0", "ann1 0"}, want: "ann1 bob1"},
		{name: "who has least running is first", running: []string{"ann8 0", "ann9 0", "bob9 0"}, waiting: []string{"ann1 0", "bob1 5"}, want: "bob1 ann1"},
		{name: "a weight of two counts half", limits: Limits{Weights: map[string]int{"ann": 2}},
			waiting: []string{"ann1 0", "ann2 1", "ann3 2", "ann4 3", "bob1 9", "bob2 9"}, want: "ann1 bob1 ann2 ann3 bob2 ann4"},
		{name: "a point of priority is ten minutes", waiting: []string{"ann1 0", "ann2 9 priority=1", "ann3 11 priority=1"}, want: "ann2 ann1 ann3"},
		{name: "at the same key the name decides", waiting: []string{"ann2 0", "ann1 10 priority=1"}, want: "ann1 ann2"},
		{name: "priority below zero waits", waiting: []string{"ann1 0 priority=-1", "ann2 9", "ann3 11"}, want: "ann2 ann1 ann3"},
		{name: "priority beyond its bounds does not overflow", waiting: []string{"ann1 0 priority=-2147483648", "ann2 9", "ann3 11 priority=2147483647"}, want: "ann3 ann2 ann1"},
		{name: "priority does not cross users", limits: Limits{Running: 1}, waiting: []string{"ann1 1 priority=1000", "bob1 0 priority=-1000"}, want: "bob1"},
		{name: "the namespace's limit", limits: Limits{Running: 3}, running: []string{"ann9 0"}, waiting: []string{"ann1 0", "ann2 1", "ann3 2"}, want: "ann1 ann2"},
		{name: "each user's limit", limits: Limits{RunningPerUser: 1}, waiting: []string{"ann1 0", "ann2 0", "bob1 1", "bob2 1"}, want: "ann1 bob1"},
		{name: "no user is a user", limits: Limits{RunningPerUser: 1}, waiting: []string{"1 0", "2 0", "bob1 1"}, want: "1 bob1"},
		{name: "a group's limit holds for all its spiders", limits: Limits{Groups: map[string]int{"shop": 2}},
			waiting: []string{"ann1 0 spider=a group=shop", "bob1 1 spider=b group=shop", "cat1 2 spider=c group=shop"}, want: "ann1 bob1"},
		{name: "a group without a limit of its own has the default", limits: Limits{Groups: map[string]int{"shop": 2}, DefaultGroup: 1},
			waiting: []string{"ann1 0 group=shop", "ann2 0 group=shop", "ann3 0 group=news", "ann4 0 group=news"}, want: "ann1 ann2 ann3"},
		{name: "a group of its own may have no limit", limits: Limits{Groups: map[string]int{"shop": 0}, DefaultGroup: 1},
			waiting: []string{"ann1 0 group=shop", "ann2 0 group=shop"}, want: "ann1 ann2"},
		{name: "no group has no limit", limits: Limits{DefaultGroup: 1}, waiting: []string{"ann1 0", "ann2 0"}, want: "ann1 ann2"},
		{name: "a spider's limit holds for all users", limits: Limits{Spiders: map[string]int{"books": 1}}, waiting: []string{"ann1 0", "bob1 0"}, want: "ann1"},
		{name: "who is blocked holds nobody up", limits: Limits{Spiders: map[string]int{"books": 1}}, running: []string{"cat9 0"},
			waiting: []string{"ann1 0", "ann2 1", "ann3 2 spider=quotes", "bob1 3 spider=quotes"}, want: "ann3 bob1"},
		{name: "what runs counts beyond a limit", limits: Limits{Running: 2}, running: []string{"ann1 0", "ann2 0", "ann3 0"}, waiting: []string{"bob1 0"}},
		{name: "who has most running starts if nobody else can", limits: Limits{Spiders: map[string]int{"books": 1}}, running: []string{"ann8 0", "ann9 0"},
			waiting: []string{"ann1 0 spider=quotes", "bob1 0"}, want: "ann1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(build(c.limits, c.running, c.waiting).startAll(), " "); got != c.want {
				t.Errorf("%q start, want %q", got, c.want)
			}
		})
	}
}

func TestBlocked(t *testing.T) {
	limits := Limits{Running: 5, RunningPerUser: 3, Groups: map[string]int{"shop": 2}, Spiders: map[string]int{"books": 1}}
	for _, c := range []struct {
		name    string
		running []string
		waiting string
		want    Block
	}{
		{name: "only its turn", waiting: "ann1 0", want: Block{Kind: ByTurn}},
		{name: "the spider", running: []string{"bob1 0"}, waiting: "ann1 0", want: Block{Kind: BySpider, Name: "books", Limit: 1, Used: 1}},
		{name: "the group", running: []string{"bob1 0 spider=a group=shop", "bob2 0 spider=a group=shop"}, waiting: "ann1 0 group=shop",
			want: Block{Kind: ByGroup, Name: "shop", Limit: 2, Used: 2}},
		{name: "the user", running: []string{"ann2 0 spider=a", "ann3 0 spider=a", "ann4 0 spider=a"}, waiting: "ann1 0",
			want: Block{Kind: ByUser, Name: "ann", Limit: 3, Used: 3}},
		{name: "the namespace, beyond its limit", running: []string{"b1 0 spider=a", "c1 0 spider=a", "d1 0 spider=a", "e1 0 spider=a", "f1 0 spider=a", "g1 0 spider=a"},
			waiting: "ann1 0", want: Block{Kind: ByNamespace, Limit: 5, Used: 6}},
		{name: "what applies to the fewest", running: []string{"ann2 0 group=shop", "ann3 0 group=shop", "ann4 0", "b1 0", "c1 0"}, waiting: "ann1 0 group=shop",
			want: Block{Kind: BySpider, Name: "books", Limit: 1, Used: 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := build(limits, c.running, []string{c.waiting})
			if got, ok := n.Blocked("ann1"); !ok || got != c.want {
				t.Errorf("it waits (%t) for %+v, want %+v", ok, got, c.want)
			}
		})
	}
	n := build(limits, []string{"ann1 0"}, nil)
	for _, name := range []string{"ann1", "nobody"} {
		if got, ok := n.Blocked(name); ok {
			t.Errorf("%s waits for %+v, and does not wait", name, got)
		}
	}
}

func TestPositions(t *testing.T) {
	waiting := []string{"ann1 0", "ann2 0", "ann3 0", "ann4 0 priority=5", "bob1 60", "bob2 60", "cat1 90"}
	for _, c := range []struct {
		name    string
		limits  Limits
		running []string
		limit   int
		want    string
	}{
		{name: "users alternate", limit: 10, want: "ann4 bob1 cat1 ann1 bob2 ann2 ann3"},
		{name: "what runs counts", running: []string{"bob8 0", "bob9 0"}, limit: 10, want: "ann4 cat1 ann1 ann2 bob1 ann3 bob2"},
		{name: "weights count", limits: Limits{Weights: map[string]int{"bob": 2}}, limit: 10, want: "ann4 bob1 cat1 bob2 ann1 ann2 ann3"},
		{name: "limits do not", limits: Limits{Running: 1, RunningPerUser: 1, Spiders: map[string]int{"books": 1}}, limit: 10,
			want: "ann4 bob1 cat1 ann1 bob2 ann2 ann3"},
		{name: "no more than asked for", limit: 2, want: "ann4 bob1"},
		{name: "none", limit: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(build(c.limits, c.running, waiting).Positions(c.limit), " "); got != c.want {
				t.Errorf("the order is %q, want %q", got, c.want)
			}
		})
	}
}

// The last word counts: a run that is told of again is where it was told to be last, and nowhere else.
func TestRunsChange(t *testing.T) {
	n := build(Limits{Running: 1}, []string{"bob1 0"}, []string{"ann1 0", "ann2 1"})
	wantNext := func(want string) {
		t.Helper()
		if run, ok := n.Next(); run.Name != want || ok != (want != "") {
			t.Fatalf("next is %q (%t), want %q", run.Name, ok, want)
		}
	}
	wantNext("")
	n.Start(r("bob1 0")) // again
	n.Remove("bob1")
	wantNext("ann1")
	n.Wait(r("ann2 1 priority=1"))
	wantNext("ann2")
	n.Start(r("ann2 1"))
	wantNext("")
	n.Wait(r("ann2 1")) // it was not started after all
	wantNext("ann1")
	n.Remove("ann1")
	n.Remove("ann1")
	wantNext("ann2")
	n.SetLimits(Limits{Spiders: map[string]int{"books": 1}})
	n.Start(r("bob1 0"))
	wantNext("")
	n.Wait(r("ann2 1 spider=quotes"))
	wantNext("ann2")
	if got := n.Positions(10); !slices.Equal(got, []string{"ann2"}) {
		t.Errorf("there wait %q", got)
	}
}

// Limits are those of the moment at which they were set.
func TestLimitsAreKept(t *testing.T) {
	limits := Limits{Spiders: map[string]int{"books": 1}}
	n := build(limits, []string{"ann1 0"}, []string{"ann2 0", "ann3 0 spider=quotes"})
	limits.Spiders["books"], limits.Spiders["quotes"] = 2, 1
	if got := n.startAll(); !slices.Equal(got, []string{"ann3"}) {
		t.Errorf("%q start", got)
	}
	n.SetLimits(limits)
	if got := n.startAll(); !slices.Equal(got, []string{"ann2"}) {
		t.Errorf("%q start", got)
	}
}

func TestBeforeIsTheOrderOfAUsersPositions(t *testing.T) {
	waiting := []string{"a1 30", "a2 10", "a3 40 priority=2", "a4 10", "a5 0 priority=-3"}
	n := build(Limits{}, nil, waiting)
	runs := map[string]Run{}
	for _, text := range waiting {
		runs[r(text).Name] = r(text)
	}
	positions := n.Positions(len(waiting))
	for i, first := range positions {
		for j, second := range positions {
			if got := runs[first].Before(runs[second]); got != (i < j) {
				t.Errorf("%s is before %s: %t, but the positions are %v", first, second, got, positions)
			}
		}
	}
}
