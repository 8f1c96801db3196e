package lifecycle

import (
	"maps"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// TestInterruptions disturbs running SpiderJobs in every way, each with a Scrapy that exits with 0 on SIGTERM and with a
// process that dies of it. None of them finishes or fails: another attempt starts, which finishes.
func TestInterruptions(t *testing.T) {
	again := outcome{
		phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, interruptions: 1, items: 8, final: true,
	}
	counted := exits(node.Exit{Message: `{"items_scraped": 8}`})
	for _, disturbance := range []struct {
		name string
		do   func(s *stage, sj *v1alpha1.SpiderJob)
	}{
		{"its Pod is deleted", func(s *stage, sj *v1alpha1.SpiderJob) { s.delete(s.pod(sj)) }},
		{"its Pod is evicted", (*stage).evict},
		{"its Job is deleted", func(s *stage, _ *v1alpha1.SpiderJob) {
			s.delete(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "run"}})
		}},
		{"its Job is suspended, and resumed", func(s *stage, _ *v1alpha1.SpiderJob) {
			s.suspend("run", true)
			s.awaitReason("run", v1alpha1.ReasonQueued)
			s.suspend("run", false)
		}},
	} {
		for _, process := range []struct {
			name    string
			program node.Program
			spider  []func(*v1alpha1.SpiderSpec)
			finals  map[int32]int64
		}{
			{"Scrapy exits with 0", inTurn(longCrawl(3), quickCrawl(8)), nil, map[int32]int64{1: 3, 2: 8}},
			{"the process dies", inTurn(dies, counted), with(ownCommand), map[int32]int64{2: 8}},
		} {
			t.Run(disturbance.name+", "+process.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.spider(process.program, process.spider...)
				s.controller()
				s.job("run")
				disturbance.do(s, s.awaitPhase("run", v1alpha1.PhaseRunning))
				s.awaitOutcome("run", again)
				if got := s.finals("run"); !maps.Equal(got, process.finals) {
					t.Errorf("the final counts by attempt were %v, want %v", got, process.finals)
				}
				if n := s.starts("run"); n != 2 {
					t.Errorf("%d processes were started, want 2", n)
				}
			})
		}
	}
}

// TestTooManyInterruptionsEndASpiderJob ends a SpiderJob that is interrupted more often than its Spider allows.
func TestTooManyInterruptionsEndASpiderJob(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(longCrawl(3), func(spec *v1alpha1.SpiderSpec) { spec.MaxInterruptions = ptr.To[int32](1) })
	s.controller()
	s.job("run")
	first := s.awaitPhase("run", v1alpha1.PhaseRunning)
	s.delete(s.pod(first))
	second := s.await("run", "running again", func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Attempts == 2 })
	s.delete(s.pod(second))
	sj := s.awaitOutcome("run", outcome{
		phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonInterrupted, attempts: 2, interruptions: 2, items: 3, final: true,
	})
	if sj.Status.Stats.Attempt != 2 {
		t.Errorf("the counts are of attempt %d, want 2", sj.Status.Stats.Attempt)
	}
}

// TestAnInterruptionEndsTheSpiderJobIfItsSpiderSaysSo ends a SpiderJob at its first interruption, if its Spider says so.
func TestAnInterruptionEndsTheSpiderJobIfItsSpiderSaysSo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(longCrawl(3), neverAgain)
	s.controller()
	s.job("run")
	s.delete(s.pod(s.awaitPhase("run", v1alpha1.PhaseRunning)))
	s.awaitOutcome("run", outcome{
		phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonInterrupted, attempts: 1, interruptions: 1, items: 3, final: true,
	})
}

// evict evicts the Pod of a SpiderJob, as a drain of its node does.
func (s *stage) evict(sj *v1alpha1.SpiderJob) {
	s.Helper()
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: sj.Status.PodName}}
	if err := cluster.Client.SubResource("eviction").Create(s.Context(), s.pod(sj), eviction); err != nil {
		s.Fatalf("evict Pod %s: %v", sj.Status.PodName, err)
	}
}
