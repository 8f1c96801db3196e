package lifecycle

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// TestAJobNeverCreatesASecondPod checks that a Job creates one Pod: the operator decides what follows an attempt. The kubelet
// enforces the backstop.
func TestAJobNeverCreatesASecondPod(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const timeout, grace = 100, 7
	s.spider(nil, threeRetries, func(spec *v1alpha1.SpiderSpec) {
		spec.TimeoutSeconds, spec.TerminationGracePeriodSeconds = ptr.To[int64](timeout), ptr.To[int64](grace)
	})
	s.controller()
	s.job("run")
	job := s.awaitJob("run", "exists", func(*batchv1.Job) bool { return true })
	if ptr.Deref(job.Spec.BackoffLimit, 6) != 0 || ptr.Deref(job.Spec.PodReplacementPolicy, "") != batchv1.Failed ||
		job.Spec.ActiveDeadlineSeconds != nil {
		t.Errorf("the Job has back-off limit %v, replacement policy %v and deadline %v",
			job.Spec.BackoffLimit, job.Spec.PodReplacementPolicy, job.Spec.ActiveDeadlineSeconds)
	}
	if policy := job.Spec.PodFailurePolicy; policy == nil || len(policy.Rules) != 1 ||
		policy.Rules[0].Action != batchv1.PodFailurePolicyActionFailJob {
		t.Errorf("the Job has the Pod failure policy %+v", policy)
	}
	if got := ptr.Deref(job.Spec.Template.Spec.ActiveDeadlineSeconds, 0); got != timeout+grace+3600 {
		t.Errorf("the Pod may be active for %d s", got)
	}
}

// TestEachRetryIsANewJob checks that each retry is a new Job, created when the one before is gone. Attempts and failures are
// counted across interruptions, and the message keeps the last line of the failed attempt.
func TestEachRetryIsANewJob(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.patience = 2 * time.Minute
	s.spider(inTurn(exits(node.Exit{Code: 2, Message: "KeyError: 'price'"}), dies,
		exits(node.Exit{Message: `{"items_scraped": 5}`})),
		ownCommand, threeRetries)
	s.controller()
	s.job("run")
	st := s.await("run", "retrying", func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Reason == v1alpha1.ReasonRetrying }).Status
	if st.Phase != v1alpha1.PhaseRunning || !strings.Contains(st.Message, "KeyError: 'price'") {
		t.Errorf("between two attempts it is %s", describe(&st))
	}
	second := s.await("run", "running again", func(sj *v1alpha1.SpiderJob) bool {
		return sj.Status.Attempts == 2 && sj.Status.Reason == v1alpha1.ReasonRunning
	})
	if second.Status.Failures != 1 || second.Status.AttemptFrom == nil {
		t.Errorf("in the second attempt the job has had %d failures, and began not before %v", second.Status.Failures,
			second.Status.AttemptFrom)
	}
	s.delete(s.pod(second))
	s.awaitOutcome("run", outcome{
		phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 3, interruptions: 1, items: 5, final: true,
	})
	if made, starts := s.jobsMade("run"), s.starts("run"); made != 3 || starts != 3 {
		t.Errorf("the job took %d Jobs and %d processes, want 3 of each", made, starts)
	}
}

// TestThePauseBetweenInterruptionsGrows checks that the pause between interruptions grows, and is recorded, so that a new
// controller observes it, too.
func TestThePauseBetweenInterruptionsGrows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.patience = 3 * time.Minute
	s.spider(inTurn(longCrawl(3), longCrawl(4), quickCrawl(8)))
	replica := s.controller()
	s.job("run")
	var pauses []time.Duration
	for attempt := int32(1); attempt <= 2; attempt++ {
		sj := s.await("run", "running", func(sj *v1alpha1.SpiderJob) bool {
			return sj.Status.Attempts == attempt && sj.Status.Phase == v1alpha1.PhaseRunning && sj.Status.Reason == v1alpha1.ReasonRunning
		})
		s.delete(s.pod(sj))
		waits := s.await("run", "pausing", func(next *v1alpha1.SpiderJob) bool {
			from := next.Status.AttemptFrom
			return from != nil && !from.Equal(sj.Status.AttemptFrom) || next.Status.Attempts > attempt || next.Status.Phase.Terminal()
		})
		from := waits.Status.AttemptFrom
		if from == nil {
			t.Fatalf("after an interruption it is %s, and no pause is recorded", describe(&waits.Status))
		}
		var gone time.Time
		s.history.look(func() { gone = s.history.jobGone["run"] })
		pauses = append(pauses, from.Sub(gone.Truncate(time.Second)))
		if attempt == 1 {
			replica.kill()
			s.controller()
		}
		job := s.awaitJob("run", "is made again", func(job *batchv1.Job) bool { return string(job.UID) != sj.Status.JobUID })
		if from.Truncate(time.Second).After(job.CreationTimestamp.Time) {
			t.Errorf("the next Job was made at %s, before %s", job.CreationTimestamp, from)
		}
	}
	if pauses[0] < 0 || pauses[1] <= pauses[0] {
		t.Errorf("the pauses were %v", pauses)
	}
	s.awaitOutcome("run", outcome{
		phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 3, interruptions: 2, items: 8, final: true,
	})
}

// TestRetentionIsSettledAtTheEnd checks that how long a record is kept is settled at its end: a Spider that is deleted or
// changed afterwards shortens no record.
func TestRetentionIsSettledAtTheEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.options.Config.TTL.Duration = 3 * time.Second
	s.spider(quickCrawl(7), func(spec *v1alpha1.SpiderSpec) { spec.TTLSecondsAfterFinished = ptr.To[int64](3600) })
	s.controller()
	s.job("run")
	s.job("own", func(spec *v1alpha1.SpiderJobSpec) { spec.TTLSecondsAfterFinished = ptr.To[int64](7200) })
	sj := s.awaitOutcome("run", completed)
	if got := sj.Status.TTLSecondsAfterFinished; got == nil || *got != 3600 {
		t.Errorf("the record says that it is kept for %v s, want 3600", ptr.Deref(got, -1))
	}
	s.awaitOutcome("own", completed)
	spider := &v1alpha1.Spider{}
	s.get(spider, "books")
	s.delete(spider)
	ended := sj.Status.FinishedAt.Time
	s.eventually(
		"the operator's default is over",
		func() bool { return time.Since(ended) > s.options.Config.TTL.Duration+seconds/2 },
	)
	for _, name := range []string{"run", "own"} {
		s.get(&v1alpha1.SpiderJob{}, name)
	}
	s.update(&v1alpha1.SpiderJob{}, "own", func(object client.Object) {
		object.(*v1alpha1.SpiderJob).Spec.TTLSecondsAfterFinished = ptr.To[int64](0)
	})
	s.awaitGone("own")
}
