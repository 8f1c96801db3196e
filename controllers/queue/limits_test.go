package queue

import (
	"fmt"
	"strings"
	"testing"
)

// names are n names in a namespace.
func names(namespace string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s/%02d", namespace, i)
	}
	return all
}

// taken counts by namespace.
func taken(names []string) map[string]int {
	count := map[string]int{}
	for _, name := range names {
		namespace, _, _ := strings.Cut(name, "/")
		count[namespace]++
	}
	return count
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		workers int
		want    Limits
	}{
		{0, Limits{Workers: 1, Creations: 1, Shared: 1, Alone: 1, CreationsAlone: 1}},
		{1, Limits{Workers: 1, Creations: 1, Shared: 1, Alone: 1, CreationsAlone: 1}},
		{2, Limits{Workers: 2, Creations: 1, Shared: 1, Alone: 2, CreationsAlone: 1}},
		{3, Limits{Workers: 3, Creations: 1, Shared: 1, Alone: 3, CreationsAlone: 1}},
		{4, Limits{Workers: 4, Creations: 2, Shared: 1, Alone: 3, CreationsAlone: 2}},
		{64, Limits{Workers: 64, Creations: 32, Shared: 16, Alone: 48, CreationsAlone: 24}},
	} {
		if got := limitsFor(c.workers); got != c.want {
			t.Errorf("for %d workers they are %+v, want %+v", c.workers, got, c.want)
		}
	}
}

// While others wait, nobody holds more than a quarter, whatever the class.
func TestNamespacesShareTheWorkers(t *testing.T) {
	for _, class := range classes {
		s := newScript(16)
		s.add(class, names("hung", 50)...)
		s.add(Idle, names("other", 50)...)
		if got := taken(s.take()); got["hung"] != 4 || got["other"] != 4 {
			t.Errorf("of class %d, %v are taken", class, got)
		}
	}
}

// Whose calls all hang leaves workers to who comes later.
func TestWhoIsAloneLeavesWorkers(t *testing.T) {
	s := newScript(16)
	s.add(Stop, names("hung", 50)...)
	if got := taken(s.take()); got["hung"] != 12 {
		t.Fatalf("alone, %v are taken", got)
	}
	s.add(Routine, "other/1")
	if got := s.take(); len(got) != 1 || got[0] != "other/1" {
		t.Errorf("then %v is taken", got)
	}
}

// Creations hold at most half of the workers, and one namespace's alone not all of that half.
func TestCreationsAreBounded(t *testing.T) {
	s := newScript(16)
	s.add(Create, names("hung", 50)...)
	if got := taken(s.take()); got["hung"] != 6 {
		t.Fatalf("alone, %v are taken", got)
	}
	s.add(CreateAgain, names("a", 2)...)
	s.add(Create, names("b", 2)...)
	s.add(Stop, "hung/stop")
	if got := strings.Join(s.take(), " "); got != "b/00 b/01" {
		t.Errorf("with others waiting, %q are taken: no more creations, and nothing of who holds more than a quarter", got)
	}
	s.done("hung/00", "hung/01", "hung/02")
	if got := strings.Join(s.take(), " "); got != "hung/stop a/00 a/01 hung/06" {
		t.Errorf("when three are done, %q are taken, and one more to fill the half", got)
	}
	if s.creations != 8 {
		t.Errorf("%d creations are in progress", s.creations)
	}
}

// With creations held up, all else goes on.
func TestCreationsHoldUpNothingElse(t *testing.T) {
	for workers := 2; workers <= 8; workers++ {
		s := newScript(workers)
		s.add(Create, names("hung", 50)...)
		s.take()
		s.add(Stop, "other/1")
		if got := s.take(); len(got) != 1 || got[0] != "other/1" {
			t.Errorf("with %d workers, %v is taken", workers, got)
		}
	}
}
