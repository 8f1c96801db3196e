package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// componentLabel tells the operator's Pods apart: controller and apiserver.
const componentLabel = "app.kubernetes.io/component"

// KillPods kills the Pods of one of the operator's components, without a chance for it to say goodbye, and waits until others
// are ready.
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

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// BooksInShop asks the demo's site, through the Kubernetes API, how many books it holds.
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
