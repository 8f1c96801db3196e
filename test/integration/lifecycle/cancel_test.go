package lifecycle

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

func cancelled(attempts int32, items int64, final bool) outcome {
	return outcome{
		phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, attempts: attempts, items: items, final: final,
	}
}

// TestCancel cancels SpiderJobs at every stage. At each stage, nothing of the job is left once it is Cancelled.
func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name    string
		program node.Program // nil for a Pod that finds no node
		spider  []func(*v1alpha1.SpiderSpec)
		// play brings SpiderJob "run", which exists, to the stage and cancels it.
		play func(s *stage)
		want outcome
	}{
		{name: "before the Job", program: longCrawl(1),
			play: func(s *stage) {
				s.cancel("run", nil)
				s.controller()
			},
			want: cancelled(0, 0, false)},
		{name: "before its Spider is there",
			play: func(s *stage) {
				s.delete(&v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "books"}})
				s.controller()
				s.awaitReason("run", v1alpha1.ReasonSpiderNotFound)
				s.cancel("run", nil)
			},
			want: cancelled(0, 0, false)},
		{name: "a Job whose Pod the quota forbids",
			play: func(s *stage) {
				s.create(&corev1.ResourceQuota{
					ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "none"},
					Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
				})
				s.controller()
				s.awaitReason("run", v1alpha1.ReasonQuotaExceeded)
				s.cancel("run", nil)
			},
			want: cancelled(0, 0, false)},
		{name: "a pending Pod",
			play: func(s *stage) {
				s.controller()
				s.awaitPod("run")
				s.cancel("run", nil)
			},
			want: cancelled(1, 0, false)},
		{name: "a running Scrapy, which closes", program: longCrawl(4),
			play: func(s *stage) {
				s.controller()
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.cancel("run", nil)
			},
			want: cancelled(1, 4, true)},
		{name: "a process that dies of it", program: dies, spider: with(ownCommand),
			play: func(s *stage) {
				s.controller()
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.cancel("run", nil)
			},
			want: cancelled(1, 0, false)},
		{name: "a process that takes its time", program: lingers(0, 2*time.Second), spider: with(ownCommand),
			play: func(s *stage) {
				s.controller()
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.cancel("run", nil)
			},
			want: cancelled(1, 0, false)},
		{name: "a process with retries left", program: dies, spider: with(ownCommand, threeRetries),
			play: func(s *stage) {
				s.controller()
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.cancel("run", nil)
			},
			want: cancelled(1, 0, false)},
		{name: "a Scrapy that ignores it, and is killed", program: ignores(4),
			play: func(s *stage) {
				s.options.Config.LogInterval.Duration = 200 * time.Millisecond
				s.controller()
				s.await("run", "counted", func(sj *v1alpha1.SpiderJob) bool {
					return sj.Status.Stats != nil &&
						sj.Status.Stats.ItemsScraped == 4
				})
				s.cancel("run", ptr.To[int64](1))
			},
			want: cancelled(1, 4, false)},
		{name: "without mercy", program: longCrawl(4),
			play: func(s *stage) {
				s.controller()
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.cancel("run", ptr.To[int64](0)) // which means 1
			},
			want: cancelled(1, 4, true)},
		{name: "a Pod that is already terminating", program: lingers(6, 2*time.Second), spider: with(neverAgain),
			play: func(s *stage) {
				s.controller()
				s.delete(s.pod(s.awaitPhase("run", v1alpha1.PhaseRunning)))
				s.awaitReason("run", v1alpha1.ReasonInterrupted)
				s.cancel("run", nil)
			},
			want: outcome{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, attempts: 1, interruptions: 1,
				items: 6, final: true}},
		{name: "a Pod that takes too long to terminate", program: ignores(0),
			play: func(s *stage) {
				s.controller()
				s.delete(s.pod(s.awaitPhase("run", v1alpha1.PhaseRunning)))
				s.awaitReason("run", v1alpha1.ReasonInterrupted)
				s.cancel("run", ptr.To[int64](1))
			},
			want: outcome{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, attempts: 1, interruptions: 1}},
		{name: "finished meanwhile", program: quickCrawl(7),
			play: func(s *stage) {
				replica := s.controller()
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				replica.kill()
				s.awaitJob("run", "is complete", func(job *batchv1.Job) bool { return job.Status.Succeeded == 1 })
				s.cancel("run", nil)
				s.controller()
			},
			want: cancelled(1, 7, true)},
		{name: "suspended by a queue", program: longCrawl(4),
			play: func(s *stage) {
				s.controller()
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.suspend("run", true)
				s.awaitReason("run", v1alpha1.ReasonQueued)
				s.cancel("run", nil)
			},
			want: outcome{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, attempts: 1, interruptions: 1,
				items: 4, final: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(c.program, c.spider...)
			s.job("run")
			c.play(s)
			sj := s.awaitOutcome("run", c.want)
			if !strings.Contains(sj.Status.Message, "ann") {
				t.Errorf("the message %q does not say who asked", sj.Status.Message)
			}
			var pods corev1.PodList
			if err := cluster.Client.List(t.Context(), &pods, client.InNamespace(s.namespace)); err != nil || len(pods.Items) > 0 {
				t.Errorf("there are %d Pods after the end: %v", len(pods.Items), err)
			}
			s.awaitNoJob("run")
			s.checkPrompt("run")
			if n := s.starts("run"); n > 1 {
				t.Errorf("%d processes were started", n)
			}
		})
	}
}

