// Package api measures what calls of the REST API cost, and whether they cost more where there are more jobs.
package api

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
	"github.com/scrapethis/spider-operator/test/integration/process"
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
	url    string
	http   *http.Client
}

// limits are those of each REST API: so high that they do not matter.
const limits = `apiVersion: config.scrapethis.app/v1alpha1
kind: APIServerConfiguration
rate: 1e9
burst: 1000000000
namespaceRate: 1e9
failedAuthentications: 1000000000
maxStreams: 1000000000
maxUnfinishedJobs: 0
maxArgumentBytes: 0
shutdownDelay: 0s
drainTimeout: 1s
`

// Measure starts what is measured, measures it and stops it.
func (o *Options) Measure(ctx context.Context, settings measure.Settings) (found *measure.Report, err error) {
	s, err := system.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	b := &bench{System: s, Options: o, settings: settings}
	if err := os.WriteFile(b.limits(), []byte(limits), 0o600); err != nil {
		return nil, err
	}
	// What does not change the views is measured before what does.
	r := &results{clients: b.clients, rounds: b.settings.Rounds}
	for _, size := range b.sizes {
		p, err := b.populate(ctx, size)
		if err != nil {
			return nil, err
		}
		b.views = append(b.views, &view{population: p})
	}
	none := &view{population: &population{namespace: metav1.NamespaceDefault}}
	if _, err := b.start(ctx, none); err != nil {
		return nil, err
	}
	empty, err := none.server.Collected(ctx)
	if err := errors.Join(err, b.StopServer(none.server)); err != nil {
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
	return r.report(), nil
}

func (b *bench) limits() string { return filepath.Join(b.Directory, "limits.yaml") }

// start starts the REST API of a view, and returns how long it took until it was ready.
func (b *bench) start(ctx context.Context, v *view) (ready time.Duration, err error) {
	address, err := process.FreeAddress(ctx)
	if err != nil {
		return 0, err
	}
	v.url = "http://" + address
	v.server, ready, err = b.StartServer(ctx, system.RESTAPI,
		"--config="+b.limits(), "--listen="+address, "--namespaces="+v.namespace)
	return ready, err
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
		ready, err := b.start(ctx, v)
		if err != nil {
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
	start, found := time.Now(), 0
	next := client.Continue("")
	for more := true; more; more = next != "" {
		var page v1alpha1.SpiderJobList
		if err := b.Client.List(ctx, &page, client.InNamespace(p.namespace), client.Limit(pageSize), next); err != nil {
			return 0, err
		}
		found += len(page.Items)
		next = client.Continue(page.Continue)
	}
	if found != p.size {
		return 0, fmt.Errorf("there are %d SpiderJobs in %s, not %d", found, p.namespace, p.size)
	}
	return time.Since(start), nil
}

// turns iterates over the views, in reverse in every other round, so that none is always the first.
func (b *bench) turns(round int) func(yield func(int, *view) bool) {
	if round%2 == 0 {
		return slices.All(b.views)
	}
	return slices.Backward(b.views)
}
