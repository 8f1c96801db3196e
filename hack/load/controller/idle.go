package controller

import (
	"context"

	"golang.org/x/time/rate"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
	"time"
)

// idle is what SpiderJobs cost while nothing happens to them.
type idle struct {
	// Ended and Running are how many there are; Seconds is how long they were left alone.
	Ended   int     `json:"ended"`
	Running int     `json:"running"`
	Seconds float64 `json:"seconds"`
	// Writes are those that kube-apiserver was asked for in that time by all its clients, by verb and resource, without leases.
	Writes map[string]float64 `json:"writes"`
	// Requests and Reconciles are the operator's.
	Requests   float64 `json:"operatorRequests"`
	Reconciles float64 `json:"operatorReconciles"`
	// CPU is in seconds per minute, by process.
	CPU map[string]float64 `json:"cpuSecondsPerMinute"`
}

// idleOf is what was used while nothing happened.
func idleOf(used system.Reading, took time.Duration) *idle {
	result := &idle{
		Seconds:    took.Seconds(),
		Writes:     used.Writes,
		Requests:   used.OperatorRequests(),
		Reconciles: used.Reconciles,
		CPU:        map[string]float64{},
	}
	delete(result.Writes, system.Leases)
	for name, value := range used.CPU {
		result.CPU[name] = value.Seconds() / took.Minutes()
	}
	return result
}

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
		running, err := b.observer.count(isRunning)
		return running >= n, err
	})
}

// rest starts the SpiderJobs that run while nothing happens, and then leaves everything alone.
func (b *bench) rest(ctx context.Context) (*idle, error) {
	if _, err := b.stay(ctx, b.running); err != nil {
		return nil, err
	}
	b.observer.finish()
	before, err := b.settle(ctx)
	if err != nil {
		return nil, err
	}
	measure.Say("leaving %d ended and %d running SpiderJobs alone for %s", b.held, b.running, b.idle)
	if err := measure.Pause(ctx, b.idle); err != nil {
		return nil, err
	}
	after, err := b.Read(ctx, b.operator)
	result := idleOf(after.Since(before), after.At.Sub(before.At))
	result.Ended, result.Running = b.held, b.running
	return result, err
}
