package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
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
	// Burst is what was used from the first creation until all said that they wait for quota, and the operator was calm; Wait what
	// was used afterwards.
	Burst waitCost `json:"burst"`
	Wait  waitCost `json:"wait"`
}

// waitCost is what was used in a time in which nobody got a Pod.
type waitCost struct {
	Seconds float64 `json:"seconds"`
	// RefusedPods is how often kube-apiserver refused the Job controller a Pod.
	RefusedPods float64 `json:"refusedPods"`
	// JobsMade and JobsDeleted are the operator's; Requests are all of its requests, these among them.
	JobsMade    float64 `json:"jobsMade"`
	JobsDeleted float64 `json:"jobsDeleted"`
	Requests    float64 `json:"operatorRequests"`
	Reconciles  float64 `json:"operatorReconciles"`
}

// waitCostOf is what was used between two readings so far apart.
func waitCostOf(used reading, took time.Duration) waitCost {
	return waitCost{
		Seconds:     took.Seconds(),
		RefusedPods: used.refusedPods,
		JobsMade:    used.writes["POST jobs"],
		JobsDeleted: used.writes["DELETE jobs"],
		Requests:    used.operatorReads + used.operatorWrites,
		Reconciles:  used.reconciles,
	}
}

// parseSizes reads sizes of backlogs, separated by commas. Of nothing there are none.
func parseSizes(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	var sizes []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no size of a backlog: numbers, separated by commas, are wanted", part)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// backlogs measures backlogs, one after the other.
func (b *bench) backlogs(ctx context.Context) (*backlogs, error) {
	if err := b.startOperator(ctx); err != nil {
		return nil, err
	}
	of, err := b.staying(ctx)
	if err != nil {
		return nil, err
	}
	result := &backlogs{Pods: quotaPods}
	for _, waiting := range b.options.backlogs {
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
	b.runs++
	prefix := fmt.Sprintf("%s-%d-", of.name, b.runs)
	b.observer.begin(prefix, false)
	defer b.observer.finish()
	before, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	say("starting %d SpiderJobs in a namespace that has room for %d Pods", waiting+quotaPods, quotaPods)
	if err := b.create(ctx, of, prefix, waiting+quotaPods, rate.Inf); err != nil {
		return nil, err
	}
	err = b.until(ctx, "all but those with room wait for quota", func(context.Context) (bool, error) {
		_, err := b.observer.progress()
		return b.observer.running() >= quotaPods && b.observer.refused() >= waiting, err
	})
	if err != nil {
		return nil, err
	}
	known, err := b.calm(ctx)
	if err != nil {
		return nil, err
	}
	say("letting them wait for %s", b.options.backlogTime)
	select {
	case <-time.After(b.options.backlogTime):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.Client.Delete(ctx, quota); err != nil {
		return nil, fmt.Errorf("delete the quota: %w", err)
	}
	return &backlog{
		Waiting: waiting,
		Burst:   waitCostOf(known.since(before), known.at.Sub(before.at)),
		Wait:    waitCostOf(after.since(known), after.at.Sub(known.at)),
	}, nil
}

// calm waits until the operator asks for little any more, which is what is aimed at while jobs wait: a request a second.
func (b *bench) calm(ctx context.Context) (last reading, err error) {
	if last, err = b.read(ctx); err != nil {
		return last, err
	}
	err = b.until(ctx, "the operator is calm", func(ctx context.Context) (bool, error) {
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return false, ctx.Err()
		}
		now, err := b.read(ctx)
		used := now.since(last)
		last = now
		return used.operatorReads+used.operatorWrites <= quiet.Seconds(), err
	})
	return last, err
}

// limitPods has the namespace hold a few Pods only, and waits until that is in force.
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
	err := b.until(ctx, "the quota is in force", func(ctx context.Context) (bool, error) {
		if err := b.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			return false, fmt.Errorf("get the quota: %w", err)
		}
		return len(quota.Status.Hard) > 0, nil
	})
	return quota, err
}

// print writes the results for people.
func (r *backlogs) print(w io.Writer) {
	fmt.Fprintf(w, "\nSpiderJobs that wait in a namespace whose quota has room for %d Pods:\n\n", r.Pods)
	fmt.Fprintf(w, "%-46s", "waiting")
	for _, one := range r.Sizes {
		fmt.Fprintf(w, " %9d", one.Waiting)
	}
	fmt.Fprintln(w)
	row := func(name, format string, of func(*backlog) float64) {
		fmt.Fprintf(w, "%-46s", name)
		for _, one := range r.Sizes {
			fmt.Fprintf(w, " "+format, of(one))
		}
		fmt.Fprintln(w)
	}
	row("until all say so and the operator is calm: s", "%9.1f", func(b *backlog) float64 { return b.Burst.Seconds })
	row("  Pods refused", "%9.0f", func(b *backlog) float64 { return b.Burst.RefusedPods })
	row("  Jobs made", "%9.0f", func(b *backlog) float64 { return b.Burst.JobsMade })
	row("  Jobs deleted", "%9.0f", func(b *backlog) float64 { return b.Burst.JobsDeleted })
	row("  requests of the operator", "%9.0f", func(b *backlog) float64 { return b.Burst.Requests })
	row("then, waiting: s", "%9.1f", func(b *backlog) float64 { return b.Wait.Seconds })
	row("  Pods refused", "%9.0f", func(b *backlog) float64 { return b.Wait.RefusedPods })
	row("  Pods refused per second", "%9.2f", func(b *backlog) float64 { return b.Wait.RefusedPods / b.Wait.Seconds })
	row("  requests of the operator", "%9.0f", func(b *backlog) float64 { return b.Wait.Requests })
	row("  requests of the operator per second", "%9.2f", func(b *backlog) float64 { return b.Wait.Requests / b.Wait.Seconds })
	row("  its reconciles per second", "%9.2f", func(b *backlog) float64 { return b.Wait.Reconciles / b.Wait.Seconds })
}
