package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
)

// explainDeployment is an error that tells why a Deployment does not run, in kubectl's words: the namespace's Pods, the end of
// the Deployment's log, and the namespace's warnings.
func (d *demo) explainDeployment(ctx context.Context, namespace, name string) error {
	pods, err := d.ask(ctx, "get", "pods", "--namespace", namespace)
	if err != nil {
		return err
	}
	return errors.Join(fmt.Errorf("the Pods in %s:%s", namespace, command.Indented(pods)),
		d.log(ctx, namespace, name), d.warnings(ctx, namespace))
}

// log is an error that holds the end of a log, of the container before if this one has just been started again.
func (d *demo) log(ctx context.Context, namespace, name string) error {
	logs := []string{"logs", name, "--namespace", namespace, "--tail=20"}
	text, err := d.ask(ctx, append(logs, "--previous")...)
	if err != nil {
		text, err = d.ask(ctx, logs...)
	}
	if err != nil || text == "" {
		return nil //nolint:nilerr // A Pod that never started has no log: what is known of it has been said.
	}
	return fmt.Errorf("log of %s:%s", name, command.Indented(text))
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
		found = append(found, d.log(ctx, demoNamespace, "pod/"+pod))
	}
	found = append(found, d.warnings(ctx, demoNamespace))
	if status == "" || strings.HasPrefix(status, "Pending") {
		found = append(found, d.explainDeployment(ctx, operatorNamespace, controllerDeployment))
	}
	return errors.Join(found...)
}
