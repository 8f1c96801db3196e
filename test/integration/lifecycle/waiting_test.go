package lifecycle

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// scheduled reports that a SpiderJob's Pod was scheduled a while ago, and that its node has not started it for a reason.
func (s *stage) scheduled(name string, ago time.Duration, reason, message string) *corev1.Pod {
	s.Helper()
	pod := s.awaitPod(name)
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Now().Add(-ago)),
	}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name:  v1alpha1.ContainerName,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}
	if err := cluster.Client.Status().Update(s.Context(), pod); err != nil {
		s.Fatalf("set the status of Pod %s: %v", pod.Name, err)
	}
	return pod
}

// warn makes the kubelet report a Warning about a Pod.
func (s *stage) warn(pod *corev1.Pod, reason, message string) {
	s.Helper()
	now := metav1.Now()
	s.create(&corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: pod.Name + "."},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		},
		Type: corev1.EventTypeWarning, Reason: reason, Message: message,
		Source: corev1.EventSource{Component: "kubelet"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	})
}

// TestAPodWithoutContainersIsExplained has a Pod whose containers are not even created: the Pod does not say why, its Events
// do. The message names what is missing, and the job is an error when patience is over.
func TestAPodWithoutContainersIsExplained(t *testing.T) {
	for _, c := range []struct {
		name, reason, message, says string
	}{
		{"a volume that does not mount", "FailedMount",
			`MountVolume.SetUp failed for volume "password" : secret "shop-password" not found`, "shop-password"},
		{"a sandbox that cannot be made", "FailedCreatePodSandBox",
			`Failed to create pod sandbox: plugin type="calico" failed (add): no addresses left`, "no addresses left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.options.Config.ImagePatience.Duration = 10 * time.Second
			s.spider(nil)
			s.controller()
			s.job("run")
			s.warn(s.scheduled("run", 5*time.Second, "ContainerCreating", ""), c.reason, c.message)
			st := s.awaitReason("run", v1alpha1.ReasonConfiguration).Status
			if st.Phase != v1alpha1.PhasePending || !strings.Contains(st.Message, c.says) {
				t.Errorf("with patience left the job is %s", describe(&st))
			}
			st = s.awaitEnd("run").Status
			if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonConfiguration || !strings.Contains(st.Message, c.says) {
				t.Errorf("the job ended as %s", describe(&st))
			}
			s.awaitNoJob("run")
		})
	}
}

// TestPatienceCountsFromTheFirstFailure checks that patience counts from when a failure was first seen, not from when a Pod
// was scheduled.
func TestPatienceCountsFromTheFirstFailure(t *testing.T) {
	const patience = 6 * time.Second
	for _, c := range []struct {
		name   string
		mended bool
	}{{"and is over", false}, {"and what fails once may go on", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.options.Config.ImagePatience.Duration = patience
			s.spider(nil)
			s.controller()
			s.job("run")
			s.scheduled("run", time.Hour, "ErrImagePull", "manifest unknown")
			failing := time.Now()
			st := s.awaitReason("run", v1alpha1.ReasonImagePull).Status
			if st.Phase != v1alpha1.PhasePending || st.FailingSince == nil ||
				st.FailingSince.Before(new(metav1.NewTime(failing.Add(-2*time.Second)))) {
				t.Errorf("right after the first failure it is %s, failing since %v", describe(&st), st.FailingSince)
			}
			if c.mended {
				s.node.Serve(s.namespace, quickCrawl(7))
				if sj := s.awaitOutcome("run", completed); sj.Status.FailingSince != nil {
					t.Errorf("what has finished is failing since %v", sj.Status.FailingSince)
				}
				return
			}
			if st = s.awaitEnd("run").Status; st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonImagePull {
				t.Errorf("the job ended as %s", describe(&st))
			}
			if took := time.Since(failing); took < patience-time.Second {
				t.Errorf("with a patience of %s the job ended after %s", patience, took)
			}
		})
	}
}

// TestQueuedEndsWhenAPodExists checks that a job that a queue has admitted is not queued any more, even if it still waits for
// another reason.
func TestQueuedEndsWhenAPodExists(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	q := newQueue(s)
	s.spider(nil, inQueue)
	s.controller()
	s.job("run")
	q.waiting("run")
	s.awaitReason("run", v1alpha1.ReasonQueued)
	q.admit("run", "spot")
	s.awaitPod("run")
	st := s.await("run", "not queued", func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Reason != v1alpha1.ReasonQueued }).Status
	if st.Phase != v1alpha1.PhasePending || st.Reason == "" {
		t.Errorf("with a Pod that no node has taken the job is %s", describe(&st))
	}
}
