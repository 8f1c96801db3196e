package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Jobs reads and writes single SpiderJobs, live. Errors are those of k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Jobs struct {
	Client client.Client
}

// Get reads a SpiderJob.
func (j Jobs) Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderJob, error) {
	job := &v1alpha1.SpiderJob{}
	if err := j.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, job); err != nil {
		return nil, fmt.Errorf("reading SpiderJob %s/%s: %w", namespace, name, err)
	}
	return job, nil
}

// Create records a new SpiderJob and returns it as Kubernetes recorded it.
func (j Jobs) Create(ctx context.Context, job *v1alpha1.SpiderJob) (*v1alpha1.SpiderJob, error) {
	created := job.DeepCopy()
	if err := j.Client.Create(ctx, created); err != nil {
		return nil, fmt.Errorf("creating SpiderJob %s/%s: %w", job.Namespace, job.Name, err)
	}
	return created, nil
}

// Cancel records a cancellation on the SpiderJob in exactly the state of the given resource version, and returns the resulting
// SpiderJob. Empty fields of the given cancellation stay unchanged. It is a conflict if the SpiderJob has changed since.
func (j Jobs) Cancel(
	ctx context.Context, namespace, name, resourceVersion string, cancellation v1alpha1.Cancellation,
) (*v1alpha1.SpiderJob, error) {
	patch := map[string]any{"spec": map[string]any{"cancellation": cancellation}}
	return j.Patch(ctx, namespace, name, resourceVersion, patch)
}

// Patch merges a JSON merge patch into the SpiderJob in exactly the state of the given resource version, and returns the
// resulting SpiderJob. It is a conflict if the SpiderJob has changed since.
func (j Jobs) Patch(
	ctx context.Context, namespace, name, resourceVersion string, patch map[string]any,
) (*v1alpha1.SpiderJob, error) {
	metadata := map[string]any{}
	if given, has := patch["metadata"].(map[string]any); has {
		maps.Copy(metadata, given)
	}
	metadata["resourceVersion"] = resourceVersion
	patch = maps.Clone(patch)
	patch["metadata"] = metadata
	text, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encoding the change of SpiderJob %s/%s: %w", namespace, name, err)
	}
	job := &v1alpha1.SpiderJob{}
	job.Namespace, job.Name = namespace, name
	if err := j.Client.Patch(ctx, job, client.RawPatch(types.MergePatchType, text)); err != nil {
		return nil, fmt.Errorf("changing SpiderJob %s/%s: %w", namespace, name, err)
	}
	return job, nil
}
