package podlog

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	logs "github.com/scrapethis/spider-operator/internal/podlog"
)

// NewSource returns the Source that reads logs through kube-apiserver. The client must have no timeout of its own, which would
// cut streams off.
func NewSource(client kubernetes.Interface) Source {
	return clientSource{client}
}

type clientSource struct {
	client kubernetes.Interface
}

func (s clientSource) Open(ctx context.Context, target Target, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	return logs.Of(s.client.CoreV1(), target.Namespace, target.Name)(ctx, options)
}
