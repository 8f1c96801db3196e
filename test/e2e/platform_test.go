package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// platformUser is the user that the namespace's Pods must have. OpenShift gives each namespace a range of its own.
const platformUser = 1000680000

// TestAPlatformThatGivesPodsTheirUsersRunsSpiders has a platform that assigns users to Pods, and refuses Pods that bring one:
// spiders run once the operator leaves the choice to the platform. Until then they wait, and say what refuses them.
func TestAPlatformThatGivesPodsTheirUsersRunsSpiders(t *testing.T) {
	system := cluster.SystemNamespace(t)
	security := func(mode string) error {
		_, err := system.Helm("upgrade", release, chart, "--wait", "--reset-then-reuse-values", "--set",
			"controller.spiderPods.security="+mode)
		return err
	}
	n := cluster.Namespace(t)
	mutatePods(t, n, fmt.Sprintf(`object.spec.?securityContext.?runAsUser.hasValue() ? [] : [
		JSONPatch{op: "add", path: "/spec/securityContext/runAsUser", value: %[1]d},
		JSONPatch{op: "add", path: "/spec/securityContext/fsGroup", value: %[1]d}]`, platformUser))
	deny(t, n, creationsOf("", "pods"), fmt.Sprintf(`object.spec.?securityContext.?runAsUser.orValue(0) == %d`, platformUser),
		"the user is not in this namespace's range")
	n.Eventually(t, soon, "users are given and refused", func(ctx context.Context) error {
		probe := func(user *int64) *corev1.Pod {
			return &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: n.Name, Name: "probe", Labels: map[string]string{v1alpha1.LabelSpiderJob: "probe"}},
				Spec: corev1.PodSpec{
					SecurityContext: &corev1.PodSecurityContext{
						RunAsUser: user, RunAsNonRoot: ptr.To(true),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{Name: "probe", Image: cluster.CounterImage, SecurityContext: &corev1.SecurityContext{
						AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					}}},
				},
			}
		}
		if err := n.Client.Create(ctx, probe(nil), client.DryRunAll); err != nil {
			return err
		}
		if err := n.Client.Create(ctx, probe(ptr.To[int64](65532)), client.DryRunAll); err == nil {
			return fmt.Errorf("a Pod of another user is not refused")
		}
		return nil
	})

	n.Scrapy("category")
	n.Start("refused", "category", map[string]string{"category": "Travel"})
	st := n.AwaitReason("refused", v1alpha1.ReasonPodForbidden, soon).Status
	if st.Phase != v1alpha1.PhasePending || !strings.Contains(st.Message, "not in this namespace's range") {
		t.Errorf("a job whose Pod is refused is %s, %s: %s", st.Phase, st.Reason, st.Message)
	}

	t.Cleanup(func() {
		if err := security("restricted"); err != nil {
			t.Errorf("put the operator's setting back: %v", err)
		}
	})
	if err := security("platform"); err != nil {
		t.Fatalf("leave users to the platform: %v", err)
	}
	n.Start("run", "category", map[string]string{"category": "Travel"})
	st = n.AwaitEnd("run", soon).Status
	if st.Phase != v1alpha1.PhaseFinished || st.Stats == nil || !st.Stats.Final || st.Stats.ItemsScraped == 0 {
		t.Fatalf("ended %s, %s: %s, stats %+v", st.Phase, st.Reason, st.Message, st.Stats)
	}
	for _, pod := range n.Pods("run") {
		if user := ptr.Deref(pod.Spec.SecurityContext.RunAsUser, 0); user != platformUser {
			t.Errorf("the spider ran as user %d, want the platform's %d", user, platformUser)
		}
	}
}
