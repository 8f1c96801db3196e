package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

var completed = outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 1, items: 7, final: true}

// TestRetention checks that the Job is deleted when its time is over, and later the SpiderJob.
func TestRetention(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7), func(spec *v1alpha1.SpiderSpec) {
		spec.PodRetentionSeconds = ptr.To[int64](2)
		spec.TTLSecondsAfterFinished = ptr.To[int64](5)
	})
	replica := s.controller()
	s.job("run")
	finished := s.awaitOutcome("run", completed).Status.FinishedAt.Time
	s.pod(s.awaitEnd("run")) // it is still there
	s.awaitNoJob("run")
	if kept := time.Since(finished); kept < 2*time.Second {
		t.Errorf("the Job was kept for %s, want 2 s", kept)
	}
	s.awaitGone("run")
	if kept := time.Since(finished); kept < 5*time.Second {
		t.Errorf("the SpiderJob was kept for %s, want 5 s", kept)
	}
	for kind, want := range map[string]int{"delete jobs": 1, "delete spiderjobs": 1} {
		if n := replica.count(kind); n != want {
			t.Errorf("%d times %s, want %d", n, kind, want)
		}
	}
}

// TestRetentionAfterALongAbsence checks that nothing unrecorded is deleted, even if the controller was away for longer than
// the retention.
func TestRetentionAfterALongAbsence(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7), func(spec *v1alpha1.SpiderSpec) { spec.PodRetentionSeconds = ptr.To[int64](0) })
	replica := s.controller()
	s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	replica.kill()
	s.awaitJob("run", "is complete", func(job *batchv1.Job) bool { return job.Status.Succeeded == 1 })
	s.controller()
	s.awaitOutcome("run", completed)
	s.awaitNoJob("run")
}

// TestTheTTLOfAnEndedSpiderJobCanBeChanged changes how long a SpiderJob is kept after its end.
func TestTheTTLOfAnEndedSpiderJobCanBeChanged(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7))
	s.controller()
	s.job("run")
	s.awaitOutcome("run", completed)
	s.update(&v1alpha1.SpiderJob{}, "run", func(object client.Object) {
		object.(*v1alpha1.SpiderJob).Spec.TTLSecondsAfterFinished = ptr.To[int64](0)
	})
	s.awaitGone("run")
	s.awaitNoJob("run")
}

// TestStatusWritesKeepWhatTheCacheDrops writes statuses from a cache that does not hold all of a SpiderJob. What it does not
// hold stays unchanged.
func TestStatusWritesKeepWhatTheCacheDrops(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(exits(node.Exit{Message: `{"items_scraped": 5}`}), ownCommand, func(spec *v1alpha1.SpiderSpec) {
		spec.PodRetentionSeconds = ptr.To[int64](0)
	})
	made := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: "run", Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"note": "b"},
		},
		Spec: v1alpha1.SpiderJobSpec{
			SpiderRef: v1alpha1.SpiderReference{Name: "books"}, UserID: "ann",
			Arguments: map[string]v1alpha1.ArgumentValue{"start_url": "https://example.com"},
		},
	}
	s.create(made)
	s.controller()
	ended := s.awaitEnd("run")
	s.awaitNoJob("run")
	settle()

	var now v1alpha1.SpiderJob
	s.get(&now, "run")
	if diff := cmp.Diff(made.Spec, now.Spec); diff != "" {
		t.Errorf("the spec is another one (-made +now):\n%s", diff)
	}
	for what, kept := range map[string][2]any{
		"labels":      {made.Labels, now.Labels},
		"annotations": {made.Annotations, now.Annotations},
		"status":      {ended.Status, now.Status},
	} {
		if diff := cmp.Diff(kept[0], kept[1]); diff != "" {
			t.Errorf("the %s are others (-before +now):\n%s", what, diff)
		}
	}
}
