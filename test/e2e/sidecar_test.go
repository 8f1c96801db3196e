package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// mesh is what others add to a spider's Pod: a container that runs the demo's counter, as a CEL expression.
func mesh(list, arguments, more string) string {
	return fmt.Sprintf(`Object.spec.%s{name: "mesh", image: %q, command: ["/counter"]%s, `+
		`env: [Object.spec.%s.env{name: "SPIDER_ARGUMENTS", value: %q}]}`,
		list, cluster.CounterImage, more, list, arguments)
}

func meshBeside(arguments string) string {
	return `[JSONPatch{op: "add", path: "/spec/containers/-", value: ` + mesh("containers", arguments, "") + `}]`
}

func meshBefore(arguments, more string) string {
	return `[JSONPatch{op: "add", path: "/spec/initContainers", value: [` + mesh("initContainers", arguments, more) + `]}]`
}

// endlessMesh are the arguments of a container that ends only when asked to.
const endlessMesh = `{"n":"100000","delay":"10s"}`

// inject makes admission change every spider's Pod of the namespace by an expression that yields a JSON patch, and waits until
// that is in force.
func inject(t *testing.T, n *harness.Namespace, patch string) {
	t.Helper()
	n.Run("", "label", "namespace", n.Name, "--overwrite", "pod-security.kubernetes.io/enforce=privileged")
	mutatePods(t, n, patch)
	n.Eventually(t, soon, "containers are injected", func(ctx context.Context) error {
		probe := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: n.Name, Name: "probe", Labels: map[string]string{v1alpha1.LabelSpiderJob: "probe"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: cluster.CounterImage}}},
		}
		if err := n.Client.Create(ctx, probe, client.DryRunAll); err != nil {
			return err
		}
		if len(probe.Spec.InitContainers)+len(probe.Spec.Containers) < 2 {
			return fmt.Errorf("the probe has %d containers", len(probe.Spec.Containers))
		}
		return nil
	})
}

// mutatePods makes admission change every spider's Pod of the namespace by an expression that yields a JSON patch.
func mutatePods(t *testing.T, n *harness.Namespace, patch string) {
	t.Helper()
	name := "injected-" + n.Name
	untilTheEnd(t, &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      ptr.To(admissionv1.Fail),
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints:   creationsOf("", "pods"),
			MatchConditions: []admissionv1.MatchCondition{{
				Name: "spiders", Expression: `'` + v1alpha1.LabelSpiderJob + `' in object.metadata.?labels.orValue({})`,
			}},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: patch},
			}},
		},
	}, &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name, MatchResources: inNamespace(n)},
	})
}

// deny makes admission refuse creations in the namespace with a message unless an expression is true.
func deny(t *testing.T, n *harness.Namespace, what *admissionv1.MatchResources, unless,
	message string) *admissionv1.ValidatingAdmissionPolicyBinding {
	t.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "denied-" + n.Name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    ptr.To(admissionv1.Fail),
			MatchConstraints: what,
			Validations:      []admissionv1.Validation{{Expression: unless, Message: message}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}, MatchResources: inNamespace(n),
		},
	}
	untilTheEnd(t, policy, binding)
	return binding
}

// untilTheEnd creates objects that belong to no namespace, and deletes them when the test ends.
func untilTheEnd(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := cluster.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
		t.Cleanup(func() {
			if err := client.IgnoreNotFound(cluster.Client.Delete(context.Background(), object)); err != nil {
				t.Errorf("delete %T %s: %v", object, object.GetName(), err)
			}
		})
	}
}

func creationsOf(group, resource string) *admissionv1.MatchResources {
	return &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
		},
	}}}
}

func inNamespace(n *harness.Namespace) *admissionv1.MatchResources {
	return &admissionv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: n.Name}},
	}
}

