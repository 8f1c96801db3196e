package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// script drives a Core by hand, and keeps its clock.
type script struct {
	*Core
	now time.Time
}

func newScript(workers int) *script { return &script{Core: NewCore(workers), now: epoch} }

// req is the request that "namespace/name" stands for.
func req(name string) reconcile.Request {
	namespace, name, _ := strings.Cut(name, "/")
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

func (s *script) add(class int, names ...string) {
	for _, name := range names {
		s.Add(s.now, req(name), AddOptions{Class: &class})
	}
}

func (s *script) addAfter(class int, after time.Duration, name string) {
	s.Add(s.now, req(name), AddOptions{Class: &class, After: after})
}

func (s *script) fail(name string) {
	s.Add(s.now, req(name), AddOptions{Failed: true})
	s.done(name)
}

func (s *script) done(names ...string) {
	for _, name := range names {
		s.Done(s.now, req(name))
	}
}

func (s *script) pass(d time.Duration) { s.now = s.now.Add(d) }

// take takes what can be taken and leaves it in progress.
func (s *script) take() []string {
	var names []string
	for {
		taken, ok := s.Take(s.now)
		if !ok {
			return names
		}
		names = append(names, taken.Request.String())
	}
}

// work takes one at a time until there is nothing more, and tells the order.
func (s *script) work() []string {
	var names []string
	for {
		taken, ok := s.Take(s.now)
		if !ok {
			return names
		}
		names = append(names, taken.Request.String())
		s.Done(s.now, taken.Request)
	}
}

func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		add  func(s *script)
		want string
	}{
		"first come, first served": {func(s *script) {
			s.add(Routine, "a/3", "a/1", "a/2")
		}, "a/3 a/1 a/2"},
		"the more urgent class first": {func(s *script) {
			s.add(Idle, "a/idle")
			s.add(CreateAgain, "a/again")
			s.add(Routine, "a/routine")
			s.add(Create, "a/create")
			s.add(End, "a/end")
			s.add(Stop, "a/stop")
		}, "a/stop a/end a/create a/routine a/again a/idle"},
		"any other number is the next class below": {func(s *script) {
			s.add(-1000, "a/least")
			s.add(50, "a/routine")
			s.add(1000, "a/most")
			s.add(199, "a/create")
		}, "a/most a/create a/routine a/least"},
		"namespaces take turns in the order in which they came": {func(s *script) {
			s.add(Routine, "b/1", "b/2", "b/3", "a/1", "a/2", "c/1")
		}, "b/1 a/1 c/1 b/2 a/2 b/3"},
		"turns are within a class": {func(s *script) {
			s.add(Routine, "a/1", "a/2")
			s.add(Stop, "a/3", "a/4")
			s.add(Routine, "b/1")
		}, "a/3 a/4 a/1 b/1 a/2"},
		"what is added twice comes once": {func(s *script) {
			s.add(Routine, "a/1", "a/2", "a/1")
		}, "a/1 a/2"},
		"what is raised comes last among its new equals": {func(s *script) {
			s.add(Routine, "a/1")
			s.add(Stop, "a/2")
			s.add(Stop, "a/1")
		}, "a/2 a/1"},
		"nothing is lowered while it waits": {func(s *script) {
			s.add(Stop, "a/1")
			s.add(End, "a/2")
			s.add(Idle, "a/1")
		}, "a/1 a/2"},
		"the delayed wait for their time": {func(s *script) {
			s.addAfter(Stop, time.Second, "a/1")
			s.add(Routine, "a/2")
		}, "a/2"},
		"the delayed keep their class, and come by time, then by order": {func(s *script) {
			s.addAfter(Routine, 2*time.Second, "a/4")
			s.addAfter(Routine, time.Second, "a/2")
			s.addAfter(Routine, time.Second, "a/3")
			s.addAfter(Stop, 3*time.Second, "a/1")
			s.pass(3 * time.Second)
		}, "a/1 a/2 a/3 a/4"},
		"the earlier time counts": {func(s *script) {
			s.addAfter(Routine, time.Hour, "a/1")
			s.addAfter(Routine, time.Second, "a/1")
			s.addAfter(Routine, time.Minute, "a/1")
			s.pass(time.Second)
		}, "a/1"},
		"what is added while it is delayed is ready, in the higher class": {func(s *script) {
			s.addAfter(Stop, time.Hour, "a/2")
			s.add(End, "a/1")
			s.add(Routine, "a/2")
		}, "a/2 a/1"},
		"what is ready is raised by what would be delayed": {func(s *script) {
			s.add(End, "a/1")
			s.add(Routine, "a/2")
			s.addAfter(Stop, time.Hour, "a/2")
		}, "a/2 a/1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(1)
			c.add(s)
			if got := strings.Join(s.work(), " "); got != c.want {
				t.Errorf("the order is %q, want %q", got, c.want)
			}
		})
	}
}

// A controller's own priority for what needs nothing has a class of its own.
func TestIdleIsControllerRuntimesLowPriority(t *testing.T) {
	if rankOf(handler.LowPriority) != idleRank || rankOf(0) != routineRank {
		t.Errorf("controller-runtime's priorities are ranks %d and %d", rankOf(handler.LowPriority), rankOf(0))
	}
}

// What is added while it is worked on is worked on once more, after that, with the class it was added with.
func TestAddedWhileInProgress(t *testing.T) {
	s := newScript(4)
	s.add(Routine, "a/1")
	s.take()
	s.add(Stop, "a/1")
	s.add(Routine, "a/1")
	if got := s.take(); got != nil {
		t.Fatalf("%v is worked on twice at once", got)
	}
	if class, ok := s.ClassOf(req("a/1")); class != Routine || !ok {
		t.Errorf("it is in progress with class %d, %t", class, ok)
	}
	s.done("a/1")
	taken, ok := s.Take(s.now)
	if !ok || taken.Class != Stop {
		t.Errorf("then it is taken as %+v, %t", taken, ok)
	}
	s.done("a/1")
	if got := s.take(); got != nil {
		t.Errorf("and %v a third time", got)
	}
}

