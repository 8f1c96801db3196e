// Package api measures what calls of the REST API cost, and whether they cost more where there are more jobs.
package api

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/procfs"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// pageSize is how many objects each page of the bare LIST holds: as many as client-go's and kubectl's.
const pageSize = 500

// Options are the flags of this subject.
type Options struct {
	// sizes are the numbers of SpiderJobs in the views.
	sizes    measure.Numbers
	clients  int
	duration time.Duration
}

// Define defines the flags.
func (o *Options) Define(flags *flag.FlagSet) {
	o.sizes = measure.Numbers{1000, 10000}
	flags.Var(&o.sizes, "jobs", "numbers of SpiderJobs in the views, at least 1000 each")
	flags.IntVar(&o.clients, "clients", 8, "clients that call at the same time")
	flags.DurationVar(&o.duration, "duration", time.Second, "how long one measurement lasts")
}

// Check returns an error if the flags make no sense.
func (o *Options) Check() error {
	if o.sizes[0] < leastJobs {
		return fmt.Errorf("--jobs: %d is less than %d, with which every filter finds a full page", o.sizes[0], leastJobs)
	}
	if o.clients < 1 || o.duration <= 0 {
		return errors.New("--clients and --duration must be positive")
	}
	return nil
}

// bench is a measurement that runs.
type bench struct {
	*system.System
	*Options
	settings measure.Settings
	views    []*view
}

// view is what a REST API shows of a namespace.
type view struct {
	*population
	server *system.Server
}

// Measure starts what is measured, measures it and stops it.
func (o *Options) Measure(ctx context.Context, settings measure.Settings) (found *measure.Report, err error) {
	s, err := system.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	b := &bench{System: s, Options: o, settings: settings}
	return b.run(ctx)
}

// run measures what does not change the views before what does.
func (b *bench) run(ctx context.Context) (*measure.Report, error) {
	r := &results{clients: b.clients, rounds: b.settings.Rounds}
	load := loadAverage()
	for _, size := range b.sizes {
		p, err := b.populate(ctx, size)
		if err != nil {
			return nil, err
		}
		b.views = append(b.views, &view{population: p})
	}
	empty, err := b.measureEmpty(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range b.views {
		result, err := b.measureStartup(ctx, v, empty)
		if err != nil {
			return nil, err
		}
		r.views = append(r.views, result)
	}
	largest := b.views[len(b.views)-1].server
	if err := largest.Profiled(ctx, b.settings, "reads", func() error { return b.measureReads(ctx, r) }); err != nil {
		return nil, err
	}
	if err := largest.Profiled(ctx, b.settings, "writes", func() error { return b.measureWrites(ctx, r) }); err != nil {
		return nil, err
	}
	report := r.report()
	report.Note("load average %.1f before, %.1f after", load, loadAverage())
	return report, nil
}

// measureEmpty starts a REST API of a namespace without jobs, and returns what that takes.
func (b *bench) measureEmpty(ctx context.Context) (measure.Counts, error) {
	server, _, err := b.StartServer(ctx, system.RESTAPI, metav1.NamespaceDefault)
	if err != nil {
		return nil, err
	}
	empty, err := server.Collected(ctx)
	return empty, errors.Join(err, b.StopServer(server))
}

// measureStartup starts the REST API of a view several times, in turns with bare LISTs of the same objects, and leaves the last
// one running.
func (b *bench) measureStartup(ctx context.Context, v *view, empty measure.Counts) (viewCost, error) {
	result := viewCost{jobs: v.size}
	for range b.settings.Rounds {
		if err := b.StopServer(v.server); err != nil {
			return result, err
		}
		listed, err := b.list(ctx, v.population)
		if err != nil {
			return result, err
		}
		var ready time.Duration
		if v.server, ready, err = b.StartServer(ctx, system.RESTAPI, v.namespace); err != nil {
			return result, err
		}
		measure.Say("%d jobs: ready after %.2f s, listed in %.2f s", v.size, ready.Seconds(), listed.Seconds())
		result.ready = append(result.ready, ready.Seconds())
		result.listed = append(result.listed, listed.Seconds())
	}
	full, err := v.server.Collected(ctx)
	result.heap = (full[system.Heap] - empty[system.Heap]) / float64(v.size)
	result.resident = (full[system.Resident] - empty[system.Resident]) / float64(v.size)
	return result, err
}

// list reads and decodes all SpiderJobs of a population, page by page, keeps none, and returns how long that took.
func (b *bench) list(ctx context.Context, p *population) (time.Duration, error) {
	start := time.Now()
	for found, next := 0, ""; ; {
		var page v1alpha1.SpiderJobList
		err := b.Client.List(ctx, &page, client.InNamespace(p.namespace), client.Limit(pageSize), client.Continue(next))
		if err != nil {
			return 0, fmt.Errorf("list the SpiderJobs in %s: %w", p.namespace, err)
		}
		found += len(page.Items)
		if next = page.Continue; next != "" {
			continue
		}
		if found != p.size {
			return 0, fmt.Errorf("list the SpiderJobs in %s: there are %d, not %d", p.namespace, found, p.size)
		}
		return time.Since(start), nil
	}
}

// turns iterates over the views, in reverse in every other round, so that none is always the first.
func (b *bench) turns(round int) func(yield func(int, *view) bool) {
	if round%2 == 0 {
		return slices.All(b.views)
	}
	return slices.Backward(b.views)
}

// loadAverage is the machine's load over the last minute, or 0 if it is unknown.
func loadAverage() float64 {
	machine, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	load, err := machine.LoadAvg()
	if err != nil {
		return 0
	}
	return load.Load1
}
