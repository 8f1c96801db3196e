package controller

import (
	"context"
	"fmt"
	"io"
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

// backlogs are what SpiderJobs cost that wait for room in a quota, for backlogs of several sizes.
type backlogs struct {
	Sizes []*backlog `json:"backlogs"`
	// Pods is how many the quota has room for.
	Pods int `json:"quotaPods"`
}

// backlog is one of them.
type backlog struct {
	// Waiting is how many SpiderJobs wait.
	Waiting int `json:"waiting"`
	// Burst is what was used from the first creation until all said that they wait for quota and the operator was calm; Wait what
	// was used afterwards.
	Burst waitCost `json:"burst"`
	Wait  waitCost `json:"wait"`
}

// waitCost is what was used in a time in which no job got a Pod.
type waitCost struct {
	Seconds float64 `json:"seconds"`
	// RefusedPods is how often kube-apiserver refused the Job controller a Pod.
	RefusedPods float64 `json:"refusedPods"`
	// JobsMade and JobsDeleted are the operator's; Requests are all of its requests, these included.
	JobsMade    float64 `json:"jobsMade"`
	JobsDeleted float64 `json:"jobsDeleted"`
	Requests    float64 `json:"operatorRequests"`
	Reconciles  float64 `json:"operatorReconciles"`
}

func waitCostOf(used system.Reading, took time.Duration) waitCost {
	return waitCost{
		Seconds:     took.Seconds(),
		RefusedPods: used.RefusedPods,
		JobsMade:    used.Writes["POST jobs"],
		JobsDeleted: used.Writes["DELETE jobs"],
		Requests:    used.OperatorRequests(),
		Reconciles:  used.Reconciles,
	}
}

// measureBacklogs measures backlogs, one after the other.
func (b *bench) measureBacklogs(ctx context.Context) (*backlogs, error) {
	of, err := b.staying(ctx)
	if err != nil {
		return nil, err
	}
	result := &backlogs{Pods: quotaPods}
	for _, waiting := range b.backlogs {
		one, err := b.backlog(ctx, of, waiting)
		if err != nil {
			return nil, err
		}
		result.Sizes = append(result.Sizes, one)
	}
	return result, nil
}

// backlog fills a quota, has so many SpiderJobs wait for it, and then lets them wait.
func (b *bench) backlog(ctx context.Context, of subject, waiting int) (*backlog, error) {
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
		running, _ := b.observer.count(isRunning)
		refused, err := b.observer.count(isRefused)
		return running >= quotaPods && refused >= waiting, err
	})
	if err != nil {
		return nil, err
	}
	known, err := b.calm(ctx)
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
	return &backlog{
		Waiting: waiting,
		Burst:   waitCostOf(known.Since(before), known.At.Sub(before.At)),
		Wait:    waitCostOf(after.Since(known), after.At.Sub(known.At)),
	}, nil
}

// calm waits until the operator makes at most a request a second, which is the aim while jobs wait.
func (b *bench) calm(ctx context.Context) (system.Reading, error) {
	last, err := b.Read(ctx, b.operator)
	if err != nil {
		return last, err
	}
	err = b.Until(ctx, "the operator is calm", func(ctx context.Context) (bool, error) {
		if err := measure.Pause(ctx, quiet); err != nil {
			return false, err
		}
		now, err := b.Read(ctx, b.operator)
		used := now.Since(last)
		last = now
		return used.OperatorRequests() <= quiet.Seconds(), err
	})
	return last, err
}

// limitPods gives the namespace a quota of a few Pods, and waits until it is in force.
func (b *bench) limitPods(ctx context.Context) (*corev1.ResourceQuota, error) {
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourcePods: *resource.NewQuantity(quotaPods, resource.DecimalSI),
		}},
	}
	if err := b.Client.Create(ctx, quota); err != nil {
		return nil, fmt.Errorf("create the quota: %w", err)
	}
	err := b.Until(ctx, "the quota is in force", func(ctx context.Context) (bool, error) {
		if err := b.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			return false, fmt.Errorf("get the quota: %w", err)
		}
		return len(quota.Status.Hard) > 0, nil
	})
	return quota, err
}

// Print writes the report.
func (r *backlogs) Print(w io.Writer) {
	fmt.Fprintf(w, "\nSpiderJobs that wait in a namespace whose quota has room for %d Pods:\n", r.Pods)
	t := measure.Table{Writer: w}
	sizes := make([]string, 0, len(r.Sizes))
	for _, one := range r.Sizes {
		sizes = append(sizes, strconv.Itoa(one.Waiting))
	}
	t.Head("waiting", sizes...)
	for _, row := range []struct {
		name, format string
		of           func(*backlog) float64
	}{
		{"until all say so and the operator is calm: s", "%.1f", func(b *backlog) float64 { return b.Burst.Seconds }},
		{"  Pods refused", "%.0f", func(b *backlog) float64 { return b.Burst.RefusedPods }},
		{"  Jobs made", "%.0f", func(b *backlog) float64 { return b.Burst.JobsMade }},
		{"  Jobs deleted", "%.0f", func(b *backlog) float64 { return b.Burst.JobsDeleted }},
		{"  requests of the operator", "%.0f", func(b *backlog) float64 { return b.Burst.Requests }},
		{"then, waiting: s", "%.1f", func(b *backlog) float64 { return b.Wait.Seconds }},
		{"  Pods refused", "%.0f", func(b *backlog) float64 { return b.Wait.RefusedPods }},
		{"  Pods refused per second", "%.2f", func(b *backlog) float64 { return b.Wait.RefusedPods / b.Wait.Seconds }},
		{"  requests of the operator", "%.0f", func(b *backlog) float64 { return b.Wait.Requests }},
		{"  requests of the operator per second", "%.2f", func(b *backlog) float64 { return b.Wait.Requests / b.Wait.Seconds }},
		{"  its reconciles per second", "%.2f", func(b *backlog) float64 { return b.Wait.Reconciles / b.Wait.Seconds }},
	} {
		numbers := make([]float64, 0, len(r.Sizes))
		for _, one := range r.Sizes {
			numbers = append(numbers, row.of(one))
		}
		t.Numbers(row.name, row.format, numbers...)
	}
}
