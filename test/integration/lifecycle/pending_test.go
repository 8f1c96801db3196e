package lifecycle

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestAJobWithoutAPodIsExplained checks that the status explains why a Job has no Pod, and that the job runs once the obstacle
// is removed.
func TestAJobWithoutAPodIsExplained(t *testing.T) {
	for _, c := range []struct {
		name   string
		spider func(*v1alpha1.SpiderSpec)
		put    func(s *stage)
		reason string
		remove func(s *stage)
	}{
		{"a service account that does not exist",
			func(spec *v1alpha1.SpiderSpec) { spec.Pod.ServiceAccountName = "crawler" },
			func(*stage) {},
			v1alpha1.ReasonServiceAccountNotFound,
			func(s *stage) {
				s.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "crawler"}})
			}},
		{"Pod Security",
			func(spec *v1alpha1.SpiderSpec) { spec.Pod.SecurityContext = &corev1.PodSecurityContext{} },
			func(s *stage) { s.enforce("restricted") },
			v1alpha1.ReasonPodForbidden,
			func(s *stage) { s.enforce("privileged") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			c.put(s)
			s.spider(quickCrawl(7), c.spider)
			s.controller()
			s.job("run")
			if sj := s.awaitReason("run", c.reason); sj.Status.Phase != v1alpha1.PhasePending || sj.Status.Message == "" {
				t.Errorf("the job is %s", describe(&sj.Status))
			}
			c.remove(s)
			s.awaitOutcome("run", completed)
		})
	}
}

// TestAPodThatDoesNotStartIsExplained checks that the status explains why a Pod does not start. An image that cannot be pulled
// is an error when patience is over; a Pod for which no node has room waits.
func TestAPodThatDoesNotStartIsExplained(t *testing.T) {
	waits := func(reason string) func(*corev1.PodStatus) {
		return func(status *corev1.PodStatus) {
			status.ContainerStatuses = []corev1.ContainerStatus{{
				Name:  v1alpha1.ContainerName,
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "for a reason"}},
			}}
		}
	}
	for _, c := range []struct {
		name   string
		status func(*corev1.PodStatus)
		reason string
		ends   bool
	}{
		{"its image cannot be pulled", waits("ImagePullBackOff"), v1alpha1.ReasonImagePull, true},
		{"a Secret is missing", waits("CreateContainerConfigError"), v1alpha1.ReasonConfiguration, true},
		{"no node has room", func(status *corev1.PodStatus) {
			status.Conditions = append(status.Conditions, corev1.PodCondition{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
				Message: "for a reason", LastTransitionTime: metav1.Now(),
			})
		}, v1alpha1.ReasonUnschedulable, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.options.Config.ImagePatience.Duration = 5 * time.Second
			s.spider(nil)
			s.controller()
			s.job("run")
			pod := s.awaitPod("run")
			c.status(&pod.Status)
			if err := cluster.Client.Status().Update(t.Context(), pod); err != nil {
				t.Fatalf("set the status of Pod %s: %v", pod.Name, err)
			}
			if sj := s.awaitReason("run", c.reason); sj.Status.Phase != v1alpha1.PhasePending {
				t.Errorf("the job is %s", describe(&sj.Status))
			}
			if c.ends {
				sj := s.awaitEnd("run")
				if sj.Status.Phase != v1alpha1.PhaseError || sj.Status.Reason != c.reason || s.starts("run") != 0 {
					t.Errorf("the job ended as %s", describe(&sj.Status))
				}
				s.awaitNoJob("run")
				return
			}
			testNode.Serve(s.namespace, quickCrawl(7))
			s.awaitOutcome("run", completed)
		})
	}
}

// enforce sets the Pod Security Standard of the namespace.
func (s *stage) enforce(standard string) {
	s.Helper()
	namespace := &corev1.Namespace{}
	if err := cluster.Client.Get(s.Context(), client.ObjectKey{Name: s.namespace}, namespace); err != nil {
		s.Fatalf("get namespace %s: %v", s.namespace, err)
	}
	patch := client.MergeFrom(namespace.DeepCopy())
	namespace.Labels["pod-security.kubernetes.io/enforce"] = standard
	if err := cluster.Client.Patch(s.Context(), namespace, patch); err != nil {
		s.Fatalf("set the Pod Security Standard of namespace %s: %v", s.namespace, err)
	}
}
