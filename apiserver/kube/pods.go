package kube

import (
	"context"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/podlog"
)

// Pods reads Pods and their logs, live. Errors are those of k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Pods struct {
	client typedcorev1.PodsGetter
}

// NewPods creates its own client. It speaks HTTP/1.1: with it, a log with a slow reader holds back its node, while HTTP/2 would
// buffer up to 4 MiB of each here.
func NewPods(config *rest.Config) (Pods, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.NextProtos = []string{"http/1.1"}
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return Pods{}, fmt.Errorf("making a client for Pods: %w", err)
	}
	return Pods{client}, nil
}

// Get reads a Pod.
func (p Pods) Get(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := p.client.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading Pod %s/%s: %w", namespace, name, err)
	}
	return pod, nil
}

// Log opens the log of a Pod's spider.
func (p Pods) Log(namespace, name string) podlog.Opener {
	open := podlog.Of(p.client, namespace, name)
	return func(ctx context.Context, options *corev1.PodLogOptions) (io.ReadCloser, error) {
		options = options.DeepCopy()
		options.Container = v1alpha1.ContainerName
		log, err := open(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("reading the log of Pod %s/%s: %w", namespace, name, err)
		}
		return log, nil
	}
}
