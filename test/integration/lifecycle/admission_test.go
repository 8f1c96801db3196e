package lifecycle

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	admissionreviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// This file has what others make admission do to the Jobs and Pods of one namespace.

// whileTested creates objects that are deleted when the test ends, or by a call of remove.
func (s *stage) whileTested(objects ...client.Object) (remove func()) {
	s.Helper()
	for _, object := range objects {
		s.create(object)
		s.Cleanup(func() {
			if err := client.IgnoreNotFound(cluster.Client.Delete(context.Background(), object)); err != nil {
				s.Errorf("delete %T %s: %v", object, object.GetName(), err)
			}
		})
	}
	return func() {
		s.Helper()
		for _, object := range objects {
			if err := cluster.Client.Delete(s.Context(), object); err != nil {
				s.Fatalf("delete %T %s: %v", object, object.GetName(), err)
			}
		}
	}
}

// thisNamespace selects only the namespace.
func (s *stage) thisNamespace() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.namespace}}
}

var (
	jobs = admissionv1.Rule{APIGroups: []string{"batch"}, APIVersions: []string{"v1"}, Resources: []string{"jobs"}}
	pods = admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}
)

// inject makes admission change every spider's Pod of the namespace by an expression that yields a JSON patch, and waits until
// that is in force.
func (s *stage) inject(patch string) {
	s.Helper()
	name := "injected-" + s.namespace
	s.whileTested(&admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:      ptr.To(admissionv1.Fail),
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: pods},
			}}},
			MatchConditions: []admissionv1.MatchCondition{{
				Name: "spiders", Expression: `'` + v1alpha1.LabelSpiderJob + `' in object.metadata.?labels.orValue({})`,
			}},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: patch},
			}},
		},
	}, &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName: name, MatchResources: &admissionv1.MatchResources{NamespaceSelector: s.thisNamespace()},
		},
	})
	s.eventually("containers are injected", func() bool {
		probe := s.spiderPod("probe")
		if err := cluster.Client.Create(s.Context(), probe, client.DryRunAll); err != nil {
			s.Fatalf("try whether containers are injected: %v", err)
		}
		return len(probe.Spec.InitContainers)+len(probe.Spec.Containers) > 1
	})
}

// spiderPod is a Pod as the operator's Jobs create it, without an owner.
func (s *stage) spiderPod(spiderJob string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, GenerateName: spiderJob + "-", Labels: map[string]string{v1alpha1.LabelSpiderJob: spiderJob},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: ptr.To[int64](10),
			Containers: []corev1.Container{{Name: v1alpha1.ContainerName, Image: "spiders:1"}},
		},
	}
}

// injected is a patch that adds a container to a Pod.
func injected(container string) string {
	return `[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "` + container +
		`", image: "mesh:1"}}]`
}

// injectedFirst is a patch that adds an init container to a Pod.
func injectedFirst(container string) string {
	return `[JSONPatch{op: "add", path: "/spec/initContainers", value: [Object.spec.initContainers{name: "` + container +
		`", image: "mesh:1"}]}]`
}

// injectedSidecar is a patch that adds one of Kubernetes' own sidecars to a Pod.
func injectedSidecar(container string) string {
	return `[JSONPatch{op: "add", path: "/spec/initContainers", value: [Object.spec.initContainers{name: "` + container +
		`", image: "mesh:1", restartPolicy: "Always"}]}]`
}

// denyJobs installs a policy that refuses every Job of the namespace, and waits until it is in force. The function that it
// returns removes the policy.
func (s *stage) denyJobs(message string) (allow func()) {
	s.Helper()
	name := "denied-" + s.namespace
	allow = s.whileTested(&admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: ptr.To(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: jobs},
			}}},
			Validations: []admissionv1.Validation{{Expression: "false", Message: message}},
		},
	}, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: s.thisNamespace()},
		},
	})
	s.eventually("Jobs are refused", s.jobsRefused)
	return allow
}

// jobsRefused reports whether a Job cannot be created.
func (s *stage) jobsRefused() bool {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "probe"},
		Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: s.spiderPod("probe").Spec}},
	}
	return cluster.Client.Create(s.Context(), job, client.DryRunAll) != nil
}

// webhook installs a webhook for every Job of the namespace, with a time limit of timeoutSeconds. The function that it returns
// removes it.
func (s *stage) webhook(timeoutSeconds int32, serve http.HandlerFunc) (remove func()) {
	s.Helper()
	server := httptest.NewTLSServer(serve)
	s.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return s.webhookAt(server.URL, authority, timeoutSeconds)
}

func (s *stage) webhookAt(url string, authority []byte, timeoutSeconds int32) (remove func()) {
	s.Helper()
	return s.whileTested(&admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "webhook-" + s.namespace},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:              "policy.example.com",
			ClientConfig:      admissionv1.WebhookClientConfig{URL: ptr.To(url + "/validate"), CABundle: authority},
			NamespaceSelector: s.thisNamespace(),
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: jobs,
			}},
			FailurePolicy: ptr.To(admissionv1.Fail), TimeoutSeconds: &timeoutSeconds,
			SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	})
}

// withoutServer is an address without a server.
func withoutServer() (url string, authority []byte) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// decides is a webhook that answers after a while: code 200 allows, any other denies.
func decides(code int32, message string, delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var review admissionreviewv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
		review.Response = &admissionreviewv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: code == http.StatusOK, Result: &metav1.Status{Code: code, Message: message},
		}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&review) // if this fails, the caller has gone
	}
}

// breaks is a webhook that answers with an HTTP error.
func breaks(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the policy engine is closed", status) }
}

// hangs is a webhook that never answers.
func hangs(_ http.ResponseWriter, r *http.Request) {
	// The server notices that the caller has gone only once the body is read.
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}
