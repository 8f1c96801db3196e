package controller

import (
	"context"
	"fmt"
	"time"

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
	r := &measure.Report{}
	t := r.Table(fmt.Sprintf("waiting, with room for %d Pods", quotaPods),
		"s", "refused", "Jobs made", "deleted", "requests", "refused/s", "requests/s")
	for _, waiting := range b.backlogs {
		burst, wait, err := b.backlog(ctx, waiting)
		if err != nil {
			return nil, err
		}
		reportBacklog(t, waiting, burst, wait)
	}
	r.Note(`The first five figures last until all say that they wait for quota and the operator is calm, the other two are of the
wait afterwards, for %s. Refused are Pods, by kube-apiserver; requests are those of the operator.`, b.backlogTime)
	return r, nil
}

// reportBacklog reports what was used from the first creation until all jobs said that they wait for quota and the operator was
// calm, and in the wait afterwards.
func reportBacklog(t *measure.Table, waiting int, burst, wait system.Reading) {
	t.Row(fmt.Sprintf("%d SpiderJobs", waiting), burst.Took.Seconds(), burst.Counted[system.RefusedPods],
		burst.Writes["POST jobs"], burst.Writes["DELETE jobs"], burst.OperatorRequests(),
		wait.Counted[system.RefusedPods]/wait.Took.Seconds(), wait.OperatorRequests()/wait.Took.Seconds())
}

// backlog fills a quota, has so many SpiderJobs wait for it, and then lets them wait.
func (b *bench) backlog(ctx context.Context, waiting int) (burst, wait system.Reading, err error) {
	quota, err := b.limitPods(ctx)
	if err != nil {
		return burst, wait, err
	}
	before, err := b.Read(ctx, b.operator)
	if err != nil {
		return burst, wait, err
	}
	defer b.observer.finish()
	if _, err := b.stay(ctx, waiting+quotaPods, quotaPods); err != nil {
		return burst, wait, err
	}
	if err := b.await(ctx, staysName, "wait for quota", refused, waiting); err != nil {
		return burst, wait, err
	}
	// The aim, while jobs wait, is a request a second.
	known, err := b.awaitCalm(ctx, "the operator is calm", func(used system.Reading) bool {
		return used.OperatorRequests() <= quiet.Seconds()
	})
	if err != nil {
		return burst, wait, err
	}
	measure.Say("letting them wait for %s", b.backlogTime)
	after, err := b.leave(ctx, b.backlogTime)
	if err != nil {
		return burst, wait, err
	}
	return known.Since(before), after.Since(known), b.Client.Delete(ctx, quota)
}

// leave leaves everything alone for a time, and returns the reading at its end.
func (b *bench) leave(ctx context.Context, alone time.Duration) (system.Reading, error) {
	if err := measure.Pause(ctx, alone); err != nil {
		return system.Reading{}, err
	}
	return b.Read(ctx, b.operator)
}

// limitPods gives the namespace, cleared of all jobs, a quota of a few Pods, and waits until it is in force.
func (b *bench) limitPods(ctx context.Context) (*corev1.ResourceQuota, error) {
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	room := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(quotaPods, resource.DecimalSI)}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"}, Spec: corev1.ResourceQuotaSpec{Hard: room},
	}
	if err := b.Create(ctx, quota); err != nil {
		return nil, err
	}
	return quota, b.Until(ctx, "the quota is in force", func(ctx context.Context) (bool, error) {
		err := b.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota)
		return len(quota.Status.Hard) > 0, err
	})
}
