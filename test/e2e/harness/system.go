package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// componentLabel distinguishes the operator's Pods: controller and apiserver.
const componentLabel = "app.kubernetes.io/component"

// KillPods kills the Pods of one of the operator's components without a grace period, and waits until others are ready.
func (c *Cluster) KillPods(t testing.TB, component string) {
	t.Helper()
	pods := c.Clientset.CoreV1().Pods(c.System)
	selector := metav1.ListOptions{LabelSelector: componentLabel + "=" + component}
	killed, err := pods.List(t.Context(), selector)
	if err != nil || len(killed.Items) == 0 {
		t.Fatalf("find the Pods of the %s: %v", component, err)
	}
	old := map[string]bool{}
	for i := range killed.Items {
		name := killed.Items[i].Name
		old[name] = true
		if err := pods.Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
			t.Fatalf("kill Pod %s: %v", name, err)
		}
	}
	c.Eventually(t, time.Minute, "another Pod of the "+component+" is ready", func(ctx context.Context) error {
		now, err := pods.List(ctx, selector)
		if err != nil {
			return err
		}
		for i := range now.Items {
			if pod := &now.Items[i]; !old[pod.Name] && ready(pod) {
				return nil
			}
		}
		return errNotYet
	})
}

// OperatorImage is the image of the operator's processes.
func (c *Cluster) OperatorImage(t testing.TB) string {
	t.Helper()
	deployment, err := c.Clientset.AppsV1().Deployments(c.System).Get(t.Context(), "spider-operator-controller", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("find the operator: %v", err)
	}
	return deployment.Spec.Template.Spec.Containers[0].Image
}

// survived returns an error if a process of the operator has ended by itself, which must not happen whatever the tests do.
func (c *Cluster) survived(ctx context.Context) error {
	pods, err := c.Clientset.CoreV1().Pods(c.System).List(ctx, metav1.ListOptions{LabelSelector: componentLabel})
	if err != nil {
		return fmt.Errorf("look at the operator's Pods: %w", err)
	}
	var ended []error
	for i := range pods.Items {
		pod := &pods.Items[i]
		for j := range pod.Status.ContainerStatuses {
			status := &pod.Status.ContainerStatuses[j]
			if status.RestartCount > 0 {
				ended = append(ended, fmt.Errorf("the operator's Pod %s was restarted %d times, lastly after %+v",
					pod.Name, status.RestartCount, status.LastTerminationState.Terminated))
			}
		}
	}
	return errors.Join(ended...)
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Metrics reads the metrics of one of the operator's components, through the Kubernetes API.
func (c *Cluster) Metrics(t testing.TB, component string) string {
	t.Helper()
	service := "spider-operator-" + component + "-metrics"
	text, err := c.Clientset.CoreV1().Services(c.System).ProxyGet("http", service, "metrics", "/metrics", nil).DoRaw(t.Context())
	if err != nil {
		t.Fatalf("read the metrics of the %s: %v", component, err)
	}
	return string(text)
}

// BooksInShop asks the demo's site, through the Kubernetes API, for its number of books.
func (c *Cluster) BooksInShop(t testing.TB) int64 {
	t.Helper()
	answer, err := c.Clientset.CoreV1().Services("demo").ProxyGet("http", "site", "http", "/count.json", nil).DoRaw(t.Context())
	var count struct {
		Books int64 `json:"books"`
	}
	if err == nil {
		err = json.Unmarshal(answer, &count)
	}
	if err != nil || count.Books == 0 {
		t.Fatal(fmt.Errorf("ask the bookshop how many books it holds: %s: %w", answer, err))
	}
	return count.Books
}
