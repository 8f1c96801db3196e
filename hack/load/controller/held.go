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

// held is what ended SpiderJobs cost that are only kept.
type held struct {
	SpiderJobs int `json:"spiderJobs"`
	// HeapPerJob and ResidentPerJob are by how much each of them grows the collected heap, and the resident memory, of a
	// controller that is started with them, in bytes.
	HeapPerJob     float64 `json:"heapPerJobBytes"`
	ResidentPerJob float64 `json:"residentPerJobBytes"`
	// StartSeconds is how long that start took until each was reconciled and a new one had run; CPUSeconds the CPU time it used;
	// Requests the requests it made of kube-apiserver.
	StartSeconds float64 `json:"startSeconds"`
	CPUSeconds   float64 `json:"startCPUSeconds"`
	Requests     float64 `json:"startRequests"`
}

// hold measures what n ended SpiderJobs cost, each with the status of an example.
func (b *bench) hold(ctx context.Context, n int, example v1alpha1.SpiderJobStatus) (*held, error) {
	empty, _, err := b.restart(ctx, 0)
	if err != nil {
		return nil, err
	}
	if err := b.stopOperator(); err != nil {
		return nil, err
	}
	err = system.Each(ctx, "making ended SpiderJobs", n, func(ctx context.Context, i int) error {
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
	if err != nil {
		return nil, err
	}
	measure.Say("starting the operator with %d ended SpiderJobs", n)
	full, result, err := b.restart(ctx, n)
	if err != nil {
		return nil, err
	}
	result.SpiderJobs = n
	result.HeapPerJob = (full.Heap - empty.Heap) / float64(n)
	result.ResidentPerJob = (full.Resident - empty.Resident) / float64(n)
	return result, b.operator.ProfileHeap(ctx, b.settings, "held")
}

// restart starts the operator anew, waits until it has reconciled each of n SpiderJobs, and returns the memory it then holds and
// the cost of the start.
func (b *bench) restart(ctx context.Context, n int) (memory system.Usage, cost *held, err error) {
	if err := b.stopOperator(); err != nil {
		return memory, nil, err
	}
	start := time.Now()
	if err := b.startOperator(ctx); err != nil {
		return memory, nil, err
	}
	// A new one is reconciled after all others. It has ended when the operator is at work.
	probe := newSpiderJob(fmt.Sprintf("probe-%d", n))
	if err := b.Client.Create(ctx, probe); err != nil {
		return memory, nil, fmt.Errorf("create %s: %w", probe.Name, err)
	}
	var used system.Reading
	err = b.Until(ctx, "the operator has reconciled all SpiderJobs", func(ctx context.Context) (bool, error) {
		if err := b.Client.Get(ctx, client.ObjectKeyFromObject(probe), probe); err != nil {
			return false, fmt.Errorf("get %s: %w", probe.Name, err)
		}
		if !probe.Status.Phase.Terminal() {
			return false, nil
		}
		used, err = b.Read(ctx, b.operator)
		return used.Reconciles > float64(n), err
	})
	if err != nil {
		return memory, nil, err
	}
	cost = &held{
		StartSeconds: time.Since(start).Seconds(),
		CPUSeconds:   used.CPU[system.Operator].Seconds(),
		Requests:     used.OperatorRequests(),
	}
	memory, err = b.operator.Collected(ctx)
	return memory, cost, err
}