// TestCancellingAnEndedSpiderJobChangesNothing cancels a SpiderJob after its end.
func TestCancellingAnEndedSpiderJobChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7))
	replica := s.controller()
	s.job("run")
	want := outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 1, items: 7, final: true}
	s.awaitOutcome("run", want)
	writes := len(replica.writes())
	s.cancel("run", nil)
	s.job("next") // once this one is done, the controller has seen the cancellation
	s.awaitOutcome("next", want)
	if n := len(replica.writes()) - writes; n != 3 {
		t.Errorf("%d writes, want the next job's 3 alone: %v", n, replica.writes()[writes:])
	}
	s.awaitOutcome("run", want)
}

// TestDeletingARunningSpiderJobStopsIt deletes a running SpiderJob: its process is asked to stop, and nothing is left.
func TestDeletingARunningSpiderJobStopsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(longCrawl(3))
	s.controller()
	sj := s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	s.delete(sj)
	s.awaitGone("run")
	s.awaitNoJob("run")
	s.eventually("the process has ended", func() bool { return s.running("run") == 0 })
	if n := s.starts("run"); n != 1 {
		t.Errorf("%d processes were started", n)
	}
}

// checkPrompt checks that the end of a stopped SpiderJob was recorded as soon as its Job was gone, and not at a later periodic
// check.
func (s *stage) checkPrompt(name string) {
	s.Helper()
	var late time.Duration
	s.history.look(func() {
		if gone, ok := s.history.jobGone[name]; ok {
			late = s.history.ended[name].Sub(gone)
		}
	})
	if late > 2*time.Second {
		s.Errorf("the end was recorded %s after the Job was gone", late)
	}
}

func threeRetries(spec *v1alpha1.SpiderSpec) { spec.Retries = ptr.To[int32](3) }

func neverAgain(spec *v1alpha1.SpiderSpec) { spec.InterruptionPolicy = v1alpha1.InterruptionFail }

// ignores is a Scrapy that ignores SIGTERM.
func ignores(items int) node.Program {
	return func(p *node.Process) node.Exit {
		progress(p, items)
		<-p.Killed()
		return node.Exit{}
	}
}

// lingers is a Scrapy that takes long to close.
func lingers(items int, delay time.Duration) node.Program {
	return func(p *node.Process) node.Exit {
		progress(p, items)
		select {
		case <-p.Terminated():
			time.Sleep(delay)
			dump(p, items, "shutdown")
		case <-p.Killed():
		}
		return node.Exit{}
	}
}
