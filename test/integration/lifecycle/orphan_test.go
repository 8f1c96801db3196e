package lifecycle

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// orphanings delete a Job so that its Pods stay, without an owner.
var orphanings = []struct {
	name    string
	options []client.DeleteOption
}{
	{"asked for", []client.DeleteOption{client.PropagationPolicy(metav1.DeletePropagationOrphan)}},
	{"by default, as curl and Python have it", nil},
}

// orphan deletes the Job of a running SpiderJob, and waits until its Pod has no owner.
func (s *stage) orphan(sj *v1alpha1.SpiderJob, options ...client.DeleteOption) {
	s.Helper()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: sj.Name}}
	if err := cluster.Client.Delete(s.Context(), job, options...); err != nil {
		s.Fatalf("delete Job %s: %v", sj.Name, err)
	}
	s.eventually("the Pod has no owner, or is gone", func() bool {
		pod := &corev1.Pod{}
		err := cluster.Client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: sj.Status.PodName}, pod)
		if client.IgnoreNotFound(err) != nil {
			s.Fatalf("get Pod %s: %v", sj.Status.PodName, err)
		}
		return err != nil || metav1.GetControllerOf(pod) == nil
	})
}

// TestAnOrphanedPodIsStoppedBeforeTheNextAttempt deletes a Job without its Pods: their process still belongs to the SpiderJob,
// and is stopped before another one starts.
func TestAnOrphanedPodIsStoppedBeforeTheNextAttempt(t *testing.T) {
	for _, orphaning := range orphanings {
		t.Run(orphaning.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(inTurn(lingers(3, 2*time.Second), quickCrawl(8)))
			s.controller()
			s.job("run")
			s.orphan(s.awaitPhase("run", v1alpha1.PhaseRunning), orphaning.options...)
			s.awaitOutcome("run", outcome{
				phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, interruptions: 1, items: 8, final: true,
			})
			if n := s.starts("run"); n != 2 {
				t.Errorf("%d processes were started, want 2", n)
			}
		})
	}
}

// TestAnOrphanedPodIsStoppedByACancel checks that a cancel does not end the job before the orphan has ended, whether or not a
// controller saw the orphaning.
func TestAnOrphanedPodIsStoppedByACancel(t *testing.T) {
	for _, orphaning := range orphanings {
		for _, c := range []struct {
			name string
			away bool
		}{{"", false}, {", while no controller runs", true}} {
			t.Run(orphaning.name+c.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.spider(inTurn(lingers(3, 2*time.Second)), neverAgain)
				replica := s.controller()
				s.job("run")
				running := s.awaitPhase("run", v1alpha1.PhaseRunning)
				if c.away {
					replica.kill()
				}
				s.orphan(running, orphaning.options...)
				s.cancel("run", nil)
				if c.away {
					s.controller()
				}
				s.awaitPhase("run", v1alpha1.PhaseCancelled)
				s.checkNothingRuns("run")
			})
		}
	}
}

// TestAStopStopsEveryLivePod has two live Pods of one SpiderJob, one of them without an owner: a stop stops both, and no end
// is recorded while one of them lives.
func TestAStopStopsEveryLivePod(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.sideBySide = true
	s.spider(func(p *node.Process) node.Exit {
		if p.Attempt == 1 {
			return longCrawl(3)(p)
		}
		return lingers(3, 3*time.Second)(p)
	})
	replica := s.controller()
	sj := s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	replica.kill() // so that the second Pod exists when the stop is requested
	second := s.spiderPod("run")
	second.Labels[v1alpha1.LabelSpiderJobUID] = string(sj.UID)
	s.create(second)
	s.eventually("both processes run", func() bool { return s.running("run") == 2 })
	s.cancel("run", nil)
	s.controller()
	s.awaitPhase("run", v1alpha1.PhaseCancelled)
	s.checkNothingRuns("run")
}

// checkNothingRuns checks that no process of a SpiderJob runs, and that none of its Pods is left.
func (s *stage) checkNothingRuns(name string) {
	s.Helper()
	if n := s.running(name); n > 0 {
		s.Errorf("%d processes of SpiderJob %s run after its end", n, name)
	}
	var pods corev1.PodList
	if err := cluster.Client.List(s.Context(), &pods, client.InNamespace(s.namespace)); err != nil || len(pods.Items) > 0 {
		s.Errorf("there are %d Pods after the end: %v", len(pods.Items), err)
	}
}
