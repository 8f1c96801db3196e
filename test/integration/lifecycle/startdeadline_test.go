package lifecycle

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

func startDeadline(seconds int64) func(*v1alpha1.SpiderSpec) {
	return func(spec *v1alpha1.SpiderSpec) { spec.StartDeadlineSeconds = &seconds }
}

// TestATimeoutCountsFromTheStartOfTheProcess checks that however long a Pod waits, the spider has all of its time.
func TestATimeoutCountsFromTheStartOfTheProcess(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const timeout, wait = 4, 8 * time.Second
	s.spider(nil, func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](timeout) })
	s.controller()
	s.job("waits")
	s.job("too-long")
	pod := s.awaitPod("waits")
	s.eventually("the timeout is over", func() bool { return time.Since(pod.CreationTimestamp.Time) > wait })
	var sj v1alpha1.SpiderJob
	if s.get(&sj, "waits"); sj.Status.Phase != v1alpha1.PhasePending {
		t.Errorf("a SpiderJob that waits for its start is %s", describe(&sj.Status))
	}
	s.node.Serve(s.namespace, func(p *node.Process) node.Exit {
		if p.Pod.Labels[v1alpha1.LabelSpiderJob] == "waits" {
			return quickCrawl(7)(p)
		}
		return longCrawl(9)(p)
	})
	s.awaitOutcome("waits", completed)
	st := s.awaitEnd("too-long").Status
	if st.Reason != v1alpha1.ReasonDeadlineExceeded || st.FinishedAt.Sub(st.StartedAt.Time) < timeout*time.Second {
		t.Errorf("the job started at %v, and ended at %v as %s", st.StartedAt, st.FinishedAt, describe(&st))
	}
}

// TestAStartDeadlineEndsAnAttemptThatDoesNotStart checks that a start deadline ends an attempt that does not start, whatever
// it waits for, and says what that was.
func TestAStartDeadlineEndsAnAttemptThatDoesNotStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		hinder func(s *stage)
		says   string
	}{
		{"its Job is refused", func(s *stage) { s.denyJobs("the shop is closed") }, "the shop is closed"},
		{"quota", func(s *stage) { s.quota("0") }, "quota"},
		{"no node takes its Pod", func(*stage) {}, "no room"},
	} {
		for _, whose := range []string{"the Spider's", "the SpiderJob's own"} {
			t.Run(c.name+", "+whose, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				const deadline = 8
				c.hinder(s)
				spiders, own := int64(deadline), (*int64)(nil)
				if whose != "the Spider's" {
					spiders, own = 3600, ptr.To[int64](deadline)
				}
				s.spider(nil, startDeadline(spiders))
				s.controller()
				sj := s.job("run", func(spec *v1alpha1.SpiderJobSpec) { spec.StartDeadlineSeconds = own })
				if c.says == "no room" {
					s.unschedulable("run", c.says)
				}
				st := s.awaitEnd("run").Status
				if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonStartDeadlineExceeded ||
					!strings.Contains(st.Message, c.says) {
					t.Errorf("the job ended as %s", describe(&st))
				}
				if took := st.FinishedAt.Sub(sj.CreationTimestamp.Time); took < deadline*time.Second {
					t.Errorf("the job ended after %s", took)
				}
				s.awaitNoJob("run")
			})
		}
	}
}

// TestAStartDeadlineDoesNotCountInAQueue checks that a start deadline does not count while a queue suspends the Job, and does
// not concern what runs.
func TestAStartDeadlineDoesNotCountInAQueue(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	q := newQueue(s)
	finish := make(chan struct{})
	s.spider(crawl(7, finish), inQueue, startDeadline(4))
	s.controller()
	s.job("run")
	job := q.waiting("run")
	s.eventually("the start deadline is over", func() bool { return time.Since(job.CreationTimestamp.Time) > 6*time.Second })
	q.admit("run", "spot")
	started := s.awaitPhase("run", v1alpha1.PhaseRunning).Status.StartedAt.Time
	s.eventually("it has run for longer than its start deadline", func() bool { return time.Since(started) > 5*time.Second })
	close(finish)
	s.awaitOutcome("run", completed)
}

// TestAStartDeadlineBeyondTheSpidersIsInvalid checks that a SpiderJob may set a shorter wait than its Spider allows, but not a
// longer one.
func TestAStartDeadlineBeyondTheSpidersIsInvalid(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7), startDeadline(60))
	s.controller()
	s.job("run", func(spec *v1alpha1.SpiderJobSpec) { spec.StartDeadlineSeconds = ptr.To[int64](61) })
	st := s.awaitEnd("run").Status
	if st.Reason != v1alpha1.ReasonInvalidJob || !strings.Contains(st.Message, "startDeadlineSeconds 61") {
		t.Errorf("the job ended as %s", describe(&st))
	}
}

// unschedulable makes the scheduler report that no node has room for a SpiderJob's Pod.
func (s *stage) unschedulable(name, message string) {
	s.Helper()
	pod := s.awaitPod(name)
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: message, LastTransitionTime: metav1.Now(),
	})
	if err := cluster.Client.Status().Update(s.Context(), pod); err != nil {
		s.Fatalf("set the status of Pod %s: %v", pod.Name, err)
	}
}
