package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// staysLabel is the label of Pods that run until they are deleted. stages.yaml knows it.
const staysLabel = "stays"

// idle is what it costs that SpiderJobs are there and nothing happens to them.
type idle struct {
	// Ended and Running are how many there are; Seconds is how long they were left alone.
	Ended   int     `json:"ended"`
	Running int     `json:"running"`
	Seconds float64 `json:"seconds"`
	// Writes are those that kube-apiserver was asked for in that time, by anybody, by verb and resource: all but leases.
	Writes map[string]float64 `json:"writes"`
	// Requests and Reconciles are the operator's.
	Requests   float64 `json:"operatorRequests"`
	Reconciles float64 `json:"operatorReconciles"`
	// CPU is in seconds per minute, by process.
	CPU map[string]float64 `json:"cpuSecondsPerMinute"`
}

// idleOf is what was used between two readings so far apart, with nothing happening.
func idleOf(used reading, took time.Duration) *idle {
	result := &idle{
		Seconds:    took.Seconds(),
		Writes:     used.writes,
		Requests:   used.operatorReads + used.operatorWrites,
		Reconciles: used.reconciles,
		CPU:        map[string]float64{},
	}
	delete(result.Writes, leases)
	for name, value := range used.cpu {
		result.CPU[name] = value.Seconds() / took.Minutes()
	}
	return result
}

// staying makes the Spider of SpiderJobs that run until they are deleted. It is done once.
func (b *bench) staying(ctx context.Context) (subject, error) {
	spider := newSpider()
	spider.Name = "stays"
	spider.Spec.Pod.Labels = map[string]v1alpha1.LabelValue{staysLabel: "true"}
	if err := b.Client.Create(ctx, spider); err != nil {
		return subject{}, fmt.Errorf("create the Spider of those that run: %w", err)
	}
	return subject{name: spider.Name, make: func(name string) client.Object {
		job := newSpiderJob(name)
		job.Spec.SpiderRef = v1alpha1.SpiderReference{Name: spider.Name}
		return job
	}}, nil
}

// stay starts n SpiderJobs that run until they are deleted, waits until they do, and leaves them to the observer. The names begin
// with the prefix it returns.
func (b *bench) stay(ctx context.Context, n int) (prefix string, err error) {
	of, err := b.staying(ctx)
	if err != nil {
		return "", err
	}
	say("starting %d SpiderJobs that run on", n)
	prefix = of.name + "-"
	b.observer.begin(prefix, false)
	if err := b.create(ctx, of, prefix, n, rate.Inf); err != nil {
		return "", err
	}
	return prefix, b.until(ctx, "they run", func(context.Context) (bool, error) {
		_, err := b.observer.progress()
		return b.observer.running() >= n, err
	})
}

// rest starts as many SpiderJobs as are to run while nothing happens, and then lets everything alone.
func (b *bench) rest(ctx context.Context) (*idle, error) {
	if _, err := b.stay(ctx, b.options.running); err != nil {
		return nil, err
	}
	b.observer.finish()
	before, err := b.settle(ctx)
	if err != nil {
		return nil, err
	}
	say("letting %d ended and %d running SpiderJobs alone for %s", b.options.held, b.options.running, b.options.idle)
	start := time.Now()
	select {
	case <-time.After(b.options.idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	result := idleOf(after.since(before), time.Since(start))
	result.Ended, result.Running = b.options.held, b.options.running
	return result, nil
}
