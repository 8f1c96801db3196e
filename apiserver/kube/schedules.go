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

// Schedules reads and writes single SpiderSchedules, live. Errors are those of k8s.io/apimachinery/pkg/api/errors, or of the
// connection.
type Schedules struct {
	Client client.Client
}

// Get reads a SpiderSchedule.
func (s Schedules) Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderSchedule, error) {
	schedule := &v1alpha1.SpiderSchedule{}
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, schedule); err != nil {
		return nil, fmt.Errorf("reading SpiderSchedule %s/%s: %w", namespace, name, err)
	}
	return schedule, nil
}

// Create records a new SpiderSchedule and returns it as Kubernetes recorded it.
func (s Schedules) Create(ctx context.Context, schedule *v1alpha1.SpiderSchedule) (*v1alpha1.SpiderSchedule, error) {
	created := schedule.DeepCopy()
	if err := s.Client.Create(ctx, created); err != nil {
		return nil, fmt.Errorf("creating SpiderSchedule %s/%s: %w", schedule.Namespace, schedule.Name, err)
	}
	return created, nil
}

// Patch merges spec, a JSON merge patch, into the spec of the SpiderSchedule in exactly the state of the given resource version,
// and returns the resulting SpiderSchedule. It is a conflict if the SpiderSchedule has changed since.
func (s Schedules) Patch(
	ctx context.Context, namespace, name, resourceVersion string, spec map[string]any,
) (*v1alpha1.SpiderSchedule, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": resourceVersion}, "spec": spec})
	if err != nil {
		return nil, fmt.Errorf("encoding the change of SpiderSchedule %s/%s: %w", namespace, name, err)
	}
	schedule := &v1alpha1.SpiderSchedule{}
	schedule.Namespace, schedule.Name = namespace, name
	if err := s.Client.Patch(ctx, schedule, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return nil, fmt.Errorf("changing SpiderSchedule %s/%s: %w", namespace, name, err)
	}
	return schedule, nil
}

// Delete deletes the SpiderSchedule in exactly the state of the given resource version. It is a conflict if the SpiderSchedule
// has changed since.
func (s Schedules) Delete(ctx context.Context, namespace, name, resourceVersion string) error {
	schedule := &v1alpha1.SpiderSchedule{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := s.Client.Delete(ctx, schedule, client.Preconditions{ResourceVersion: &resourceVersion}); err != nil {
		return fmt.Errorf("deleting SpiderSchedule %s/%s: %w", namespace, name, err)
	}
	return nil
}
