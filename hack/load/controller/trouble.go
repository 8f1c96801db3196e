package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// trouble is how late one namespace is served while Jobs of another hang.
type trouble struct {
	// Hung is how many SpiderJobs wait for a Job that hangs; Calls how often their Jobs were tried; Held the most such calls at
	// the same time.
	Hung  int   `json:"hungSpiderJobs"`
	Calls int64 `json:"webhookCalls"`
	Held  int64 `json:"webhookCallsHeldAtOnce"`
	// Seconds is how long a job was cancelled and one ended in every second.
	Seconds float64 `json:"seconds"`
	// Workers is how many SpiderJobs the operator reconciled at the same time.
	Workers int `json:"workers"`
	// CancelToDeletion is from before the call that cancels to when the Pod was seen to be deleted.
	CancelToDeletion measure.Latency `json:"cancelToPodDeletion"`
	EndToStatus      measure.Latency `json:"podEndToStatus"`
}

// measureTrouble measures how late cancels and ends are while Jobs of another namespace hang.
func (b *bench) measureTrouble(ctx context.Context) (*trouble, error) {
	if err := b.Client.Create(ctx, newSpider()); err != nil {
		return nil, fmt.Errorf("create the Spider: %w", err)
	}
	seconds := int(b.troubleTime / time.Second)
	prefix, err := b.stay(ctx, 2*seconds)
	if err != nil {
		return nil, err
	}
	webhook := newHungWebhook()
	defer webhook.close()
	if err := b.hangJobs(ctx, webhook); err != nil {
		return nil, err
	}
	result := &trouble{Hung: b.troubleJobs, Seconds: float64(seconds), Workers: b.workers}
	measure.Say("cancelling a job and ending one every second for %d s", seconds)
	calls, calling := errgroup.WithContext(ctx)
	pace := rate.NewLimiter(1, 1)
	for i := range seconds {
		if err := pace.Wait(calling); err != nil {
			break // a call has failed
		}
		result.Held = max(result.Held, webhook.held.Load())
		calls.Go(func() error { return b.cancel(calling, fmt.Sprintf("%s%05d", prefix, 2*i)) })
		calls.Go(func() error { return b.endPod(calling, fmt.Sprintf("%s%05d", prefix, 2*i+1)) })
		if i%10 == 9 {
			ended, err := b.observer.ended()
			if err != nil {
				return nil, errors.Join(err, calls.Wait())
			}
			measure.Say("after %d s %d of %d have ended, and %d calls hang", i+1, ended, 2*(i+1), webhook.held.Load())
		}
	}
	if err := calls.Wait(); err != nil {
		return nil, err
	}
	err = b.Until(ctx, "all have ended", func(context.Context) (bool, error) {
		ended, err := b.observer.ended()
		return ended >= 2*seconds, err
	})
	if err != nil {
		return nil, err
	}
	jobs, _ := b.observer.finish()
	result.Calls = webhook.calls.Load()
	result.CancelToDeletion = latencyOf(jobs, func(t *timeline) (from, to time.Time) { return t.cancelled, t.podDeleted })
	result.EndToStatus = latencyOf(jobs, func(t *timeline) (from, to time.Time) { return t.podEnded, t.ended })
	return result, nil
}

// hangJobs makes SpiderJobs in the other namespace, whose Jobs hang, and waits until calls hang.
func (b *bench) hangJobs(ctx context.Context, webhook *hungWebhook) error {
	if err := b.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hungNamespace}}); err != nil {
		return fmt.Errorf("create namespace %s: %w", hungNamespace, err)
	}
	if err := b.install(ctx, webhook, hungNamespace); err != nil {
		return err
	}
	spider := newSpider()
	spider.Namespace = hungNamespace
	if err := b.Client.Create(ctx, spider); err != nil {
		return fmt.Errorf("create the Spider of jobs that hang: %w", err)
	}
	measure.Say("starting %d SpiderJobs whose Jobs hang", b.troubleJobs)
	err := system.Each(ctx, "starting SpiderJobs whose Jobs hang", b.troubleJobs, func(ctx context.Context, i int) error {
		job := newSpiderJob(fmt.Sprintf("hung-%05d", i))
		job.Namespace = hungNamespace
		if err := b.Client.Create(ctx, job); err != nil {
			return fmt.Errorf("create %s: %w", job.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	probes := webhook.calls.Load()
	return b.Until(ctx, "Jobs hang", func(context.Context) (bool, error) {
		return webhook.calls.Load() > probes || webhook.held.Load() > 1, nil
	})
}

// cancel cancels a SpiderJob.
func (b *bench) cancel(ctx context.Context, name string) error {
	now := time.Now()
	b.observer.note(name, func(t *timeline) { t.cancelled = now })
	cancellation := v1alpha1.Cancellation{RequestedAt: &metav1.Time{Time: now}, RequestedBy: "load"}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"cancellation": cancellation}})
	if err != nil {
		return fmt.Errorf("encode a cancellation: %w", err)
	}
	job := &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := b.Client.Patch(ctx, job, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return fmt.Errorf("cancel %s: %w", name, err)
	}
	return nil
}

// endPod ends the Pod of a SpiderJob as its kubelet would, with the counts of a spider that has done its work.
func (b *bench) endPod(ctx context.Context, name string) error {
	key := client.ObjectKey{Namespace: namespace}
	b.observer.note(name, func(t *timeline) { key.Name = t.pod })
	var pod corev1.Pod
	if err := b.Client.Get(ctx, key, &pod); err != nil {
		return fmt.Errorf("get the Pod of %s: %w", name, err)
	}
	pod.Status.Phase = corev1.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		status.Ready = false
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: *pod.Status.StartTime, FinishedAt: metav1.Now(),
			Message: `{"items_scraped":100,"requests":10,"responses":10,"errors":0,"finish_reason":"finished"}`,
		}}
	}
	if err := b.Client.Status().Update(ctx, &pod); err != nil {
		return fmt.Errorf("end the Pod of %s: %w", name, err)
	}
	return nil
}

// Print writes the report. The last line says whether the aim is met.
func (t *trouble) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%d SpiderJobs of one namespace behind a webhook that hangs (%d calls, %d at the same time), %d workers;\n"+
		"in another namespace a cancel and an end every second for %.0f s:\n", t.Hung, t.Calls, t.Held, t.Workers, t.Seconds)
	table := measure.Table{Writer: w}
	table.Head("ms", "p50", "p99", "max", "of")
	met, p99, most := true, 0.0, 0.0
	for _, row := range []struct {
		name string
		of   measure.Latency
	}{{"cancel → deletionTimestamp", t.CancelToDeletion}, {"Pod end → status", t.EndToStatus}} {
		table.Numbers(row.name, "%.0f", row.of.P50, row.of.P99, row.of.Max, float64(row.of.Of))
		p99, most = max(p99, row.of.P99), max(most, row.of.Max)
		met = met && float64(row.of.Of) >= t.Seconds
	}
	measure.PrintAims(w, measure.Aim{
		What:   fmt.Sprintf("every job is seen, p99 is at most %d ms and none is over %d ms", troubleP99, troubleMax),
		Figure: fmt.Sprintf("p99 %.0f ms, max %.0f ms", p99, most), Met: met && p99 <= troubleP99 && most <= troubleMax,
	})
}
