package controller

import (
	"context"
	"fmt"

	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// hold measures what ended SpiderJobs cost that are only kept, each with the status of an example: by how much each of them grows
// the heap and the resident memory of a controller that is started with them.
func (b *bench) hold(ctx context.Context, r *measure.Report, example v1alpha1.SpiderJobStatus) error {
	empty, err := b.restart(ctx, 0)
	if err != nil {
		return err
	}
	if err := b.StopServer(b.operator); err != nil {
		return err
	}
	err = system.Each(ctx, "making ended SpiderJobs", b.held, func(ctx context.Context, i int) error {
		job := newSpiderJob(namespace, fmt.Sprintf("held-%05d", i), spiderName)
		job.Status = example
		job.Status.PodName = job.Name + "-abcde"
		return b.Put(ctx, job)
	})
	if err != nil {
		return err
	}
	full, err := b.restart(ctx, b.held)
	if err != nil {
		return err
	}
	t := r.Table(fmt.Sprintf("%d ended SpiderJobs that are only kept", b.held), "operator")
	t.Row("heap, KiB per SpiderJob", (full[system.Heap]-empty[system.Heap])/float64(b.held)/kibibyte)
	t.Row("resident memory, KiB per SpiderJob", (full[system.Resident]-empty[system.Resident])/float64(b.held)/kibibyte)
	return nil
}

// restart starts the operator anew, waits until it has reconciled each of n SpiderJobs and run a new one, and returns the memory
// that it holds then.
func (b *bench) restart(ctx context.Context, n int) (measure.Counts, error) {
	measure.Say("starting the operator with %d ended SpiderJobs", n)
	if err := b.startOperator(ctx); err != nil {
		return nil, err
	}
	// A new one is reconciled after all others. It has ended when the operator is at work.
	probe := newSpiderJob(namespace, fmt.Sprintf("probe-%d", n), spiderName)
	if err := b.Create(ctx, probe); err != nil {
		return nil, err
	}
	err := b.Until(ctx, "the operator has reconciled all SpiderJobs", func(ctx context.Context) (bool, error) {
		if err := b.Client.Get(ctx, client.ObjectKeyFromObject(probe), probe); err != nil || !probe.Status.Phase.Terminal() {
			return false, err
		}
		used, err := b.Read(ctx, b.operator)
		return used.Counted[system.Reconciles] > float64(n), err
	})
	if err != nil {
		return nil, err
	}
	return b.operator.Collected(ctx)
}

// stay starts n SpiderJobs that run until they are deleted, waits until as many as there is room for run, and leaves them to the
// observer. Their names begin with the prefix it returns.
func (b *bench) stay(ctx context.Context, n, room int) (prefix string, err error) {
	of := spiderJobs(staysName, staysName)
	prefix = b.begin(of)
	if err := b.create(ctx, of, prefix, n, rate.Inf); err != nil {
		return "", err
	}
	return prefix, b.await(ctx, of.name, "run", running, room)
}

// rest starts the SpiderJobs that run while nothing happens, and then leaves everything alone.
func (b *bench) rest(ctx context.Context, r *measure.Report) error {
	if _, err := b.stay(ctx, b.running, b.running); err != nil {
		return err
	}
	b.observer.finish()
	before, err := b.settle(ctx)
	if err != nil {
		return err
	}
	measure.Say("leaving everything alone for %s", b.idle)
	after, err := b.leave(ctx, b.idle)
	b.reportIdle(r, after.Since(before))
	return err
}

// reportIdle reports what was used while nothing happened. Leases are renewed whether there are jobs or not.
func (o *Options) reportIdle(r *measure.Report, used system.Reading) {
	delete(used.Writes, system.Leases)
	t := r.Table(fmt.Sprintf("%d ended and %d running SpiderJobs, nothing happening", o.held, o.running), "all")
	t.Row("s", used.Took.Seconds())
	t.Row("writes without leases", used.Writes.Sum())
	for _, name := range measure.ByValue(used.Writes) {
		t.Row("  "+name, used.Writes[name])
	}
	t.Row("requests of the operator", used.OperatorRequests())
	t.Row("its reconciles", used.Counted[system.Reconciles])
	for _, name := range measure.ByValue(used.CPU) {
		t.Row("CPU seconds per minute, "+name, used.CPU[name]/used.Took.Minutes())
	}
}
