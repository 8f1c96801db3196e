package controller

import (
	"context"
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
	subject string
	// jobs is how many were run, in seconds from the first call that created one to the last that was seen to end.
	jobs      int
	seconds   float64
	timelines map[string]*timeline
	// peaks are the most that was resident of each process, in bytes.
	peaks measure.Counts
	// heapPerJob is by how much each job and what it left behind has grown the operator's collected heap, in bytes.
	heapPerJob float64

	used system.Reading
	// took is the time in which that was used, until nothing was written any more.
	took time.Duration
}

func (r *run) throughput() float64 { return float64(r.jobs) / r.seconds }

// measure runs n jobs and measures it. They are created at a steady rate per second or, at rate.Inf, as fast as system.Creators
// calls can.
func (b *bench) measure(ctx context.Context, of subject, n int, pace rate.Limit, title string) (*run, error) {
	memory, err := b.operator.Collected(ctx)
	if err != nil {
		return nil, err
	}
	if err := system.ResetPeaks(); err != nil {
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
	running.Go(func() error { return b.follow(ctxRunning, n, title) })
	if err := running.Wait(); err != nil {
		return nil, err
	}
	timelines, end := b.observer.finish()

	result := &run{subject: of.name, jobs: n, seconds: end.Sub(start).Seconds(), timelines: timelines}
	measure.Say("%s: %d in %.1f s, %.1f/s", title, n, result.seconds, result.throughput())
	after, err := b.settle(ctx)
	if err != nil {
		return nil, err
	}
	result.used, result.took = after.Since(before), after.At.Sub(before.At)
	if result.peaks, err = system.PeakMemory(); err != nil {
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
	b.observer.begin(prefix, of.bare)
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
		if err := measure.Pause(ctx, quiet); err != nil {
			return false, err
		}
		before := last
		var err error
		last, err = b.Read(ctx, b.operator)
		return calm(last.Since(before)), err
	})
	return last, err
}

// create creates n jobs.
func (b *bench) create(ctx context.Context, of subject, prefix string, n int, pace rate.Limit) error {
	limiter := rate.NewLimiter(pace, 1)
	return system.Each(ctx, "creating "+of.name, n, func(ctx context.Context, i int) error {
		if err := limiter.Wait(ctx); err != nil {
			return fmt.Errorf("create %s at a steady rate: %w", of.name, err)
		}
		job := of.make(fmt.Sprintf("%s%05d", prefix, i))
		if err := b.Create(ctx, job); err != nil {
			return err
		}
		b.observer.note(job.GetName(), func(t *timeline) { t.at[created] = time.Now() })
		return nil
	})
}

// follow waits until n jobs have ended, and says how far they are.
func (b *bench) follow(ctx context.Context, n int, title string) error {
	moved, before := time.Now(), 0
	sometimes := rate.Sometimes{Interval: 2 * time.Second}
	for {
		over, err := b.observer.count(ended)
		if err != nil || over >= n {
			return err
		}
		if err := b.Failure(); err != nil {
			return err
		}
		if over > before {
			before, moved = over, time.Now()
		}
		if time.Since(moved) > system.Patience {
			return fmt.Errorf("%s: only %d of %d have ended, and none within %s", title, over, n, system.Patience)
		}
		sometimes.Do(func() { measure.Say("%s: %d of %d have ended", title, over, n) })
		if err := measure.Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
