package lifecycle

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// fails is a container that fails after a while, and ignores signals.
func fails(code int32, message string, delay time.Duration) node.Program {
	return func(p *node.Process) node.Exit {
		select {
		case <-time.After(delay):
		case <-p.Killed():
		}
		return node.Exit{Code: code, Message: message}
	}
}

// takesItsTime is a container that works until it is asked to stop, and then needs a while.
func takesItsTime(delay time.Duration) node.Program {
	return func(p *node.Process) node.Exit {
		select {
		case <-p.Terminated():
			select {
			case <-time.After(delay):
			case <-p.Killed():
			}
		case <-p.Killed():
		}
		return node.Exit{}
	}
}

// TestTheSpidersContainerDecides has others add containers to a spider's Pod, which outlive the spider, fail before or after
// it, or never start. The spider's container alone decides, and never runs again because of another one.
func TestTheSpidersContainerDecides(t *testing.T) {
	ends := func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](8) }
	failed := outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, attempts: 1}
	for _, c := range []struct {
		name   string
		inject string
		mesh   node.Program // what the injected container runs, nil to wait until it is stopped
		absent bool         // its image cannot be pulled
		spider node.Program
		change []func(*v1alpha1.SpiderSpec)
		want   outcome
	}{
		{name: "a sidecar that lives on", inject: injected("mesh"), want: completed},
		{name: "a sidecar that lives on, and a timeout", inject: injected("mesh"), change: with(ends), want: completed},
		{name: "a sidecar that ignores signals", inject: injected("mesh"), mesh: ignores(0), want: completed},
		{name: "a sidecar that takes its time", inject: injected("mesh"), mesh: takesItsTime(3 * time.Second), want: completed},
		{name: "a sidecar that fails before the spider's end", inject: injected("mesh"), mesh: fails(1, "", 0),
			change: with(threeRetries), want: completed},
		{name: "a sidecar that fails after the spider's end", inject: injected("mesh"), mesh: fails(1, "", 2*time.Second),
			change: with(threeRetries), want: completed},
		{name: "a sidecar without an image", inject: injected("mesh"), absent: true, want: completed},
		{name: "a spider that fails beside a sidecar that lives on", inject: injected("mesh"), spider: exits(node.Exit{Code: 3}),
			change: with(ownCommand), want: failed},
		{name: "a native sidecar", inject: injectedSidecar("mesh"), want: completed},
		{name: "a native sidecar that takes its time", inject: injectedSidecar("mesh"), mesh: takesItsTime(3 * time.Second),
			want: completed},
		{name: "a native sidecar that fails when it is stopped", inject: injectedSidecar("mesh"), mesh: dies,
			change: with(threeRetries), want: completed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.inject(c.inject)
			if c.mesh != nil {
				s.node.ServeContainer(s.namespace, "mesh", c.mesh)
			}
			if c.absent {
				s.node.CannotPull(s.namespace, "mesh")
			}
			if c.spider == nil {
				c.spider = quickCrawl(7)
			}
			s.spider(c.spider, c.change...)
			s.controller()
			s.job("run")
			sj := s.awaitOutcome("run", c.want)
			if n := s.starts("run"); n != 1 {
				t.Errorf("%d processes were started", n)
			}
			s.pod(sj) // it stays, with its log, as long as without the others
		})
	}
}

// TestAVerdictStandsWhileOtherContainersRun checks that the verdict is final once the spider has ended: it is recorded while
// other containers still run, and nothing that happens to the Pod then changes it.
func TestAVerdictStandsWhileOtherContainersRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(s *stage, sj *v1alpha1.SpiderJob)
		ends    bool // the other container, too
	}{
		{"the Pod is evicted", (*stage).evict, true},
		{"the Pod is deleted", func(s *stage, sj *v1alpha1.SpiderJob) { s.delete(s.pod(sj)) }, true},
		{"the Job is deleted, and its Pod orphaned", func(s *stage, sj *v1alpha1.SpiderJob) { s.orphan(sj) }, false},
	} {
		for _, away := range []bool{false, true} {
			name := c.name
			if away {
				name += ", while no controller runs"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.inject(injected("mesh"))
				s.node.ServeContainer(s.namespace, "mesh", takesItsTime(4*time.Second))
				s.spider(quickCrawl(7))
				replica := s.controller()
				s.job("run")
				sj := s.await("run", "judged", func(sj *v1alpha1.SpiderJob) bool {
					return sj.Status.Stop != nil ||
						sj.Status.Phase.Terminal()
				})
				if stop := sj.Status.Stop; stop == nil || stop.Phase != v1alpha1.PhaseFinished || stop.Reason != v1alpha1.ReasonCompleted {
					t.Fatalf("with its spider at its end the job is %s", describe(&sj.Status))
				}
				if away {
					replica.kill()
				}
				c.disturb(s, sj)
				if away {
					if c.ends {
						s.eventually("nothing runs", func() bool { return s.running("run") == 0 })
					}
					s.controller()
				}
				s.awaitOutcome("run", completed)
				if n := s.starts("run"); n != 1 {
					t.Errorf("%d processes were started", n)
				}
			})
		}
	}
}

