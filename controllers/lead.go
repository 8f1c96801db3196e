package controllers

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// lead knows when, in the API server's own count of changes, this process began to lead. No clock is asked: clocks jump.
type lead struct {
	reader client.Reader
	// namespace is one in which SpiderJobs may be listed, empty for all.
	namespace string

	mu    sync.Mutex
	since string
}

// before reports whether the process already led at a resource version. The first call marks the beginning: there is no
// reconcile before.
func (l *lead) before(ctx context.Context, version string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since == "" {
		var list v1alpha1.SpiderJobList
		if err := l.reader.List(ctx, &list, client.InNamespace(l.namespace), client.Limit(1)); err != nil {
			return false, fmt.Errorf("read the current resource version: %w", err)
		}
		l.since = list.ResourceVersion
	}
	order, err := resourceversion.CompareResourceVersion(version, l.since)
	if err != nil {
		return false, fmt.Errorf("compare resource versions: %w", err)
	}
	return order > 0, nil
}
