package controller

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// hold measures what ended SpiderJobs cost that are only kept, each with the status of an example: by how much each of them grows
// the heap and the resident memory of a controller that is started with them.
func (b *bench) hold(ctx context.Context, r *measure.Report, example v1alpha1.SpiderJobStatus) error {
	n := b.held
	empty, err := b.restart(ctx, 0)
	if err != nil {
		return err
	}
	if err := b.stopOperator(); err != nil {
		return err
	}
	err = system.Each(ctx, "making ended SpiderJobs", n, func(ctx context.Context, i int) error {
		job := newSpiderJob(fmt.Sprintf("held-%05d", i))
		if err := b.Create(ctx, job); err != nil {
			return err
		}
		job.Status = example
		job.Status.PodName = job.Name + "-abcde"
		if err := b.Client.Status().Update(ctx, job); err != nil {
			return fmt.Errorf("end %s: %w", job.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	measure.Say("starting the operator with %d ended SpiderJobs", n)
	full, err := b.restart(ctx, n)
	if err != nil {
		return err
	}
	t := r.Table(fmt.Sprintf("%d ended SpiderJobs that are only kept", n), "operator")
	t.Row("heap, KiB per SpiderJob", (full.holds[system.Heap]-empty.holds[system.Heap])/float64(n)/kibibyte)
	t.Row("resident memory, KiB per SpiderJob", (full.holds[system.Resident]-empty.holds[system.Resident])/float64(n)/kibibyte)
	t.Row("start until it knows them all: s", full.took.Seconds())
	t.Row("  its CPU seconds", full.used.CPU[system.Controller])
	t.Row("  its requests", full.used.OperatorRequests())
	return b.operator.ProfileHeap(ctx, b.settings, "held")
}

// start is what a start of the operator took and used, and the memory it holds afterwards.
type start struct {
	took  time.Duration
	used  system.Reading
	holds measure.Counts
}

// restart starts the operator anew and waits until it has reconciled each of n SpiderJobs and run a new one.
func (b *bench) restart(ctx context.Context, n int) (s start, err error) {
	if err := b.stopOperator(); err != nil {
		return s, err
	}
	begun := time.Now()
	if err := b.startOperator(ctx); err != nil {
		return s, err
	}
	// A new one is reconciled after all others. It has ended when the operator is at work.
	probe := newSpiderJob(fmt.Sprintf("probe-%d", n))
	if err := b.Create(ctx, probe); err != nil {
		return s, err
	}
	err = b.Until(ctx, "the operator has reconciled all SpiderJobs", func(ctx context.Context) (bool, error) {
		if err := b.Client.Get(ctx, client.ObjectKeyFromObject(probe), probe); err != nil {
			return false, fmt.Errorf("get %s: %w", probe.Name, err)
		}
		if !probe.Status.Phase.Terminal() {
			return false, nil
		}
		s.used, err = b.Read(ctx, b.operator)
		return s.used.Counted[system.Reconciles] > float64(n), err
	})
	if err != nil {
		return s, err
	}
	s.took = time.Since(begun)
	s.holds, err = b.operator.Collected(ctx)
	return s, err
}
