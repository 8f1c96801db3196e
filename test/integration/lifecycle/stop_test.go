package lifecycle

import (
	"context"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// somebodys is a finalizer that somebody else has set.
const somebodys = "example.com/somebodys"

// TestACancelIsRecordedAsAStopAtOnce checks that a cancel is recorded as a stop at once, so that users see what the job is
// doing.
func TestACancelIsRecordedAsAStopAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(lingers(4, 3*time.Second))
	s.controller()
	s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	asked := time.Now()
	s.cancel("run", nil)
	st := s.await("run", "stopping", func(sj *v1alpha1.SpiderJob) bool {
		return sj.Status.Stop != nil ||
			sj.Status.Phase.Terminal()
	}).Status
	if st.Phase != v1alpha1.PhaseRunning || st.Reason != v1alpha1.ReasonStopping || !strings.Contains(st.Message, "ann") {
		t.Errorf("a SpiderJob that is being cancelled is %s", describe(&st))
	}
	if stop := st.Stop; stop == nil || stop.Reason != v1alpha1.ReasonCancelled || stop.Since == nil ||
		stop.Since.Before(ptr.To(metav1.NewTime(asked.Add(-2*time.Second)))) || stop.Retry {
		t.Errorf("the recorded stop is %+v", stop)
	}
	s.awaitOutcome("run", cancelled(1, 4, true))
}

// TestANodeThatDoesNotAnswerIsWaitedFor has a node that does not answer, and that may still run what was stopped. However
// short the grace period, no end is recorded before the node has answered. When grace period and a margin are over the message
// says what the job waits for, and what users can do.
func TestANodeThatDoesNotAnswerIsWaitedFor(t *testing.T) {
	none := func(spec *v1alpha1.SpiderSpec) { spec.TerminationGracePeriodSeconds = ptr.To[int64](0) }
	timeout := func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](5) }
	for _, c := range []struct {
		name   string
		spider []func(*v1alpha1.SpiderSpec)
		stop   func(s *stage)
		reason string
	}{
		{"a cancel with grace 0", nil, func(s *stage) { s.cancel("run", ptr.To[int64](0)) }, v1alpha1.ReasonCancelled},
		{"a cancel with grace 1", nil, func(s *stage) { s.cancel("run", ptr.To[int64](1)) }, v1alpha1.ReasonCancelled},
		{"a cancel of a Spider with grace 0", with(none), func(s *stage) { s.cancel("run", nil) }, v1alpha1.ReasonCancelled},
		{"a timeout of a Spider with grace 0", with(none, timeout), func(*stage) {}, v1alpha1.ReasonDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.patience = 2 * time.Minute
			s.spider(longCrawl(4), c.spider...)
			s.controller()
			s.job("run")
			pod := s.pod(s.awaitPhase("run", v1alpha1.PhaseRunning))
			s.node.Cut(s.namespace)
			t.Cleanup(func() { s.node.Rejoin(s.namespace) })
			c.stop(s)
			st := s.await("run", "waiting for its node", func(sj *v1alpha1.SpiderJob) bool {
				return strings.Contains(sj.Status.Message, pod.Name) || sj.Status.Phase.Terminal()
			}).Status
			if st.Phase != v1alpha1.PhaseRunning || st.Reason != v1alpha1.ReasonStopping || !strings.Contains(st.Message, "gopher") {
				t.Fatalf("with its node lost the job is %s", describe(&st))
			}
			s.get(pod, pod.Name) // it still exists, and says what it waits for
			if pod.DeletionTimestamp == nil || ptr.Deref(pod.DeletionGracePeriodSeconds, 0) < 1 {
				t.Errorf("the Pod is being deleted since %v, with grace %v", pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds)
			}
			s.node.Rejoin(s.namespace)
			if sj := s.awaitEnd("run"); sj.Status.Reason != c.reason {
				t.Errorf("the job ended as %s", describe(&sj.Status))
			}
			s.checkNothingRuns("run")
		})
	}
}

