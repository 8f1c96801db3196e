package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/hack/internal/command"
)

// deployed reports whether the Pod is one of a Deployment's, which is to run for good, as a job's is not.
func deployed(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.OwnerReferences, func(owner metav1.OwnerReference) bool { return owner.Kind == "ReplicaSet" })
}

// troubles says, a line each, what is wrong with a Pod; nothing if nothing is.
func troubles(p *corev1.Pod) []string {
	var lines []string
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			lines = append(lines, fmt.Sprintf("Pod %s is not scheduled: %s: %s", p.Name, condition.Reason, condition.Message))
		}
	}
	for _, container := range p.Status.ContainerStatuses {
		name := fmt.Sprintf("Pod %s, container %s", p.Name, container.Name)
		if container.RestartCount > 0 {
			name += fmt.Sprintf(" (restarted %d times)", container.RestartCount)
		}
		switch state := container.State; {
		case state.Waiting != nil:
			lines = append(lines, joined(name+" waits", state.Waiting.Reason, state.Waiting.Message))
		case state.Terminated != nil && state.Terminated.ExitCode != 0:
			lines = append(lines, joined(fmt.Sprintf("%s ended with exit code %d", name, state.Terminated.ExitCode),
				state.Terminated.Reason, lastLine(state.Terminated.Message)))
		case !container.Ready && state.Terminated == nil:
			lines = append(lines, name+" runs but is not ready")
		}
	}
	return lines
}

// lastLine is what a message that is the end of a log comes down to.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}

// joined joins what is not empty with colons.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}

// explainPods is an error that tells why Deployments of a namespace do not run: what is wrong with their Pods, the end of
// these Pods' logs, and the namespace's warnings. It is nil when nothing was found.
func (d *demo) explainPods(ctx context.Context, namespace string) error {
	printed, err := d.ask(ctx, "get", "pods", "--namespace", namespace, "--output", "json")
	if err != nil {
		return err
	}
	var pods corev1.PodList
	if err := json.Unmarshal([]byte(printed), &pods); err != nil {
		return fmt.Errorf("read the Pods of %s: %w", namespace, err)
	}
	var found []error
	for i := range pods.Items {
		p := &pods.Items[i]
		if wrong := troubles(p); len(wrong) > 0 && deployed(p) {
			found = append(found, errors.New(strings.Join(wrong, "\n")), d.podLog(ctx, namespace, p.Name))
		}
	}
	return errors.Join(append(found, d.warnings(ctx, namespace))...)
}

// podLog is an error that holds the end of a Pod's log, of the container before if this one has just been started again.
func (d *demo) podLog(ctx context.Context, namespace, name string) error {
	logs := []string{"logs", name, "--namespace", namespace, "--tail=20"}
	text, err := d.ask(ctx, append(logs, "--previous")...)
	if err != nil {
		text, err = d.ask(ctx, logs...)
	}
	if err != nil || text == "" {
		return nil //nolint:nilerr // A Pod that never started has no log: what is known of it has been said.
	}
	return fmt.Errorf("log of Pod %s:%s", name, command.Indented(text))
}

// warnings is an error that holds the last warnings of a namespace.
func (d *demo) warnings(ctx context.Context, namespace string) error {
	const shown = 5
	text, err := d.ask(ctx, "get", "events", "--namespace", namespace, "--field-selector", "type=Warning",
		"--sort-by", ".lastTimestamp", "--no-headers",
		"--output", `custom-columns=KIND:.involvedObject.kind,NAME:.involvedObject.name,REASON:.reason,MESSAGE:.message`)
	if err != nil {
		return err
	}
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	last := strings.Join(lines[max(0, len(lines)-shown):], "\n")
	return fmt.Errorf("the last warnings in %s:%s", namespace, command.Indented(last))
}

// explainJob is an error that tells what is known of a job that did not end well.
func (d *demo) explainJob(ctx context.Context, id string) error {
	status, err := d.ask(ctx, "get", "spiderjob", id, "--namespace", demoNamespace, "--output",
		`jsonpath={.status.phase}: {.status.reason}: {.status.message}{"\t"}{.status.podName}`)
	if err != nil {
		return err
	}
	status, pod, _ := strings.Cut(status, "\t")
	found := []error{fmt.Errorf("SpiderJob %s: %s", id, status)}
	if pod != "" {
		found = append(found, d.podLog(ctx, demoNamespace, pod))
	}
	found = append(found, d.warnings(ctx, demoNamespace))
	if status == "" || strings.HasPrefix(status, "Pending") {
		found = append(found, d.explainPods(ctx, operatorNamespace))
	}
	return errors.Join(found...)
}
