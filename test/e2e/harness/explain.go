package harness

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

const (
	// explainTimeout bounds how long a failed test may take to log what it left behind.
	explainTimeout = 20 * time.Second
	// shownLines is how many lines are shown of a spider's log.
	shownLines = 25
	// shownControllerLines is how many lines about the namespace are shown of the controller's log.
	shownControllerLines = 40
)

// explain logs what may explain a failure: the SpiderJobs, their Pods and the ends of their logs, the Events, and what the
// controller logged about them.
func (n *Namespace) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), explainTimeout)
	defer cancel()
	var text strings.Builder
	for _, part := range []func(context.Context, *strings.Builder) error{n.tellJobs, n.tellPods, n.tellEvents, n.tellController} {
		if err := part(ctx, &text); err != nil {
			fmt.Fprintf(&text, "(%v)\n", err)
		}
	}
	n.t.Logf("what is in namespace %s:\n%s", n.Name, text.String())
}

func (n *Namespace) tellJobs(ctx context.Context, into *strings.Builder) error {
	var jobs v1alpha1.SpiderJobList
	if err := n.Client.List(ctx, &jobs, client.InNamespace(n.Name)); err != nil {
		return err
	}
	for _, job := range jobs.Items {
		const tooLong = 200
		for name, value := range job.Spec.Arguments {
			if len(value) > tooLong {
				job.Spec.Arguments[name] = value[:tooLong] + "…"
			}
		}
		described, err := yaml.Marshal(map[string]any{"created": job.CreationTimestamp, "spec": job.Spec, "status": job.Status})
		if err != nil {
			return err
		}
		fmt.Fprintf(into, "--- SpiderJob %s\n%s", job.Name, described)
	}
	return nil
}

func (n *Namespace) tellPods(ctx context.Context, into *strings.Builder) error {
	var pods corev1.PodList
	if err := n.Client.List(ctx, &pods, client.InNamespace(n.Name)); err != nil {
		return err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		described, err := yaml.Marshal(map[string]any{
			"deleted": pod.DeletionTimestamp, "phase": pod.Status.Phase, "containers": pod.Status.ContainerStatuses,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(into, "--- Pod %s\n%s", pod.Name, described)
		log, err := n.Clientset.CoreV1().Pods(n.Name).GetLogs(pod.Name,
			&corev1.PodLogOptions{TailLines: new(int64(shownLines))}).DoRaw(ctx)
		if err == nil && len(log) > 0 {
			fmt.Fprintf(into, "its log:\n%s\n", bytes.TrimSpace(log))
		}
	}
	return nil
}

func (n *Namespace) tellEvents(ctx context.Context, into *strings.Builder) error {
	var events corev1.EventList
	if err := n.Client.List(ctx, &events, client.InNamespace(n.Name)); err != nil {
		return err
	}
	into.WriteString("--- Events\n")
	for _, e := range events.Items {
		fmt.Fprintf(into, "%s %s/%s %s: %s\n", e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	return nil
}

func (n *Namespace) tellController(ctx context.Context, into *strings.Builder) error {
	pods, err := n.Clientset.CoreV1().Pods(n.System).List(ctx, metav1.ListOptions{LabelSelector: componentLabel + "=controller"})
	if err != nil {
		return err
	}
	var lines []string
	for i := range pods.Items {
		log, err := n.Clientset.CoreV1().Pods(n.System).GetLogs(pods.Items[i].Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, n.Name) {
				lines = append(lines, line)
			}
		}
	}
	into.WriteString("--- the controller's log\n" + strings.Join(lines[max(0, len(lines)-shownControllerLines):], ""))
	return nil
}