// TestAnInjectedContainerChangesNoVerdict checks that whatever others add to its Pod, the job ends when and as its spider has
// ended, and does not run again. Its log stays.
func TestAnInjectedContainerChangesNoVerdict(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		patch     string
		arguments map[string]string
		timeout   *int64
		phase     v1alpha1.Phase
		reason    string
	}{
		"a sidecar that lives on": {
			patch: meshBeside(endlessMesh), phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted,
		},
		"a sidecar that lives on, and a timeout": {
			patch: meshBeside(endlessMesh), timeout: ptr.To[int64](20), phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted,
		},
		"a sidecar that fails first": {
			patch: meshBeside(`{"n":"1","exit":"1"}`), arguments: map[string]string{"n": "3", "delay": "2s"},
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted,
		},
		"a sidecar that fails last": {
			patch: meshBeside(`{"n":"4","delay":"2s","exit":"1"}`), phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted,
		},
		"a native sidecar": {
			patch: meshBefore(endlessMesh, `, restartPolicy: "Always"`),
			phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted,
		},
		"a spider that fails beside one that lives on": {
			patch: meshBeside(endlessMesh), arguments: map[string]string{"n": "3", "exit": "4"},
			phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := cluster.Namespace(t)
			inject(t, n, tt.patch)
			// A sidecar must not cause a retry, even if one is left.
			n.Counter("counter", func(spec *v1alpha1.SpiderSpec) { spec.Retries = ptr.To[int32](1) })
			if tt.arguments == nil {
				tt.arguments = map[string]string{"n": "3"}
			}
			n.Start("run", "counter", tt.arguments, func(spec *v1alpha1.SpiderJobSpec) {
				spec.TimeoutSeconds = tt.timeout
				if tt.phase == v1alpha1.PhaseError {
					spec.Retries = ptr.To[int32](0)
				}
			})
			st := n.AwaitEnd("run", soon).Status
			if st.Phase != tt.phase || st.Reason != tt.reason || st.Attempts != 1 || st.Interruptions != 0 {
				t.Errorf("ended %s, %s: %s, after %d attempts and %d interruptions", st.Phase, st.Reason, st.Message, st.Attempts,
					st.Interruptions)
			}
			if st.Stats == nil || st.Stats.ItemsScraped != 3 || !st.Stats.Final {
				t.Errorf("stats are %+v, want 3 items", st.Stats)
			}
			pods := n.Pods("run")
			if len(pods) != 1 || pods[0].Status.Phase != corev1.PodSucceeded && pods[0].Status.Phase != corev1.PodFailed {
				t.Fatalf("there are %d Pods after the end, want the one that has ended", len(pods))
			}
			n.Log(pods[0].Name)
		})
	}
}

// TestAnInjectedContainerThatKeepsTheSpiderFromStartingIsNamed checks that an injected container that prevents the spider from
// starting is named in the message, and becomes an error once patience is over.
func TestAnInjectedContainerThatKeepsTheSpiderFromStartingIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		patch, reason, message string
	}{
		"an image that does not exist": {
			`[JSONPatch{op: "add", path: "/spec/initContainers", value: [Object.spec.initContainers{` +
				`name: "mesh", image: "spider-demo-missing:dev", imagePullPolicy: "Never"}]}]`,
			v1alpha1.ReasonImagePull, "mesh",
		},
		"one that fails": {meshBefore(`{"n":"1","exit":"4"}`, ""), v1alpha1.ReasonConfiguration, "mesh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := cluster.Namespace(t)
			inject(t, n, tt.patch)
			n.Counter("counter")
			n.Start("run", "counter", nil)
			st := n.AwaitEnd("run", soon).Status
			if st.Phase != v1alpha1.PhaseError || st.Reason != tt.reason || !strings.Contains(st.Message, tt.message) ||
				st.StartedAt != nil {
				t.Errorf("ended %s, %s: %s, started %v", st.Phase, st.Reason, st.Message, st.StartedAt)
			}
		})
	}
}

// TestAJobThatAPolicyRefusesWaitsAndStarts checks that a policy that refuses every Job is not the job's fault: the job waits,
// says what refuses it, and starts once the policy is gone.
func TestAJobThatAPolicyRefusesWaitsAndStarts(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	binding := deny(t, n, creationsOf("batch", "jobs"), "false", "the shop is closed")
	n.Eventually(t, soon, "Jobs are refused", func(ctx context.Context) error {
		probe := somebodysJob("probe")
		probe.Namespace = n.Name
		probe.Spec.Template.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true)}
		if err := n.Client.Create(ctx, probe, client.DryRunAll); err == nil {
			return fmt.Errorf("Job %s is not refused", probe.Name)
		}
		return nil
	})
	n.Start("run", "counter", map[string]string{"n": "3"})
	st := n.AwaitReason("run", v1alpha1.ReasonPodForbidden, soon).Status
	if st.Phase != v1alpha1.PhasePending || !strings.Contains(st.Message, "the shop is closed") {
		t.Errorf("a refused job is %s, %s: %s", st.Phase, st.Reason, st.Message)
	}
	if err := n.Client.Delete(t.Context(), binding); err != nil {
		t.Fatalf("delete the policy's binding: %v", err)
	}
	if st := n.AwaitEnd("run", 2*soon).Status; st.Phase != v1alpha1.PhaseFinished {
		t.Errorf("nothing refuses it any more, and it ended %s, %s: %s", st.Phase, st.Reason, st.Message)
	}
}
