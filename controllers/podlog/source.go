package podlog

import (
	"context"
	"errors"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// NewSource returns the Source that reads logs through the API server. The client must have no timeout of its own, which
// would cut streams off.
func NewSource(client kubernetes.Interface) Source {
	return clientSource{client}
}

type clientSource struct {
	client kubernetes.Interface
}

func (s clientSource) Open(ctx context.Context, target Target, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	return s.client.CoreV1().Pods(target.Namespace).GetLogs(target.Name, options).Stream(ctx)
}

// isGone reports whether the error proves that the Pod, and with it its log, does not exist. A kubelet that has just been
// started may answer 404 for a Pod that it does not know yet, which the API server passes on as one of "pods/log"; and what
// stands between may answer 404, too.
func isGone(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) &&
		status.Status().Details != nil && status.Status().Details.Kind == "pods"
}
