package controller

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// quotaPods is how many Pods the namespace's quota has room for.
const quotaPods = 5

// measureBacklogs measures backlogs, one after the other.
func (b *bench) measureBacklogs(ctx context.Context) (*measure.Report, error) {
	of, err := b.staying(ctx)
	if err != nil {
		return nil, err
	}
	r := &measure.Report{}
	t := r.Table(fmt.Sprintf("waiting; the quota has room for %d Pods", quotaPods))
	for _, waiting := range b.backlogs {
		figures, err := b.backlog(ctx, of, waiting)
		if err != nil {
			return nil, err
		}
		t.Column(strconv.Itoa(waiting), figures...)
	}
	return r, nil
}

// backlog fills a quota, has so many SpiderJobs wait for it, and then lets them wait.
func (b *bench) backlog(ctx context.Context, of subject, waiting int) ([]measure.Figure, error) {
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	quota, err := b.limitPods(ctx)
	if err != nil {
		return nil, err
	}
	prefix := b.begin(of)
	defer b.observer.finish()
	before, err := b.Read(ctx, b.operator)
	if err != nil {
		return nil, err
	}
	measure.Say("starting %d SpiderJobs in a namespace that has room for %d Pods", waiting+quotaPods, quotaPods)
	if err := b.create(ctx, of, prefix, waiting+quotaPods, rate.Inf); err != nil {
		return nil, err
	}
	err = b.Until(ctx, "all but those with room wait for quota", func(context.Context) (bool, error) {
		started, _ := b.observer.count(running)
		full, err := b.observer.count(refused)
		return started >= quotaPods && full >= waiting, err
	})
	if err != nil {
		return nil, err
	}
	// The aim, while jobs wait, is a request a second.
	known, err := b.awaitCalm(ctx, "the operator is calm", func(used system.Reading) bool {
		return used.OperatorRequests() <= quiet.Seconds()
	})
	if err != nil {
		return nil, err
	}
	measure.Say("letting them wait for %s", b.backlogTime)
	if err := measure.Pause(ctx, b.backlogTime); err != nil {
		return nil, err
	}
	after, err := b.Read(ctx, b.operator)
	if err != nil {
		return nil, err
	}
	if err := b.Client.Delete(ctx, quota); err != nil {
		return nil, fmt.Errorf("delete the quota: %w", err)
	}
	return backlogFigures(known.Since(before), after.Since(known), known.At.Sub(before.At), after.At.Sub(known.At)), nil
}

// backlogFigures are what was used from the first creation until all jobs said that they wait for quota and the operator was
// calm, and in the wait afterwards.
func backlogFigures(burst, wait system.Reading, tookBurst, tookWait time.Duration) []measure.Figure {
	figure := func(name string, value float64) measure.Figure {
		return measure.Figure{Name: name, Values: []float64{value}}
	}
	return []measure.Figure{
		figure("until all say so and the operator is calm: s", tookBurst.Seconds()),
		figure("  Pods refused", burst.Counted[system.RefusedPods]),
		figure("  Jobs made", burst.Writes["POST jobs"]),
		figure("  Jobs deleted", burst.Writes["DELETE jobs"]),
		figure("  requests of the operator", burst.OperatorRequests()),
		figure("then, waiting: s", tookWait.Seconds()),
		figure("  Pods refused", wait.Counted[system.RefusedPods]),
		figure("  Pods refused per second", wait.Counted[system.RefusedPods]/tookWait.Seconds()),
		figure("  requests of the operator", wait.OperatorRequests()),
		figure("  requests of the operator per second", wait.OperatorRequests()/tookWait.Seconds()),
		figure("  its reconciles per second", wait.Counted[system.Reconciles]/tookWait.Seconds()),
	}
}

// limitPods gives the namespace a quota of a few Pods, and waits until it is in force.
func (b *bench) limitPods(ctx context.Context) (*corev1.ResourceQuota, error) {
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourcePods: *resource.NewQuantity(quotaPods, resource.DecimalSI),
		}},
	}
	if err := b.Create(ctx, quota); err != nil {
		return nil, err
	}
	err := b.Until(ctx, "the quota is in force", func(ctx context.Context) (bool, error) {
		if err := b.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			return false, fmt.Errorf("get the quota: %w", err)
		}
		return len(quota.Status.Hard) > 0, nil
	})
	return quota, err
}