// What is delayed while it is worked on waits for both: its time and its end.
func TestDelayedWhileInProgress(t *testing.T) {
	s := newScript(4)
	s.add(Stop, "a/1", "a/2")
	s.take()
	s.addAfter(Stop, time.Second, "a/1")
	s.addAfter(Stop, time.Second, "a/2")
	s.done("a/1")
	if got := s.take(); got != nil {
		t.Fatalf("%v is taken before its time", got)
	}
	s.pass(time.Second)
	if got := s.take(); !slices.Equal(got, []string{"a/1"}) {
		t.Fatalf("%v is taken at its time", got)
	}
	s.done("a/2")
	if got := s.take(); !slices.Equal(got, []string{"a/2"}) {
		t.Fatalf("%v is taken at its end", got)
	}
}

// ClassOf is of what is in progress alone.
func TestClassOfWhatIsNotInProgress(t *testing.T) {
	s := newScript(4)
	if _, ok := s.ClassOf(req("a/1")); ok {
		t.Error("an unknown item has a class")
	}
	s.add(Create, "a/1")
	if _, ok := s.ClassOf(req("a/1")); ok {
		t.Error("an item that waits has a class")
	}
	s.take()
	s.done("a/1")
	if _, ok := s.ClassOf(req("a/1")); ok {
		t.Error("an item that is done has a class")
	}
}

// A failure loses its place: it comes back as routine, or as a creation that is tried again.
func TestFailureLosesItsPlace(t *testing.T) {
	for class, want := range map[int]int{
		Stop: Routine, End: Routine, Routine: Routine, Create: CreateAgain, CreateAgain: CreateAgain, Idle: Idle,
	} {
		t.Run(fmt.Sprint(class), func(t *testing.T) {
			s := newScript(1)
			s.add(class, "a/1")
			s.take()
			s.fail("a/1")
			s.pass(firstBackOff)
			if taken, ok := s.Take(s.now); !ok || taken.Class != want {
				t.Errorf("it comes back as %+v, %t, want %d", taken, ok, want)
			}
		})
	}
}

// TestCreationStaysTriedAgain checks that a creation that has failed keeps the class of retries, also if it is added as new, until
// it is forgotten.
func TestCreationStaysTriedAgain(t *testing.T) {
	s := newScript(1)
	s.add(Create, "a/1")
	s.take()
	s.fail("a/1")
	s.add(Create, "a/1")
	if taken, ok := s.Take(s.now); !ok || taken.Class != CreateAgain {
		t.Errorf("it is taken as %+v, %t", taken, ok)
	}
	s.done("a/1")
	s.Forget(req("a/1"))
	s.add(Create, "a/1")
	if taken, ok := s.Take(s.now); !ok || taken.Class != Create {
		t.Errorf("when it is forgotten, it is taken as %+v, %t", taken, ok)
	}
}

// What has failed waits for 5 ms, then twice as long each time, and never longer than a minute.
func TestBackOff(t *testing.T) {
	s := newScript(1)
	s.add(Routine, "a/1")
	total := time.Duration(0)
	for n := 1; n <= 40; n++ {
		if got := s.take(); len(got) != 1 {
			t.Fatalf("before failure %d, %v is taken", n, got)
		}
		s.fail("a/1")
		want := time.Minute
		if n < 15 { // 5 ms * 2^14 is 82 s
			want = 5 * time.Millisecond << (n - 1)
		}
		due, ok := s.NextDue()
		if !ok || due.Sub(s.now) != want {
			t.Fatalf("after failure %d it waits for %s, want %s", n, due.Sub(s.now), want)
		}
		if s.Failures(req("a/1")) != n {
			t.Errorf("%d failures are counted, want %d", s.Failures(req("a/1")), n)
		}
		s.pass(want - 1)
		if got := s.take(); got != nil {
			t.Fatalf("after failure %d, %v is taken too early", n, got)
		}
		s.pass(1)
		total += want
	}
	s.take()
	s.Forget(req("a/1"))
	s.fail("a/1")
	if due, ok := s.NextDue(); !ok || due.Sub(s.now) != 5*time.Millisecond {
		t.Errorf("forgotten after %s, it waits for %s", total, due.Sub(s.now))
	}
}

// A failure with a pause of its own waits for the shorter of both.
func TestFailureWithAPause(t *testing.T) {
	s := newScript(1)
	class := Routine
	s.Add(s.now, req("a/1"), AddOptions{Class: &class, After: time.Millisecond, Failed: true})
	if due, _ := s.NextDue(); due.Sub(s.now) != time.Millisecond {
		t.Errorf("it waits for %s", due.Sub(s.now))
	}
}

// The core keeps nothing of what is over.
func TestNothingIsKept(t *testing.T) {
	s := newScript(8)
	s.add(Create, "a/1", "b/1")
	s.addAfter(Routine, time.Second, "c/1")
	s.take()
	s.fail("a/1")
	s.done("b/1")
	s.pass(time.Minute)
	s.take()
	s.Forget(req("a/1"))
	s.done("a/1", "c/1")
	s.Forget(req("never/seen"))
	s.done("never/seen")
	if len(s.items) != 0 || len(s.namespaces) != 0 || s.Ready() != 0 || s.Taken() != 0 || s.depth != [ranks]int{} {
		t.Errorf("it keeps %+v", s.Core)
	}
}
