package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// hungNamespace is where Jobs hang. All else is in the other namespace.
const hungNamespace = "hung"

// What is aimed at, in milliseconds.
const (
	troubleP99 = 1000
	troubleMax = 5000
)

// trouble is how late one namespace is served while Jobs of another hang.
type trouble struct {
	// Hung is how many SpiderJobs wait for a Job that hangs; Calls how often their Jobs were tried; Held the most such calls that
	// were under way at once.
	Hung  int   `json:"hungSpiderJobs"`
	Calls int64 `json:"webhookCalls"`
	Held  int64 `json:"webhookCallsHeldAtOnce"`
	// Seconds is how long a job was cancelled and one ended in every second.
	Seconds float64 `json:"seconds"`
	// Workers is how many SpiderJobs the operator reconciled at once.
	Workers int `json:"workers"`
	// CancelToDeletion is from before the call that cancels to when the Pod was seen to be deleted.
	CancelToDeletion latency `json:"cancelToPodDeletion"`
	EndToStatus      latency `json:"podEndToStatus"`
}

// trouble measures how late cancels and ends are while Jobs of another namespace hang.
func (b *bench) trouble(ctx context.Context) (*trouble, error) {
	if err := b.startOperator(ctx); err != nil {
		return nil, err
	}
	if err := b.Client.Create(ctx, newSpider()); err != nil {
		return nil, fmt.Errorf("create the Spider: %w", err)
	}
	seconds := int(b.options.troubleTime / time.Second)
	prefix, err := b.stay(ctx, 2*seconds)
	if err != nil {
		return nil, err
	}
	webhook, err := b.hangJobs(ctx)
	if err != nil {
		return nil, err
	}
	defer webhook.close()

	result := &trouble{Hung: b.options.troubleJobs, Seconds: float64(seconds), Workers: b.options.workers}
	say("cancelling a job and ending one every second for %d s", seconds)
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
			ended, err := b.observer.progress()
			if err != nil {
				return nil, errors.Join(err, calls.Wait())
			}
			say("after %d s %d of %d have ended, and %d calls hang", i+1, ended, 2*(i+1), webhook.held.Load())
		}
	}
	if err := calls.Wait(); err != nil {
		return nil, err
	}
	err = b.until(ctx, "all have ended", func(context.Context) (bool, error) {
		ended, err := b.observer.progress()
		return ended >= 2*seconds, err
	})
	if err != nil {
		return nil, err
	}
	jobs, _ := b.observer.finish()
	all := slices.Collect(maps.Values(jobs))
	result.Calls = webhook.calls.Load()
	result.CancelToDeletion = latencyOf(all, func(t *timeline) (from, to time.Time) { return t.cancelled, t.podDeleted })
	result.EndToStatus = latencyOf(all, func(t *timeline) (from, to time.Time) { return t.podEnded, t.ended })
	return result, nil
}

// hangJobs makes Jobs of the other namespace hang, and SpiderJobs that want some, and waits until calls hang.
func (b *bench) hangJobs(ctx context.Context) (*hungWebhook, error) {
	if err := b.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hungNamespace}}); err != nil {
		return nil, fmt.Errorf("create namespace %s: %w", hungNamespace, err)
	}
	webhook, err := b.hang(ctx, hungNamespace)
	if err != nil {
		return nil, err
	}
	spider := newSpider()
	spider.Namespace = hungNamespace
	if err := b.Client.Create(ctx, spider); err != nil {
		webhook.close()
		return nil, fmt.Errorf("create the Spider of those that hang: %w", err)
	}
	say("starting %d SpiderJobs whose Jobs hang", b.options.troubleJobs)
	calls, calling := errgroup.WithContext(ctx)
	calls.SetLimit(creators)
	for i := range b.options.troubleJobs {
		calls.Go(func() error {
			job := newSpiderJob(fmt.Sprintf("hung-%05d", i))
			job.Namespace = hungNamespace
			if err := b.Client.Create(calling, job); err != nil {
				return fmt.Errorf("create %s: %w", job.Name, err)
			}
			return nil
		})
	}
	err = calls.Wait()
	if err == nil {
		probes := webhook.calls.Load()
		err = b.until(ctx, "Jobs hang", func(context.Context) (bool, error) {
			return webhook.calls.Load() > probes || webhook.held.Load() > 1, nil
		})
	}
	if err != nil {
		webhook.close()
		return nil, err
	}
	return webhook, nil
}

// cancel cancels a SpiderJob.
func (b *bench) cancel(ctx context.Context, name string) error {
	now := time.Now()
	b.observer.cancelled(name, now)
	cancellation := v1alpha1.Cancellation{RequestedAt: &metav1.Time{Time: now}, RequestedBy: "bench"}
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
	var pod corev1.Pod
	key := client.ObjectKey{Namespace: namespace, Name: b.observer.pod(name)}
	if err := b.Client.Get(ctx, key, &pod); err != nil {
		return fmt.Errorf("get the Pod of %s: %w", name, err)
	}
	now := metav1.Now()
	pod.Status.Phase = corev1.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		status.Ready = false
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: *pod.Status.StartTime, FinishedAt: now,
			Message: `{"items_scraped":100,"requests":10,"responses":10,"errors":0,"finish_reason":"finished"}`,
		}}
	}
	if err := b.Client.Status().Update(ctx, &pod); err != nil {
		return fmt.Errorf("end the Pod of %s: %w", name, err)
	}
	return nil
}

// print writes the results for people. The last line says whether the aim is met, in a form that programs find.
func (t *trouble) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d SpiderJobs of one namespace behind a webhook that hangs (%d calls, %d at once), %d workers;\n"+
		"of another namespace a cancel and an end every second for %.0f s:\n\n", t.Hung, t.Calls, t.Held, t.Workers, t.Seconds)
	fmt.Fprintf(w, "%-32s %8s %8s %8s %8s\n", "ms", "p50", "p99", "most", "of")
	met := true
	for _, row := range []struct {
		name string
		of   latency
	}{{"cancel → deletionTimestamp", t.CancelToDeletion}, {"Pod end → status", t.EndToStatus}} {
		fmt.Fprintf(w, "%-32s %8.0f %8.0f %8.0f %8d\n", row.name, row.of.P50, row.of.P99, row.of.Max, row.of.Of)
		met = met && row.of.P99 <= troubleP99 && row.of.Max <= troubleMax && float64(row.of.Of) >= t.Seconds
	}
	verdict := "missed"
	if met {
		verdict = "met"
	}
	fmt.Fprintf(w, "\naim (p99 at most %d ms, none over %d ms): %s\n", troubleP99, troubleMax, verdict)
}
