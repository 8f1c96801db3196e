package controller

import (
	"context"
	_ "embed"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// hungNamespace is where Jobs hang. Everything else is in the other namespace.
const hungNamespace = "hung"

// The aim, in milliseconds.
const (
	troubleP99 = 1000
	troubleMax = 5000
)

// measureTrouble measures how late cancels and ends are while Jobs of another namespace hang.
func (b *bench) measureTrouble(ctx context.Context) (*measure.Report, error) {
	webhook, configuration, err := newHungWebhook()
	if err != nil {
		return nil, err
	}
	defer webhook.close()
	hung := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hungNamespace}}
	if err := b.Create(ctx, configuration, hung, newSpider(hungNamespace, spiderName)); err != nil {
		return nil, err
	}
	seconds := int(b.troubleTime / time.Second)
	prefix, err := b.stay(ctx, 2*seconds, 2*seconds) // meanwhile kube-apiserver reads the configuration
	if err != nil {
		return nil, err
	}
	err = system.Each(ctx, "starting SpiderJobs whose Jobs hang", b.troubleJobs, func(ctx context.Context, i int) error {
		return b.Create(ctx, newSpiderJob(hungNamespace, fmt.Sprintf("hung-%05d", i), spiderName))
	})
	if err != nil {
		return nil, err
	}
	err = b.Until(ctx, "Jobs hang", func(context.Context) (bool, error) { return webhook.held.Load() > 0, nil })
	if err != nil {
		return nil, err
	}
	held := int64(0)
	measure.Say("cancelling a job and ending one every second for %d s", seconds)
	calls, calling := errgroup.WithContext(ctx)
	pace := rate.NewLimiter(1, 1)
	for i := range seconds {
		if err := pace.Wait(calling); err != nil {
			break // a call has failed
		}
		held = max(held, webhook.held.Load())
		calls.Go(func() error { return b.cancel(calling, fmt.Sprintf("%s%05d", prefix, 2*i)) })
		calls.Go(func() error { return b.endPod(calling, fmt.Sprintf("%s%05d", prefix, 2*i+1)) })
		if i%10 == 9 {
			measure.Say("%d s; %d calls hang", i+1, webhook.held.Load())
		}
	}
	if err := calls.Wait(); err != nil {
		return nil, err
	}
	if err := b.await(ctx, "cancelled and ended", "have ended", ended, 2*seconds); err != nil {
		return nil, err
	}
	jobs, _ := b.observer.finish()
	seen := []*run{{timelines: jobs}}
	r := &measure.Report{}
	r.Note("%d SpiderJobs of one namespace were behind a webhook that hangs (%d calls, %d at the same time);\n"+
		"in another namespace a job was cancelled and one ended every second for %d s.",
		b.troubleJobs, webhook.calls.Load(), held, seconds)
	reportTrouble(r, seconds, latencyOf(seen, cancelled, podDeleted), latencyOf(seen, podEnded, ended))
	return r, nil
}

// reportTrouble reports how late cancels and ends were, and whether that meets the aim. Each of them has to be seen.
func reportTrouble(r *measure.Report, each int, cancel, end measure.Latency) {
	t := r.Table("ms", latencyColumns...)
	rowOf(t, "cancel → deletionTimestamp", cancel)
	rowOf(t, podEndToStatus, end)
	p99, most, of := max(cancel.P99, end.P99), max(cancel.Max, end.Max), min(cancel.Of, end.Of)
	r.Aims = append(r.Aims, measure.Aim{
		What:   fmt.Sprintf("p99 is at most %d ms, none is over %d ms, and all %d are seen", troubleP99, troubleMax, each),
		Figure: fmt.Sprintf("p99 %.0f ms, max %.0f ms, of %d", p99, most, of),
		Met:    p99 <= troubleP99 && most <= troubleMax && of >= each,
	})
}

// cancel cancels a SpiderJob.
func (b *bench) cancel(ctx context.Context, name string) error {
	now := time.Now()
	b.observer.note(name, func(t *timeline) { t.at[cancelled] = now })
	job := &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	return b.Client.Patch(ctx, job, system.MergePatch(
		`{"spec": {"cancellation": {"requestedAt": %q, "requestedBy": "load"}}}`, now.UTC().Format(time.RFC3339)))
}

// endPod has KWOK end the Pod of a SpiderJob, which it does when the Pod's label no longer says that it stays.
func (b *bench) endPod(ctx context.Context, name string) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	b.observer.note(name, func(t *timeline) { pod.Name = t.pod })
	return b.Client.Patch(ctx, pod, system.MergePatch(`{"metadata": {"labels": {%q: null}}}`, staysName))
}

// hungWebhook is an admission webhook that takes calls and never answers.
type hungWebhook struct {
	server *httptest.Server
	// calls counts all calls, held those that wait now.
	calls, held atomic.Int64
	// over ends the calls that wait.
	over chan struct{}
}

// webhookConfiguration makes the creation of every Job in the hung namespace hang for 30 s, and then fail.
//
//go:embed webhook.yaml
var webhookConfiguration []byte

// newHungWebhook starts the webhook, and returns its configuration as well.
func newHungWebhook() (*hungWebhook, client.Object, error) {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := yaml.UnmarshalStrict(webhookConfiguration, configuration); err != nil {
		return nil, nil, err
	}
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
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})
	configuration.Webhooks[0].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &h.server.URL, CABundle: authority}
	return h, configuration, nil
}

func (h *hungWebhook) close() {
	close(h.over)
	h.server.Close()
}
