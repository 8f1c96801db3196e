package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// TestAJobThatCannotStartSaysWhyAndStartsWhenItCan checks that a job that cannot start says why, in the words of what prevents
// it, and starts once that is repaired.
func TestAJobThatCannotStartSaysWhyAndStartsWhenItCan(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(*v1alpha1.SpiderSpec)
		hinder  func(n *harness.Namespace)
		reason  string
		message string
		mend    func(n *harness.Namespace)
	}{
		"a Secret is missing": {
			change: func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.EnvFrom = []corev1.EnvFromSource{{
					SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shop-password"}},
				}}
			},
			reason: v1alpha1.ReasonConfiguration, message: "shop-password",
			mend: func(n *harness.Namespace) {
				n.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "shop-password"}})
			},
		},
		"a Secret is missing as a file": {
			change: missingFile,
			reason: v1alpha1.ReasonConfiguration, message: "shop-password",
			mend: func(n *harness.Namespace) {
				n.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "shop-password"}})
			},
		},
		"the quota is used up": {
			hinder: func(n *harness.Namespace) {
				n.Create(&corev1.ResourceQuota{
					ObjectMeta: metav1.ObjectMeta{Name: "no-pods"},
					Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
				})
			},
			reason: v1alpha1.ReasonQuotaExceeded, message: "no-pods",
			mend: func(n *harness.Namespace) {
				n.Run("", "patch", "resourcequota", "no-pods", "--type=merge", "--patch", `{"spec": {"hard": {"pods": "9"}}}`)
			},
		},
		"the service account is missing": {
			change: func(spec *v1alpha1.SpiderSpec) { spec.Pod.ServiceAccountName = "nobody" },
			reason: v1alpha1.ReasonServiceAccountNotFound, message: "nobody",
			mend: func(n *harness.Namespace) {
				n.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}})
			},
		},
		"Pod Security refuses it": {
			change: func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.ContainerSecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: ptr.To(true)}
			},
			reason: v1alpha1.ReasonPodForbidden, message: "PodSecurity",
			mend: func(n *harness.Namespace) {
				n.Run("", "label", "namespace", n.Name, "--overwrite", "pod-security.kubernetes.io/enforce=baseline")
			},
		},
		"no node has what it needs": {
			change: func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.NodeSelector = map[string]string{"example.com/no-such-node": "true"}
			},
			reason: v1alpha1.ReasonUnschedulable, message: "didn't match Pod's node affinity/selector",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := cluster.Namespace(t)
			n.Counter("counter", func(spec *v1alpha1.SpiderSpec) {
				if tt.change != nil {
					tt.change(spec)
				}
			})
			if tt.hinder != nil {
				tt.hinder(n)
			}
			api := n.API("alice")
			id := api.Start("counter", map[string]any{"n": 3})
			n.AwaitReason(id, tt.reason, soon)
			job := api.Await(id, "says "+tt.reason, atOnce, func(job harness.Job) bool { return job.Reason == tt.reason })
			if job.Status != "pending" || !strings.Contains(job.Message, tt.message) {
				t.Errorf("the job is %s, %s: %s; want pending, %s: …%s…", job.Status, job.Reason, job.Message, tt.reason, tt.message)
			}
			if tt.mend == nil {
				return
			}
			tt.mend(n)
			if job = api.Wait(id, 2*soon); job.Status != "finished" || job.Items() != 3 {
				t.Errorf("once nothing keeps it from starting the job ends %s, %s: %s", job.Status, job.Reason, job.Message)
			}
		})
	}
}

func TestAStartDeadlineSaysWhatTheJobWaitedFor(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) {
		spec.Pod.NodeSelector = map[string]string{"example.com/no-such-node": "true"}
	})
	name := n.Start("too-long", "counter", nil, func(spec *v1alpha1.SpiderJobSpec) { spec.StartDeadlineSeconds = ptr.To[int64](6) })
	st := n.AwaitEnd(name, soon).Status
	if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonStartDeadlineExceeded ||
		!strings.Contains(st.Message, "node") {
		t.Errorf("ended %s, %s: %s", st.Phase, st.Reason, st.Message)
	}
	n.Gone(name)
}

// missingFile mounts a Secret that does not exist.
func missingFile(spec *v1alpha1.SpiderSpec) {
	spec.Pod.Volumes = []corev1.Volume{{
		Name: "password", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "shop-password"}},
	}}
	spec.Pod.VolumeMounts = []corev1.VolumeMount{{Name: "password", MountPath: "/password"}}
}

func TestASecretThatStaysMissingIsAnErrorInTheEnd(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	for name, change := range map[string]func(*v1alpha1.SpiderSpec){
		"variable": func(spec *v1alpha1.SpiderSpec) {
			spec.Pod.EnvFrom = []corev1.EnvFromSource{{
				SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shop-password"}},
			}}
		},
		"file": missingFile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			n.Counter(name, change)
			st := n.AwaitEnd(n.Start("no-"+name, name, nil), soon).Status
			if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonConfiguration ||
				!strings.Contains(st.Message, "shop-password") {
				t.Errorf("ended %s, %s: %s", st.Phase, st.Reason, st.Message)
			}
			n.Gone("no-" + name)
		})
	}
}
