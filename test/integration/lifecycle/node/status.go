package node

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func (l *life) bind() error {
	n := l.node
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.pod.Namespace, Name: l.pod.Name, UID: l.pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: n.name},
	}
	if err := n.client.CoreV1().Pods(l.pod.Namespace).Bind(n.ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("bind Pod %s/%s: %w", l.pod.Namespace, l.pod.Name, err)
	}
	return nil
}

// report writes the Pod's status, once the node is connected, and leaves conditions that others have set alone.
func (l *life) report() {
	l.reporting.Lock()
	defer l.reporting.Unlock()
	n := l.node
	if !n.reachable(l.pod.Namespace) {
		return
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": l.pod.UID}, "status": l.status()})
	if err != nil {
		n.fail(fmt.Errorf("encode the status of Pod %s/%s: %w", l.pod.Namespace, l.pod.Name, err))
		return
	}
	_, err = n.client.CoreV1().Pods(l.pod.Namespace).
		Patch(n.ctx, l.pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		n.fail(fmt.Errorf("report the status of Pod %s/%s: %w", l.pod.Namespace, l.pod.Name, err))
	}
}

// status returns what a kubelet would report of the Pod now. It reports a terminal phase only when no process can run any more.
func (l *life) status() *corev1.PodStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	status := &corev1.PodStatus{Phase: corev1.PodPending, StartTime: &l.started}
	failed, running, waiting := l.reason != "", false, false
	for _, p := range l.processes {
		state := l.states[p.container]
		if l.over && state.Terminated == nil && p.kind == ordinary { // it never ran
			state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
			failed = true
		}
		cs := corev1.ContainerStatus{Name: p.container, State: state, Ready: state.Running != nil}
		if p.kind == ordinary {
			image := imageOf(l.pod.Spec.Containers, p.container)
			cs.Image, cs.ImageID = image, image+"@sha256:0000000000000000000000000000000000000000000000000000000000000000"
			status.ContainerStatuses = append(status.ContainerStatuses, cs)
			running = running || state.Running != nil || state.Terminated != nil
			waiting = waiting || state.Waiting != nil
		} else {
			cs.Image = imageOf(l.pod.Spec.InitContainers, p.container)
			status.InitContainerStatuses = append(status.InitContainerStatuses, cs)
		}
		if ended := state.Terminated; ended != nil && ended.ExitCode != 0 && p.kind != sidecar {
			failed = true
		}
	}
	ready := corev1.ConditionFalse
	switch {
	case l.over && failed:
		status.Phase = corev1.PodFailed
		status.Reason, status.Message = l.reason, l.message
	case l.over:
		status.Phase = corev1.PodSucceeded
	case running && !waiting:
		status.Phase, ready = corev1.PodRunning, corev1.ConditionTrue
	}
	status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodInitialized, Status: conditionOf(running)},
		{Type: corev1.ContainersReady, Status: ready},
		{Type: corev1.PodReady, Status: ready},
	}
	return status
}

func conditionOf(yes bool) corev1.ConditionStatus {
	if yes {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func imageOf(containers []corev1.Container, name string) string {
	for i := range containers {
		if containers[i].Name == name {
			return containers[i].Image
		}
	}
	return ""
}

// remove removes a Pod that was to be deleted and whose processes have ended.
func (l *life) remove() {
	n := l.node
	n.mu.Lock()
	delay := n.of(l.pod.Namespace).removal
	n.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-n.ctx.Done():
		return
	}
	if !n.reachable(l.pod.Namespace) {
		return
	}
	err := n.client.CoreV1().Pods(l.pod.Namespace).Delete(n.ctx, l.pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(l.pod.UID)),
	})
	if err != nil {
		n.fail(fmt.Errorf("remove Pod %s/%s: %w", l.pod.Namespace, l.pod.Name, err))
	}
}

// tellKilling reports in an Event that a container is being stopped, as the kubelet does.
func (l *life) tellKilling(p *Process) {
	field := "containers"
	if p.kind != ordinary {
		field = "initContainers"
	}
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.pod.Namespace, GenerateName: l.pod.Name + "."},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Pod", Namespace: l.pod.Namespace, Name: l.pod.Name, UID: l.pod.UID,
			FieldPath: fmt.Sprintf("spec.%s{%s}", field, p.container),
		},
		Type: corev1.EventTypeNormal, Reason: "Killing", Message: "Stopping container " + p.container,
		Source: corev1.EventSource{Component: "kubelet", Host: l.node.name}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	go func() {
		n := l.node
		if !n.reachable(l.pod.Namespace) {
			return
		}
		if _, err := n.client.CoreV1().Events(l.pod.Namespace).Create(n.ctx, event, metav1.CreateOptions{}); err != nil {
			n.fail(fmt.Errorf("tell of the end of container %s of Pod %s/%s: %w", p.container, l.pod.Namespace, l.pod.Name, err))
		}
	}()
}
