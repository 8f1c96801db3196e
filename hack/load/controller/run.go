package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// quiet is how long nothing may be written before a run is over. A run goes on after its last job has ended, so that all its
// costs are counted: the Job controller handles the end of a Job late, and Events are written even later.
const quiet = 2 * time.Second

// run is one measurement: of one subject, under one load.
type run struct {
	// jobs is how many were run, in seconds from the first call that created one to the last that was seen to end.
	jobs      int
	seconds   float64
	timelines []*timeline
	// peak is the most that was resident of the operator, heapPerJob by how much each job and what it left behind has grown its
	// collected heap, in bytes.
	peak, heapPerJob float64
	// used is what was used until nothing was written any more.
	used system.Reading
}

// runs are those of either kind by the names of their subjects, in order.
type runs map[string][]*run

func (r *run) throughput() float64 { return float64(r.jobs) / r.seconds }

// measure runs n jobs, on a cluster cleared of all earlier ones, and measures it. They are created at a steady rate per second
// or, at rate.Inf, as fast as system.Creators calls can.
func (b *bench) measure(ctx context.Context, of subject, n int, pace rate.Limit, title string) (*run, error) {
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	memory, err := b.operator.Collected(ctx)
	if err := errors.Join(err, b.operator.ResetPeak()); err != nil {
		return nil, err
	}
	before, err := b.Read(ctx, b.operator)
	if err != nil {
		return nil, err
	}
	prefix := b.begin(of)
	start := time.Now()
	running, ctxRunning := errgroup.WithContext(ctx)
	running.Go(func() error { return b.create(ctxRunning, of, prefix, n, pace) })
	running.Go(func() error { return b.await(ctxRunning, title, "have ended", ended, n) })
	if err := b.operator.Profiled(ctx, b.settings, prefix+"run", running.Wait); err != nil {
		return nil, err
	}
	timelines, end := b.observer.finish()
	result := &run{jobs: n, seconds: end.Sub(start).Seconds(), timelines: timelines}
	measure.Say("%s: %d in %.1f s, %.1f/s", title, n, result.seconds, result.throughput())
	after, err := b.settle(ctx)
	if err != nil {
		return nil, err
	}
	result.used = after.Since(before)
	if result.peak, err = b.operator.Peak(); err != nil {
		return nil, err
	}
	grown, err := b.operator.Collected(ctx)
	result.heapPerJob = (grown[system.Heap] - memory[system.Heap]) / float64(n)
	return result, err
}

// begin starts the observation of a new run and returns what its jobs' names begin with.
func (b *bench) begin(of subject) string {
	b.runs++
	prefix := fmt.Sprintf("%s-%d-", of.name, b.runs)
	b.observer.begin(prefix)
	return prefix
}

// settle waits until nothing is written any more, and returns the last reading.
func (b *bench) settle(ctx context.Context) (system.Reading, error) {
	return b.awaitCalm(ctx, "nothing is written", func(used system.Reading) bool {
		delete(used.Writes, system.Leases) // which are renewed whether there are jobs or not
		return len(used.Writes) == 0
	})
}

// awaitCalm waits until what is used in a quiet time is calm, and returns the last reading.
func (b *bench) awaitCalm(ctx context.Context, what string, calm func(used system.Reading) bool) (system.Reading, error) {
	last, err := b.Read(ctx, b.operator)
	if err != nil {
		return last, err
	}
	err = b.Until(ctx, what, func(ctx context.Context) (bool, error) {
		before := last
		last, err = b.leave(ctx, quiet)
		return calm(last.Since(before)), err
	})
	return last, err
}

// create creates n jobs.
func (b *bench) create(ctx context.Context, of subject, prefix string, n int, pace rate.Limit) error {
	limiter := rate.NewLimiter(pace, 1)
	return system.Each(ctx, "creating "+of.name, n, func(ctx context.Context, i int) error {
		job := of.make(fmt.Sprintf("%s%05d", prefix, i))
		if err := limiter.Wait(ctx); err != nil {
			return err
		}
		err := b.Create(ctx, job)
		b.observer.note(job.GetName(), func(t *timeline) { t.at[created] = time.Now() })
		return err
	})
}

// await waits until n jobs were seen to reach an event, and says how far they are.
func (b *bench) await(ctx context.Context, title, what string, reached event, n int) error {
	moved, before := time.Now(), 0
	sometimes := rate.Sometimes{Interval: 2 * time.Second}
	for {
		seen, err := b.observer.count(reached)
		if err != nil || seen >= n {
			return err
		}
		if seen > before {
			before, moved = seen, time.Now()
		}
		if time.Since(moved) > system.Patience {
			return fmt.Errorf("%s: only %d of %d %s, and none within %s", title, seen, n, what, system.Patience)
		}
		sometimes.Do(func() { measure.Say("%s: %d of %d %s", title, seen, n, what) })
		if err := errors.Join(b.Failure(), measure.Pause(ctx, 50*time.Millisecond)); err != nil {
			return err
		}
	}
}
