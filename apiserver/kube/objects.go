package kube

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What follows reads and writes single objects, live. Errors name the object by its kind.

// read fills in an object.
func read[T client.Object](ctx context.Context, c client.Client, kind, namespace, name string, object T) (T, error) {
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object); err != nil {
		return *new(T), fmt.Errorf("reading %s %s/%s: %w", kind, namespace, name, err)
	}
	return object, nil
}

// create records a new object and returns it as Kubernetes recorded it.
func create[T client.Object](ctx context.Context, c client.Client, kind string, created T) (T, error) {
	if err := c.Create(ctx, created); err != nil {
		return *new(T), fmt.Errorf("creating %s %s/%s: %w", kind, created.GetNamespace(), created.GetName(), err)
	}
	return created, nil
}

// patchSpec merges spec, a JSON merge patch, into the spec of an object in exactly the state of the given resource version, and
// fills in the result.
func patchSpec[T client.Object](
	ctx context.Context, c client.Client, kind, namespace, name, resourceVersion string, spec map[string]any, object T,
) (T, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": resourceVersion}, "spec": spec})
	if err != nil {
		return *new(T), fmt.Errorf("encoding the change of %s %s/%s: %w", kind, namespace, name, err)
	}
	object.SetNamespace(namespace)
	object.SetName(name)
	if err := c.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return *new(T), fmt.Errorf("changing %s %s/%s: %w", kind, namespace, name, err)
	}
	return object, nil
}

// remove deletes an object in exactly the state of the given resource version.
func remove(ctx context.Context, c client.Client, kind, namespace, name, resourceVersion string, object client.Object) error {
	object.SetNamespace(namespace)
	object.SetName(name)
	if err := c.Delete(ctx, object, client.Preconditions{ResourceVersion: &resourceVersion}); err != nil {
		return fmt.Errorf("deleting %s %s/%s: %w", kind, namespace, name, err)
	}
	return nil
}
