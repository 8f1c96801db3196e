package controller

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// stay starts n SpiderJobs that run until they are deleted, waits until they run, and leaves them to the observer. Their names
// begin with the prefix it returns.
func (b *bench) stay(ctx context.Context, n int) (prefix string, err error) {
	of, err := b.staying(ctx)
	if err != nil {
		return "", err
	}
	measure.Say("starting %d SpiderJobs that keep running", n)
	prefix = b.begin(of)
	if err := b.create(ctx, of, prefix, n, rate.Inf); err != nil {
		return "", err
	}
	return prefix, b.Until(ctx, "they run", func(context.Context) (bool, error) {
		started, err := b.observer.count(running)
		return started >= n, err
	})
}

// rest starts the SpiderJobs that run while nothing happens, and then leaves everything alone.
func (b *bench) rest(ctx context.Context, r *measure.Report) error {
	if _, err := b.stay(ctx, b.running); err != nil {
		return err
	}
	b.observer.finish()
	before, err := b.settle(ctx)
	if err != nil {
		return err
	}
	measure.Say("leaving %d ended and %d running SpiderJobs alone for %s", b.held, b.running, b.idle)
	if err := measure.Pause(ctx, b.idle); err != nil {
		return err
	}
	after, err := b.Read(ctx, b.operator)
	b.reportIdle(r, after.Since(before), after.At.Sub(before.At))
	return err
}

// reportIdle reports what was used while nothing happened. Leases are renewed whether there are jobs or not.
func (o *Options) reportIdle(r *measure.Report, used system.Reading, took time.Duration) {
	delete(used.Writes, system.Leases)
	t := r.Table(fmt.Sprintf("%d ended and %d running SpiderJobs, nothing happening", o.held, o.running), "all")
	t.Row("s", took.Seconds())
	t.Row("writes without leases", used.Writes.Sum())
	for _, name := range measure.ByValue(used.Writes) {
		t.Row("  "+name, used.Writes[name])
	}
	t.Row("requests of the operator", used.OperatorRequests())
	t.Row("its reconciles", used.Counted[system.Reconciles])
	for _, name := range measure.ByValue(used.CPU) {
		t.Row("CPU seconds per minute, "+name, used.CPU[name]/took.Minutes())
	}
}
