package kube

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Schedules reads and writes single SpiderSchedules, live. Errors are those of k8s.io/apimachinery/pkg/api/errors, or of the
// connection.
type Schedules struct {
	Client client.Client
}

// Get reads a SpiderSchedule.
func (s Schedules) Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderSchedule, error) {
	return read(ctx, s.Client, "SpiderSchedule", namespace, name, &v1alpha1.SpiderSchedule{})
}

// Create records a new SpiderSchedule and returns it as Kubernetes recorded it.
func (s Schedules) Create(ctx context.Context, schedule *v1alpha1.SpiderSchedule) (*v1alpha1.SpiderSchedule, error) {
	return create(ctx, s.Client, "SpiderSchedule", schedule.DeepCopy())
}

// Patch merges spec, a JSON merge patch, into the spec of the SpiderSchedule in exactly the state of the given resource version,
// and returns the resulting SpiderSchedule. It is a conflict if the SpiderSchedule has changed since.
func (s Schedules) Patch(
	ctx context.Context, namespace, name, resourceVersion string, spec map[string]any,
) (*v1alpha1.SpiderSchedule, error) {
	return patchSpec(ctx, s.Client, "SpiderSchedule", namespace, name, resourceVersion, spec, &v1alpha1.SpiderSchedule{})
}

// Delete deletes the SpiderSchedule in exactly the state of the given resource version. It is a conflict if the SpiderSchedule
// has changed since.
func (s Schedules) Delete(ctx context.Context, namespace, name, resourceVersion string) error {
	return remove(ctx, s.Client, "SpiderSchedule", namespace, name, resourceVersion, &v1alpha1.SpiderSchedule{})
}
