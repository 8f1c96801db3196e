package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

const (
	// creators is how many calls that create jobs are under way at once, at most.
	creators = 16
	// quiet is how long nothing may be written before a run is over. It goes on after its last job has ended, so that all that
	// the jobs cost is counted: the Job controller comes to the end of a Job late, and Events are written even later.
	quiet = 2 * time.Second
)

// run is one measurement: of one subject, under one load.
type run struct {
	Subject string `json:"subject"`
	// Jobs is how many were run, in Seconds from the first call that created one to the last that was seen to end.
	Jobs    int     `json:"jobs"`
	Seconds float64 `json:"seconds"`
	// PeakMemory is the most that was resident of each process, in bytes.
	PeakMemory map[string]uint64 `json:"peakMemoryBytes"`
	// HeapPerJob is by how much each job and what it left behind has grown the operator's collected heap, in bytes.
	HeapPerJob float64 `json:"heapPerJobBytes,omitempty"`

	used reading
	// took is the time in which that was used: to when nothing was written any more.
	took time.Duration
	jobs []*timeline
}

func (r *run) throughput() float64 { return float64(r.Jobs) / r.Seconds }

// measure runs n jobs and measures it. They are created at a steady rate per second or, at rate.Inf, as fast as creators can.
func (b *bench) measure(ctx context.Context, of subject, n int, pace rate.Limit, title string) (*run, error) {
	heap, err := b.heap(ctx)
	if err != nil {
		return nil, err
	}
	pids, err := b.pids()
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		if err := resetPeak(pid); err != nil {
			return nil, err
		}
	}
	before, err := b.read(ctx)
	if err != nil {
		return nil, err
	}
	b.runs++
	prefix := fmt.Sprintf("%s-%d-", of.name, b.runs)
	b.observer.begin(prefix, of.bare)

	start := time.Now()
	creating, ctxCreating := errgroup.WithContext(ctx)
	creating.Go(func() error { return b.create(ctxCreating, of, prefix, n, pace) })
	creating.Go(func() error { return b.follow(ctxCreating, n, title) })
	if err := creating.Wait(); err != nil {
		return nil, err
	}
	timelines, end := b.observer.finish()

	result := &run{
		Subject: of.name, Jobs: n, Seconds: end.Sub(start).Seconds(), PeakMemory: map[string]uint64{},
		jobs: slices.Collect(maps.Values(timelines)),
	}
	say("%s: %d in %.1f s, %.1f/s", title, n, result.Seconds, result.throughput())
	after, err := b.settle(ctx)
	if err != nil {
		return nil, err
	}
	result.used, result.took = after.since(before), after.at.Sub(before.at)
	for name, pid := range pids {
		if result.PeakMemory[name], err = memory(pid, "VmHWM"); err != nil {
			return nil, err
		}
	}
	grown, err := b.heap(ctx)
	if err != nil {
		return nil, err
	}
	result.HeapPerJob = (float64(grown) - float64(heap)) / float64(n)
	return result, nil
}

// settle waits until nothing is written any more, and returns the last reading.
func (b *bench) settle(ctx context.Context) (reading, error) {
	last, err := b.read(ctx)
	if err != nil {
		return last, err
	}
	for {
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return last, ctx.Err()
		}
		now, err := b.read(ctx)
		if err != nil {
			return now, err
		}
		written := now.since(last).writes
		delete(written, leases) // which are renewed whether there are jobs or not
		if len(written) == 0 {
			return now, nil
		}
		last = now
	}
}

// create creates n jobs.
func (b *bench) create(ctx context.Context, of subject, prefix string, n int, pace rate.Limit) error {
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(creators)
	limiter := rate.NewLimiter(pace, 1)
	for i := range n {
		if err := limiter.Wait(ctx); err != nil {
			break // a call has failed
		}
		calls.Go(func() error {
			job := of.make(fmt.Sprintf("%s%05d", prefix, i))
			if err := b.Client.Create(ctx, job); err != nil {
				return fmt.Errorf("create %s: %w", job.GetName(), err)
			}
			b.observer.created(job.GetName(), time.Now())
			return nil
		})
	}
	return calls.Wait()
}

// follow waits until n jobs have ended, and tells how far they are.
func (b *bench) follow(ctx context.Context, n int, title string) error {
	start := time.Now()
	told, moved, before := start, start, 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		ended, err := b.observer.progress()
		if err != nil {
			return err
		}
		if ended >= n {
			return nil
		}
		if err := b.failure(); err != nil {
			return err
		}
		now := time.Now()
		if ended > before {
			before, moved = ended, now
		}
		if now.Sub(moved) > patience {
			return fmt.Errorf("%s: only %d of %d have ended, and none within %s", title, ended, n, patience)
		}
		if now.Sub(told) >= 2*time.Second {
			told = now
			say("%s: %d of %d have ended", title, ended, n)
		}
	}
}