// TestARetryWaitsForTheSidecar checks that a failed spider is retried only once nothing of its Pod runs, including a sidecar
// that lives on.
func TestARetryWaitsForTheSidecar(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.inject(injected("mesh"))
	s.node.ServeContainer(s.namespace, "mesh", takesItsTime(3*time.Second))
	s.spider(inTurn(exits(node.Exit{Code: 1}), exits(node.Exit{Message: `{"items_scraped": 5}`})), ownCommand, threeRetries)
	s.controller()
	s.job("run")
	s.awaitOutcome("run", outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2,
		items: 5, final: true})
	if n := s.starts("run"); n != 2 {
		t.Errorf("%d processes were started", n)
	}
}

// TestAFailedInitContainerIsNamed checks that an init container whose failure prevents the spider from starting is in the
// message, with its name, its exit code and its last output.
func TestAFailedInitContainerIsNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.inject(injectedFirst("istio-init"))
	s.node.ServeContainer(s.namespace, "istio-init", fails(3, "trying\niptables: no such table", 0))
	s.spider(quickCrawl(7))
	s.controller()
	s.job("run")
	st := s.awaitEnd("run").Status
	if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonConfiguration || st.StartedAt != nil {
		t.Errorf("the job ended as %s", describe(&st))
	}
	for _, word := range []string{"istio-init", "3", "iptables: no such table"} {
		if !strings.Contains(st.Message, word) {
			t.Errorf("the message %q does not contain %q", st.Message, word)
		}
	}
}

// TestAnInjectedContainerWithoutAnImageIsNamed checks that a container that somebody else has added, and whose image cannot be
// pulled, is named, and becomes an error when patience is over.
func TestAnInjectedContainerWithoutAnImageIsNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.options.Config.ImagePatience.Duration = 5 * time.Second
	s.inject(injectedFirst("istio-init"))
	s.node.CannotPull(s.namespace, "istio-init")
	s.spider(quickCrawl(7))
	s.controller()
	s.job("run")
	st := s.awaitReason("run", v1alpha1.ReasonImagePull).Status
	if st.Phase != v1alpha1.PhasePending || !strings.Contains(st.Message, "istio-init") {
		t.Errorf("with patience left the job is %s", describe(&st))
	}
	st = s.awaitEnd("run").Status
	if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonImagePull || !strings.Contains(st.Message, "istio-init") {
		t.Errorf("the job ended as %s", describe(&st))
	}
	s.awaitNoJob("run")
}

// TestAnAttemptThatNeverStartedDoesNotCount checks that an attempt whose spider never started does not count as an
// interruption: a drain during a slow start costs nothing.
func TestAnAttemptThatNeverStartedDoesNotCount(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.patience = 2 * time.Minute
	s.inject(injectedFirst("slow-init"))
	var times atomic.Int32
	s.node.ServeContainer(s.namespace, "slow-init", func(p *node.Process) node.Exit {
		if times.Add(1) <= 2 {
			return takesItsTime(0)(p)
		}
		return node.Exit{}
	})
	s.spider(quickCrawl(7), func(spec *v1alpha1.SpiderSpec) { spec.MaxInterruptions = ptr.To[int32](1) })
	s.controller()
	s.job("run")
	for i := range int32(2) {
		s.eventually("the init container runs", func() bool { return times.Load() == i+1 })
		var pod *corev1.Pod
		s.eventually("its Pod is there", func() bool {
			pod = s.awaitPod("run")
			return pod.DeletionTimestamp == nil && len(pod.Status.InitContainerStatuses) > 0
		})
		s.delete(pod)
	}
	sj := s.awaitEnd("run")
	if st := &sj.Status; st.Phase != v1alpha1.PhaseFinished || st.Interruptions != 0 || s.starts("run") != 1 {
		t.Errorf("the job ended as %s, after %d processes", describe(st), s.starts("run"))
	}
}
