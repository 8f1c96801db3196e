package controller

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// hungWebhook is an admission webhook that takes calls and never answers.
type hungWebhook struct {
	server *httptest.Server
	// calls counts all calls, held those that wait now.
	calls, held atomic.Int64
	// over ends the calls that wait.
	over chan struct{}
}

func newHungWebhook() *hungWebhook {
	h := &hungWebhook{over: make(chan struct{})}
	h.server = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		h.held.Add(1)
		defer h.held.Add(-1)
		_, _ = io.Copy(io.Discard, r.Body) // the server notices that the client has gone only after the body was read
		select {
		case <-r.Context().Done():
		case <-h.over:
		}
	}))
	return h
}

func (h *hungWebhook) close() {
	close(h.over)
	h.server.Close()
}

// install makes the creation of every Job in a namespace hang until kube-apiserver's time limit of 30 s, and then fail.
func (b *bench) install(ctx context.Context, h *hungWebhook, in string) error {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hangs"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    "hangs.load.example.com",
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: new(h.server.URL), CABundle: authority},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: in}},
			FailurePolicy:           new(admissionregistrationv1.Fail),
			TimeoutSeconds:          new(int32(30)),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{batchv1.GroupName}, APIVersions: []string{"v1"}, Resources: []string{"jobs"},
				},
			}},
		}},
	}
	if err := b.Create(ctx, configuration); err != nil {
		return err
	}
	// kube-apiserver reads the configuration through a watch of its own.
	return b.Until(ctx, "the webhook is called", func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		probe := &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Namespace: in, GenerateName: "probe-"},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "probe", Image: "probe"}},
			}}},
		}
		err := b.Client.Create(ctx, probe, client.DryRunAll)
		if h.calls.Load() == 0 && err != nil {
			return false, fmt.Errorf("try the webhook: %w", err)
		}
		return h.calls.Load() > 0, nil
	})
}
