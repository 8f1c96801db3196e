package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// podList is what the demo reads of a list of Pods.
type podList struct {
	Items []pod `json:"items"`
}

type pod struct {
	Metadata struct {
		Name            string `json:"name"`
		OwnerReferences []struct {
			Kind string `json:"kind"`
		} `json:"ownerReferences"`
	} `json:"metadata"`
	Status struct {
		Phase      string `json:"phase"`
		Conditions []struct {
			Type, Status, Reason, Message string
		} `json:"conditions"`
		ContainerStatuses []containerStatus `json:"containerStatuses"`
	} `json:"status"`
}

type containerStatus struct {
	Name         string `json:"name"`
	Ready        bool   `json:"ready"`
	RestartCount int    `json:"restartCount"`
	State        struct {
		Waiting    *containerState `json:"waiting"`
		Terminated *containerState `json:"terminated"`
	} `json:"state"`
}

type containerState struct {
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	ExitCode int    `json:"exitCode"`
}

// deployed reports whether the Pod is one of a Deployment's, which is to run for good, as a job's is not.
func (p pod) deployed() bool {
	for _, owner := range p.Metadata.OwnerReferences {
		if owner.Kind == "ReplicaSet" {
			return true
		}
	}
	return false
}

// troubles says, a line each, what is wrong with a Pod; nothing if nothing is.
func (p pod) troubles() []string {
	var lines []string
	for _, condition := range p.Status.Conditions {
		if condition.Type == "PodScheduled" && condition.Status == "False" {
			lines = append(lines, fmt.Sprintf("Pod %s is not scheduled: %s: %s", p.Metadata.Name, condition.Reason, condition.Message))
		}
	}
	for _, container := range p.Status.ContainerStatuses {
		name := fmt.Sprintf("Pod %s, container %s", p.Metadata.Name, container.Name)
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
	var present []string
	for _, part := range parts {
		if part != "" {
			present = append(present, part)
		}
	}
	return strings.Join(present, ": ")
}

// explainPods is an error that tells why Deployments of a namespace do not run: what is wrong with their Pods, the end of
// these Pods' logs, and the namespace's warnings. It is nil when nothing was found.
func (d *demo) explainPods(ctx context.Context, namespace string) error {
	printed, err := d.kubectl.run(ctx, "get", "pods", "--namespace", namespace, "--output", "json")
	if err != nil {
		return err
	}
	var pods podList
	if err := json.Unmarshal([]byte(printed), &pods); err != nil {
		return fmt.Errorf("read the Pods of %s: %w", namespace, err)
	}
	var found []error
	for _, p := range pods.Items {
		if troubles := p.troubles(); len(troubles) > 0 && p.deployed() {
			found = append(found, errors.New(strings.Join(troubles, "\n")), d.podLog(ctx, namespace, p.Metadata.Name))
		}
	}
	return errors.Join(append(found, d.warnings(ctx, namespace))...)
}

// podLog is an error that holds the end of a Pod's log, of the container before if this one has just been started again.
func (d *demo) podLog(ctx context.Context, namespace, name string) error {
	logs := []string{"logs", name, "--namespace", namespace, "--tail=20"}
	text, err := d.kubectl.run(ctx, append(logs, "--previous")...)
	if err != nil {
		text, err = d.kubectl.run(ctx, logs...)
	}
	if err != nil || strings.TrimSpace(text) == "" {
		return nil //nolint:nilerr // A Pod that never started has no log: what is known of it has been said.
	}
	return fmt.Errorf("log of Pod %s:%s", name, indented(text))
}

// warnings is an error that holds the last warnings of a namespace.
func (d *demo) warnings(ctx context.Context, namespace string) error {
	const shown = 5
	text, err := d.kubectl.run(ctx, "get", "events", "--namespace", namespace, "--field-selector", "type=Warning",
		"--sort-by", ".lastTimestamp", "--no-headers",
		"--output", `custom-columns=KIND:.involvedObject.kind,NAME:.involvedObject.name,REASON:.reason,MESSAGE:.message`)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] == "" {
		return nil
	}
	return fmt.Errorf("the last warnings in %s:%s", namespace, indented(strings.Join(lines[max(0, len(lines)-shown):], "\n")))
}

// explainJob is an error that tells what is known of a job that did not end well.
func (d *demo) explainJob(ctx context.Context, id string) error {
	status, err := d.kubectl.run(ctx, "get", "spiderjob", id, "--namespace", demoNamespace, "--output",
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
