package lifecycle

import (
	"sync"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// life is the whole life of SpiderJob "run", from its creation to the deletion of its Job.
type life struct {
	name    string
	program node.Program
	spider  []func(*v1alpha1.SpiderSpec)
	// play is what happens to it from outside, nil for nothing.
	play func(s *stage)
	want outcome
	// stopped says that the Pod whose counts are shown was stopped. The log is gone with such a Pod: if the controller dies
	// after the Pod is gone and before the end is recorded, the counts are the last ones known, and not final.
	stopped bool
}

func lifes() []life {
	return []life{
		{name: "success", program: quickCrawl(7), want: completed},
		{name: "cancellation", program: longCrawl(4), stopped: true, want: cancelled(1, 4, true),
			play: func(s *stage) {
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.cancel("run", nil)
			}},
		{name: "interruption", program: inTurn(longCrawl(3), quickCrawl(8)),
			want: outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, interruptions: 1,
				items: 8, final: true},
			play: func(s *stage) { s.delete(s.pod(s.awaitPhase("run", v1alpha1.PhaseRunning))) }},
		{name: "eviction of a process that dies of it",
			program: inTurn(dies, exits(node.Exit{Message: `{"items_scraped": 8}`})), spider: with(ownCommand),
			want: outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, interruptions: 1,
				items: 8, final: true},
			play: func(s *stage) { s.evict(s.awaitPhase("run", v1alpha1.PhaseRunning)) }},
		{name: "preemption", program: inTurn(longCrawl(3), quickCrawl(8)),
			want: outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, interruptions: 1,
				items: 8, final: true},
			play: func(s *stage) {
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.suspend("run", true)
				s.awaitReason("run", v1alpha1.ReasonQueued)
				s.suspend("run", false)
			}},
		{name: "retry", program: inTurn(exits(node.Exit{Code: 1}), exits(node.Exit{Message: `{"items_scraped": 5}`})),
			spider: with(ownCommand, threeRetries),
			want:   outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, items: 5, final: true}},
		{name: "deadline", program: longCrawl(9), stopped: true,
			spider: with(func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](5) }),
			want:   outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonDeadlineExceeded, attempts: 1, items: 9, final: true}},
	}
}

// lived is the result of a life.
type lived struct {
	outcome
	jobs, processes int
	// calls is the number of calls that the first controller made, and died whether it died at one of them.
	calls int
	died  bool
	// started is whether the process was ever recorded as running.
	started bool
}

// TestCrashes lets the controller die at the Nth call of kube-apiserver, for every N of each kind of life: before the call
// arrives, and after it took effect but before its answer arrives. Another controller takes over, and the life ends the same.
func TestCrashes(t *testing.T) {
	for _, l := range lifes() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			var whole lived
			if !t.Run("no crash", func(t *testing.T) { whole = l.live(t, death{}) }) {
				return
			}
			if whole.outcome != l.want {
				t.Fatalf("the job ended as %+v, want %+v", whole.outcome, l.want)
			}
			for n := 1; n <= whole.calls; n++ {
				for _, d := range []death{{at: n}, {at: n, answered: true}} {
					t.Run(d.String(), func(t *testing.T) {
						t.Parallel()
						l.check(t, whole, l.live(t, d))
					})
				}
			}
		})
	}
}

// check compares a life in which the controller died with one in which it did not.
func (l life) check(t *testing.T, whole, got lived) {
	t.Helper()
	if !got.died {
		// Events that coincide take fewer calls. The life has to end the same anyway.
		t.Logf("this time it took only %d calls", got.calls)
	}
	if l.want.reason == v1alpha1.ReasonDeadlineExceeded && !got.started {
		// On a slow machine the deadline came before the process was recorded. Less is known of such a life, but it ends for the
		// same reason.
		got.attempts, got.processes, got.items, got.final = whole.attempts, whole.processes, whole.items, whole.final
	}
	if l.stopped && !got.final && got.items <= whole.items {
		got.items, got.final = whole.items, whole.final
	}
	if got.outcome != whole.outcome {
		t.Errorf("the job ended as %+v, without a crash as %+v", got.outcome, whole.outcome)
	}
	// The Job controller replaces a Pod that is evicted while no controller runs, without another Job.
	if got.jobs > whole.jobs || got.processes != whole.processes {
		t.Errorf("%d Jobs and %d processes, without a crash %d and %d", got.jobs, got.processes, whole.jobs, whole.processes)
	}
}

// live plays the life with a controller that dies as d says, and then with another one.
func (l life) live(t *testing.T, d death) lived {
	t.Helper()
	s := newStage(t)
	s.spider(l.program, append([]func(*v1alpha1.SpiderSpec){
		func(spec *v1alpha1.SpiderSpec) { spec.PodRetentionSeconds = ptr.To[int64](0) },
	}, l.spider...)...)
	first := s.mortal(d)
	s.job("run")
	if l.play != nil {
		l.play(s)
	}
	sj := s.awaitEnd("run")
	s.awaitNoJob("run")
	return lived{
		outcome:   outcomeOf(sj),
		jobs:      s.jobsMade("run"),
		processes: s.starts("run"),
		calls:     len(first.wire.noted()),
		died:      first.wire.isDead(),
		started:   sj.Status.StartedAt != nil,
	}
}

// mortal starts a controller that dies as d says, and then starts another one.
func (s *stage) mortal(d death) *replica {
	s.Helper()
	first := startReplica(s.T, s.options, d)
	var heir sync.WaitGroup
	heir.Go(func() {
		select {
		case <-first.wire.died:
			startReplica(s.T, s.options, death{})
		case <-s.Context().Done():
		}
	})
	s.Cleanup(heir.Wait)
	return first
}
