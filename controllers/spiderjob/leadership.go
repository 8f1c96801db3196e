package spiderjob

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// leadership knows the resource version of kube-apiserver at which this process began to lead. It uses no clock: clocks jump.
type leadership struct {
	reader client.Reader
	// namespace is a namespace in which SpiderJobs may be listed, empty for all.
	namespace string

	mu    sync.Mutex // held while the beginning is recorded
	since atomic.Pointer[string]
}

// before reports whether the process already led at a resource version. The first call records the beginning: there is no
// reconcile before it.
func (l *leadership) before(ctx context.Context, version string) (bool, error) {
	since := l.since.Load()
	if since == nil {
		var err error
		if since, err = l.begin(ctx); err != nil {
			return false, err
		}
	}
	order, err := resourceversion.CompareResourceVersion(version, *since)
	if err != nil {
		return false, fmt.Errorf("compare resource versions: %w", err)
	}
	return order > 0, nil
}

// begin records the beginning, unless another worker has done so.
func (l *leadership) begin(ctx context.Context) (*string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := l.since.Load(); since != nil {
		return since, nil
	}
	var list v1alpha1.SpiderJobList
	if err := l.reader.List(ctx, &list, client.InNamespace(l.namespace), client.Limit(1)); err != nil {
		return nil, fmt.Errorf("read the current resource version: %w", err)
	}
	l.since.Store(&list.ResourceVersion)
	return &list.ResourceVersion, nil
}