// TestTheGraceOfACancellationCanBeLowered checks that a user who has requested a gentle stop may request a quicker one, and
// that no user can take a grace period back, or change who requested the stop.
func TestTheGraceOfACancellationCanBeLowered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(ignores(4))
	s.controller()
	s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	s.cancel("run", ptr.To[int64](600))
	s.eventually("the Pod is being deleted", func() bool { return s.awaitPod("run").DeletionTimestamp != nil })
	for what, change := range map[string]func(*v1alpha1.Cancellation){
		"raise the grace":     func(c *v1alpha1.Cancellation) { c.GracePeriodSeconds = ptr.To[int64](601) },
		"take the grace back": func(c *v1alpha1.Cancellation) { c.GracePeriodSeconds = nil },
		"change who asked":    func(c *v1alpha1.Cancellation) { c.RequestedBy = "bob" },
	} {
		sj := &v1alpha1.SpiderJob{}
		s.get(sj, "run")
		change(sj.Spec.Cancellation)
		if err := cluster.Client.Update(t.Context(), sj); !apierrors.IsInvalid(err) {
			t.Errorf("to %s is answered with %v", what, err)
		}
	}
	lowered := time.Now()
	s.update(&v1alpha1.SpiderJob{}, "run", func(object client.Object) {
		object.(*v1alpha1.SpiderJob).Spec.Cancellation.GracePeriodSeconds = ptr.To[int64](1)
	})
	s.awaitPhase("run", v1alpha1.PhaseCancelled)
	if took := time.Since(lowered); took > seconds {
		t.Errorf("a grace lowered to a second took %s", took)
	}
}

// TestAnEndedPodHeldByAFinalizerIsProof checks that an ended Pod is proof of the end, even if a finalizer keeps its object.
func TestAnEndedPodHeldByAFinalizerIsProof(t *testing.T) {
	for _, c := range []struct {
		name  string
		stop  func(s *stage, pod *corev1.Pod)
		phase v1alpha1.Phase
	}{
		{"cancelled", func(s *stage, _ *corev1.Pod) { s.cancel("run", nil) }, v1alpha1.PhaseCancelled},
		{"interrupted", func(s *stage, pod *corev1.Pod) { s.delete(pod) }, v1alpha1.PhaseError},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(longCrawl(4), neverAgain)
			s.controller()
			s.job("run")
			pod := s.pod(s.awaitPhase("run", v1alpha1.PhaseRunning))
			release := s.hold(pod)
			c.stop(s, pod)
			if sj := s.awaitEnd("run"); sj.Status.Phase != c.phase {
				t.Errorf("the job ended as %s", describe(&sj.Status))
			}
			s.get(pod, pod.Name) // it is still there
			release()
			s.awaitNoJob("run")
		})
	}
}

// TestAJobHeldByAFinalizerIsExplained has a foreign finalizer hold a Job. The Job has no Pods any more, and creates none: its
// end is recorded, or the message says what it waits for.
func TestAJobHeldByAFinalizerIsExplained(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(longCrawl(4))
	s.controller()
	s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	job := &batchv1.Job{}
	s.get(job, "run")
	release := s.hold(job)
	s.cancel("run", nil)
	s.eventually("nothing of it runs", func() bool { return s.running("run") == 0 })
	st := s.await("run", "explained", func(sj *v1alpha1.SpiderJob) bool {
		return sj.Status.Reason == v1alpha1.ReasonStopping || sj.Status.Phase.Terminal()
	}).Status
	if !st.Phase.Terminal() && st.Message == "" {
		t.Errorf("with its Job held the job is %s", describe(&st))
	}
	release()
	s.awaitOutcome("run", cancelled(1, 4, true))
	s.awaitNoJob("run")
}

// TestADeletedSpiderJobHeldByAFinalizerIsStopped checks that a deleted SpiderJob that a foreign finalizer holds is stopped,
// judged and recorded like any other.
func TestADeletedSpiderJobHeldByAFinalizerIsStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(longCrawl(4))
	s.controller()
	sj := s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	release := s.hold(sj)
	s.delete(sj)
	s.awaitEnd("run")
	if n := s.running("run"); n > 0 {
		t.Errorf("%d processes run after the end", n)
	}
	release()
	s.awaitGone("run")
}

// hold sets a foreign finalizer on an object. The function that it returns, or the end of the test, removes it.
func (s *stage) hold(object client.Object) (release func()) {
	s.Helper()
	s.update(object, object.GetName(), func(object client.Object) { controllerutil.AddFinalizer(object, somebodys) })
	remove := func(ctx context.Context) error {
		for {
			err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(object), object)
			if err == nil && controllerutil.RemoveFinalizer(object, somebodys) {
				err = cluster.Client.Update(ctx, object)
			}
			if !apierrors.IsConflict(err) {
				return client.IgnoreNotFound(err)
			}
		}
	}
	s.Cleanup(func() {
		if err := remove(context.Background()); err != nil {
			s.Errorf("remove the finalizer of %T %s: %v", object, object.GetName(), err)
		}
	})
	return func() {
		s.Helper()
		if err := remove(s.Context()); err != nil {
			s.Fatalf("remove the finalizer of %T %s: %v", object, object.GetName(), err)
		}
	}
}
