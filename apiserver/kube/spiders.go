package kube

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Spiders reads and writes single Spiders, live. Errors are those of k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Spiders struct {
	Client client.Client
}

// Get reads a Spider.
func (s Spiders) Get(ctx context.Context, namespace, name string) (*v1alpha1.Spider, error) {
	spider := &v1alpha1.Spider{}
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, spider); err != nil {
		return nil, fmt.Errorf("reading Spider %s/%s: %w", namespace, name, err)
	}
	return spider, nil
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
	created := spider.DeepCopy()
	if err := s.Client.Create(ctx, created); err != nil {
		return nil, fmt.Errorf("creating Spider %s/%s: %w", spider.Namespace, spider.Name, err)
	}
	return created, nil
}

// Patch merges spec, a JSON merge patch, into the spec of the Spider in exactly the state of the given resource version, and
// returns the resulting Spider. It is a conflict if the Spider has changed since.
func (s Spiders) Patch(
	ctx context.Context, namespace, name, resourceVersion string, spec map[string]any,
) (*v1alpha1.Spider, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": resourceVersion}, "spec": spec})
	if err != nil {
		return nil, fmt.Errorf("encoding the change of Spider %s/%s: %w", namespace, name, err)
	}
	spider := &v1alpha1.Spider{}
	spider.Namespace, spider.Name = namespace, name
	if err := s.Client.Patch(ctx, spider, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return nil, fmt.Errorf("changing Spider %s/%s: %w", namespace, name, err)
	}
	return spider, nil
}

// Delete deletes the Spider in exactly the state of the given resource version. It is a conflict if the Spider has changed
// since.
func (s Spiders) Delete(ctx context.Context, namespace, name, resourceVersion string) error {
	spider := &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := s.Client.Delete(ctx, spider, client.Preconditions{ResourceVersion: &resourceVersion}); err != nil {
		return fmt.Errorf("deleting Spider %s/%s: %w", namespace, name, err)
	}
	return nil
}
