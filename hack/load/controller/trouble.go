package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// measureTrouble measures how late cancels and ends are while Jobs of another namespace hang.
func (b *bench) measureTrouble(ctx context.Context) (*measure.Report, error) {
	if err := b.Create(ctx, newSpider()); err != nil {
		return nil, err
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
			over, err := b.observer.count(ended)
			if err != nil {
				return nil, errors.Join(err, calls.Wait())
			}
			measure.Say("after %d s %d of %d have ended, and %d calls hang", i+1, over, 2*(i+1), webhook.held.Load())
		}
	}
	if err := calls.Wait(); err != nil {
		return nil, err
	}
	err = b.Until(ctx, "all have ended", func(context.Context) (bool, error) {
		over, err := b.observer.count(ended)
		return over >= 2*seconds, err
	})
	if err != nil {
		return nil, err
	}
	jobs, _ := b.observer.finish()
	r := &measure.Report{}
	r.Note("%d SpiderJobs of one namespace were behind a webhook that hangs (%d calls, %d at the same time), %d workers;\n"+
		"in another namespace a job was cancelled and one ended every second for %d s.",
		b.troubleJobs, webhook.calls.Load(), held, b.workers, seconds)
	reportTrouble(r, seconds, latencyOf(jobs, cancelled, podDeleted), latencyOf(jobs, podEnded, ended))
	return r, nil
}

// reportTrouble reports how late cancels and ends were, and whether that meets the aim. Each of them has to be seen.
func reportTrouble(r *measure.Report, each int, cancel, end measure.Latency) {
	t := r.Table("ms", "p50", "p99", "max", "of")
	t.Row("cancel → deletionTimestamp", cancel.P50, cancel.P99, cancel.Max, float64(cancel.Of))
	t.Row(podEndToStatus, end.P50, end.P99, end.Max, float64(end.Of))
	p99, most, of := max(cancel.P99, end.P99), max(cancel.Max, end.Max), min(cancel.Of, end.Of)
	r.Aims = append(r.Aims, measure.Aim{
		What:   fmt.Sprintf("p99 is at most %d ms, none is over %d ms, and all %d are seen", troubleP99, troubleMax, each),
		Figure: fmt.Sprintf("p99 %.0f ms, max %.0f ms, of %d", p99, most, of),
		Met:    p99 <= troubleP99 && most <= troubleMax && of >= each,
	})
}

// hangJobs makes SpiderJobs in the other namespace, whose Jobs hang, and waits until calls hang.
func (b *bench) hangJobs(ctx context.Context, webhook *hungWebhook) error {
	spider := newSpider()
	spider.Namespace = hungNamespace
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hungNamespace}}
	if err := b.Create(ctx, namespace, spider); err != nil {
		return err
	}
	if err := b.install(ctx, webhook, hungNamespace); err != nil {
		return err
	}
	err := system.Each(ctx, "starting SpiderJobs whose Jobs hang", b.troubleJobs, func(ctx context.Context, i int) error {
		job := newSpiderJob(fmt.Sprintf("hung-%05d", i))
		job.Namespace = hungNamespace
		return b.Create(ctx, job)
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
	b.observer.note(name, func(t *timeline) { t.at[cancelled] = now })
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
