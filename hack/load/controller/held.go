package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// held is what ended SpiderJobs cost that are only kept.
type held struct {
	SpiderJobs int `json:"spiderJobs"`
	// HeapPerJob and ResidentPerJob are by how much each of them grows the collected heap, and the resident memory, of a
	// controller that is started with them, in bytes.
	HeapPerJob     float64 `json:"heapPerJobBytes"`
	ResidentPerJob float64 `json:"residentPerJobBytes"`
	// StartSeconds is how long that start took until each was reconciled and a new one had run; CPUSeconds what of the
	// processors it used; Requests what it asked kube-apiserver for.
	StartSeconds float64 `json:"startSeconds"`
	CPUSeconds   float64 `json:"startCPUSeconds"`
	Requests     float64 `json:"startRequests"`
}

// hold measures what n ended SpiderJobs cost, each with the status of an example.
func (b *bench) hold(ctx context.Context, n int, example v1alpha1.SpiderJobStatus) (*held, error) {
	emptyHeap, emptyResident, _, err := b.restart(ctx, 0)
	if err != nil {
		return nil, err
	}
	if err := b.stopOperator(); err != nil {
		return nil, err
	}
	if err := b.fill(ctx, n, example); err != nil {
		return nil, err
	}
	say("starting the operator with %d ended SpiderJobs", n)
	heap, resident, result, err := b.restart(ctx, n)
	if err != nil {
		return nil, err
	}
	result.SpiderJobs = n
	result.HeapPerJob = (float64(heap) - float64(emptyHeap)) / float64(n)
	result.ResidentPerJob = (float64(resident) - float64(emptyResident)) / float64(n)
	return result, nil
}

// fill makes n ended SpiderJobs, while no operator runs.
func (b *bench) fill(ctx context.Context, n int, example v1alpha1.SpiderJobStatus) error {
	told := time.Now()
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(creators)
	for i := range n {
		if ctx.Err() != nil {
			break // a call has failed
		}
		calls.Go(func() error {
			job := newSpiderJob(fmt.Sprintf("held-%05d", i))
			if err := b.Client.Create(ctx, job); err != nil {
				return fmt.Errorf("create %s: %w", job.Name, err)
			}
			job.Status = example
			job.Status.PodName = job.Name + "-abcde"
			if err := b.Client.Status().Update(ctx, job); err != nil {
				return fmt.Errorf("end %s: %w", job.Name, err)
			}
			return nil
		})
		if now := time.Now(); now.Sub(told) >= 2*time.Second {
			told = now
			say("making ended SpiderJobs: %d of %d", i, n)
		}
	}
	return calls.Wait()
}

// restart starts the operator anew, waits until it has reconciled each of n SpiderJobs, and returns its collected heap and
// what is resident of it, in bytes, and what the start cost.
func (b *bench) restart(ctx context.Context, n int) (heap, resident uint64, cost *held, err error) {
	if err := b.stopOperator(); err != nil {
		return 0, 0, nil, err
	}
	start := time.Now()
	if err := b.startOperator(ctx); err != nil {
		return 0, 0, nil, err
	}
	// One that is new is the last of them. It comes back when it is at work.
	probe := newSpiderJob(fmt.Sprintf("probe-%d", n))
	if err := b.Client.Create(ctx, probe); err != nil {
		return 0, 0, nil, fmt.Errorf("create %s: %w", probe.Name, err)
	}
	var used reading
	err = b.until(ctx, "the operator has reconciled all SpiderJobs", func(ctx context.Context) (bool, error) {
		if err := b.Client.Get(ctx, client.ObjectKeyFromObject(probe), probe); err != nil {
			return false, fmt.Errorf("get %s: %w", probe.Name, err)
		}
		if !probe.Status.Phase.Terminal() {
			return false, nil
		}
		used, err = b.read(ctx)
		return used.reconciles > float64(n), err
	})
	if err != nil {
		return 0, 0, nil, err
	}
	cost = &held{
		StartSeconds: time.Since(start).Seconds(),
		CPUSeconds:   used.cpu[operatorCommand].Seconds(),
		Requests:     used.operatorReads + used.operatorWrites,
	}
	if heap, err = b.heap(ctx); err != nil {
		return 0, 0, nil, err
	}
	resident, err = memory(b.operator.PID(), "VmRSS")
	return heap, resident, cost, err
}
