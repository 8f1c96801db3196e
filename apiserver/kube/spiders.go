package kube

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Spiders reads and writes single Spiders, live. Errors are those of k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Spiders struct {
	Client client.Client
}

// Get reads a Spider.
func (s Spiders) Get(ctx context.Context, namespace, name string) (*v1alpha1.Spider, error) {
	return read(ctx, s.Client, "Spider", namespace, name, &v1alpha1.Spider{})
}

// Named lists the Spiders of this spec.name.
func (s Spiders) Named(ctx context.Context, namespace, name string) ([]*v1alpha1.Spider, error) {
	var list v1alpha1.SpiderList
	if err := s.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"spec.name": name}); err != nil {
		return nil, fmt.Errorf("listing the Spiders of the name %q in %s: %w", name, namespace, err)
	}
	spiders := make([]*v1alpha1.Spider, len(list.Items))
	for i := range list.Items {
		spiders[i] = &list.Items[i]
	}
	return spiders, nil
}

// Create records a new Spider and returns it as Kubernetes recorded it.
func (s Spiders) Create(ctx context.Context, spider *v1alpha1.Spider) (*v1alpha1.Spider, error) {
	return create(ctx, s.Client, "Spider", spider.DeepCopy())
}

// Patch merges spec, a JSON merge patch, into the spec of the Spider in exactly the state of the given resource version, and
// returns the resulting Spider. It is a conflict if the Spider has changed since.
func (s Spiders) Patch(
	ctx context.Context, namespace, name, resourceVersion string, spec map[string]any,
) (*v1alpha1.Spider, error) {
	return patchSpec(ctx, s.Client, "Spider", namespace, name, resourceVersion, spec, &v1alpha1.Spider{})
}

// Delete deletes the Spider in exactly the state of the given resource version. It is a conflict if the Spider has changed
// since.
func (s Spiders) Delete(ctx context.Context, namespace, name, resourceVersion string) error {
	return remove(ctx, s.Client, "Spider", namespace, name, resourceVersion, &v1alpha1.Spider{})
}
