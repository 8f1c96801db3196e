package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// pageSize is how many objects each page of the bare LIST holds: as many as client-go's and kubectl's.
const pageSize = 500

// measureStartup starts the facade of a view several times, in turns with bare LISTs of the same objects, and leaves the last
// one running.
func (b *bench) measureStartup(ctx context.Context, v *subject, empty usage) (viewResult, error) {
	result := viewResult{Jobs: v.size}
	for round := 1; round <= b.options.rounds; round++ {
		if err := v.facade.stop(); err != nil {
			return result, err
		}
		listed, err := b.list(ctx, v.population)
		if err != nil {
			return result, err
		}
		var ready time.Duration
		if v.facade, ready, err = startFacade(ctx, b.directory, b.Kubeconfig, v.namespace); err != nil {
			return result, err
		}
		say("%d jobs: ready after %.2f s, listed in %.2f s", v.size, ready.Seconds(), listed.Seconds())
		result.ReadySeconds = append(result.ReadySeconds, ready.Seconds())
		result.ListSeconds = append(result.ListSeconds, listed.Seconds())
	}
	full, err := v.facade.collected(ctx)
	if err != nil {
		return result, err
	}
	result.HeapPerJob = (full.heap - empty.heap) / float64(v.size)
	result.ResidentPerJob = (full.resident - empty.resident) / float64(v.size)
	return result, nil
}

// measureEmpty starts a facade of a namespace without jobs, and returns what that takes.
func (b *bench) measureEmpty(ctx context.Context) (usage, error) {
	f, _, err := startFacade(ctx, b.directory, b.Kubeconfig, metav1.NamespaceDefault)
	if err != nil {
		return usage{}, err
	}
	empty, err := f.collected(ctx)
	if err != nil {
		return usage{}, err
	}
	return empty, f.stop()
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
