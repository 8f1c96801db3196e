package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// TestAPreemptedRunStartsAgainWhenThereIsRoom has the scheduler stop a spider to make room for a Pod of higher priority. The
// Pods compete for a resource of which each node has one piece, so that the spiders of other tests are not affected.
func TestAPreemptedRunStartsAgainWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: n.Name + "-urgent"}, Value: 1000}
	if err := n.Client.Create(t.Context(), class); err != nil {
		t.Fatalf("create a priority class: %v", err)
	}
	t.Cleanup(func() {
		if err := n.Client.Delete(context.Background(), class); err != nil {
			t.Errorf("delete the priority class: %v", err)
		}
	})
	for name, tt := range map[string]struct {
		make      func(n *harness.Namespace, name string, change ...func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider
		arguments map[string]string
		items     int64
	}{
		"scrapy": {
			func(n *harness.Namespace, name string, change ...func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider {
				named := func(spec *v1alpha1.SpiderSpec) { spec.Name = "category" }
				return n.Scrapy(name, append(change, leisurely, named)...)
			},
			map[string]string{"category": "Travel"}, 30,
		},
		"mortal": {
			func(n *harness.Namespace, name string, change ...func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider {
				return n.Python(name, mortal, change...)
			},
			nil, 11,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			seat := corev1.ResourceName(n.Name + "-" + name + ".scrapethis.app/seat")
			offer(t, n, seat)
			tt.make(n, name, func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.Resources.Limits[seat] = resource.MustParse("1")
			})
			n.Start(name, name, tt.arguments)
			pod := opened(n, name)
			urgent := urgentPod(n, name+"-urgent", class.Name, seat)
			n.Create(urgent)

			n.AwaitGone(&corev1.Pod{}, pod.Name, soon)
			st := n.Await(name, "waits for room", soon, func(job *v1alpha1.SpiderJob) bool {
				return job.Status.Interruptions == 1 && strings.Contains(job.Status.Message, "Insufficient")
			}).Status
			if st.Phase != v1alpha1.PhaseRunning {
				t.Errorf("between two attempts it is %s, %s: %s", st.Phase, st.Reason, st.Message)
			}
			if err := n.Client.Delete(t.Context(), urgent); err != nil {
				t.Fatalf("delete Pod %s: %v", urgent.Name, err)
			}
			st = n.AwaitEnd(name, crawl).Status
			if st.Phase != v1alpha1.PhaseFinished || st.Reason != v1alpha1.ReasonCompleted || st.Attempts != 2 || st.Interruptions != 1 {
				t.Errorf("ended %s, %s: %s, after %d attempts and %d interruptions", st.Phase, st.Reason, st.Message, st.Attempts,
					st.Interruptions)
			}
			if st.Stats == nil || st.Stats.ItemsScraped != tt.items || !st.Stats.Final || st.Stats.Attempt != 2 {
				t.Errorf("stats %+v, want %d items", st.Stats, tt.items)
			}
		})
	}
}

// offer gives each node one piece of a resource, until the test ends.
func offer(t *testing.T, n *harness.Namespace, what corev1.ResourceName) {
	t.Helper()
	nodes, err := n.Clientset.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("list the nodes: %v", err)
	}
	patch := func(amount any) []byte {
		pieces := map[corev1.ResourceName]any{what: amount}
		text, err := json.Marshal(map[string]any{"status": map[string]any{"capacity": pieces, "allocatable": pieces}})
		if err != nil {
			t.Fatalf("encode a patch: %v", err)
		}
		return text
	}
	for _, node := range nodes.Items {
		_, err := n.Clientset.CoreV1().Nodes().PatchStatus(t.Context(), node.Name, patch("1"))
		if err != nil {
			t.Fatalf("give node %s %s: %v", node.Name, what, err)
		}
		t.Cleanup(func() {
			_, err := n.Clientset.CoreV1().Nodes().Patch(context.Background(), node.Name, types.StrategicMergePatchType, patch(nil),
				metav1.PatchOptions{}, "status")
			if err != nil {
				t.Errorf("take %s from node %s: %v", what, node.Name, err)
			}
		})
	}
}

// urgentPod is a Pod that needs a piece of a resource, even if another Pod has it.
func urgentPod(n *harness.Namespace, name, class string, what corev1.ResourceName) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			PriorityClassName:             class,
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "main", Image: n.ScrapyImage, Command: []string{"sleep", "600"},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{what: resource.MustParse("1")}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}
