package node

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// killedCode is the exit code of a process that was ended by a SIGKILL.
const killedCode = 128 + 9

// live is a Pod's life on the node: bound, running, ended and, once it is to be deleted, gone.
func (n *Node) live(p *Process, program Program) {
	if err := n.bind(p); err != nil {
		n.fail(err)
		return
	}
	started := metav1.NewTime(time.Now())
	run := n.begin(p)
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
	if err := n.report(p, corev1.PodRunning, running); err != nil {
		n.fail(err)
	}
	exit := execute(p, program)
	n.end(run)
	p.log.close()

	phase := corev1.PodSucceeded
	if exit.Code != 0 {
		phase = corev1.PodFailed
	}
	if err := n.report(p, phase, terminated(p, exit, started)); err != nil {
		n.fail(err)
	}
	select {
	case <-p.Terminated():
	case <-p.Killed():
	case <-n.ctx.Done():
		return
	}
	if err := n.remove(p); err != nil {
		n.fail(err)
	}
}

// execute runs the program to its end, or for as long as it may run.
func execute(p *Process, program Program) Exit {
	exited := make(chan Exit, 1)
	go func() { exited <- program(p) }()
	select {
	case exit := <-exited:
		return exit
	case <-p.Killed():
		return Exit{Code: killedCode}
	}
}

// terminated describes the end of a process. One that fails without a message is quoted from its log.
func terminated(p *Process, exit Exit, started metav1.Time) corev1.ContainerState {
	reason := exit.Reason
	switch {
	case reason != "":
	case exit.Code == 0:
		reason = "Completed"
	default:
		reason = "Error"
	}
	message := exit.Message
	if message == "" && exit.Code != 0 {
		message = p.log.lastBytes(2048)
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: exit.Code, Reason: reason, Message: message, StartedAt: started, FinishedAt: metav1.NewTime(time.Now()),
	}}
}

func (n *Node) bind(p *Process) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Pod.Namespace, Name: p.Pod.Name, UID: p.Pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: n.name},
	}
	if err := n.client.CoreV1().Pods(p.Pod.Namespace).Bind(n.ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("bind Pod %s/%s: %w", p.Pod.Namespace, p.Pod.Name, err)
	}
	return nil
}

// report writes the Pod's status, and leaves those conditions alone that others have set.
func (n *Node) report(p *Process, phase corev1.PodPhase, state corev1.ContainerState) error {
	ready := corev1.ConditionFalse
	if state.Running != nil {
		ready = corev1.ConditionTrue
	}
	status := corev1.PodStatus{
		Phase: phase,
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
			{Type: corev1.ContainersReady, Status: ready},
			{Type: corev1.PodReady, Status: ready},
		},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name:    v1alpha1.ContainerName,
			Image:   p.Pod.Spec.Containers[0].Image,
			ImageID: p.Pod.Spec.Containers[0].Image + "@sha256:0000000000000000000000000000000000000000000000000000000000000000",
			Ready:   state.Running != nil,
			State:   state,
		}},
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.Pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encode the status of Pod %s/%s: %w", p.Pod.Namespace, p.Pod.Name, err)
	}
	_, err = n.client.CoreV1().Pods(p.Pod.Namespace).
		Patch(n.ctx, p.Pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("report the status of Pod %s/%s: %w", p.Pod.Namespace, p.Pod.Name, err)
	}
	return nil
}

// remove lets go of a Pod that was to be deleted and whose process has ended.
func (n *Node) remove(p *Process) error {
	err := n.client.CoreV1().Pods(p.Pod.Namespace).Delete(n.ctx, p.Pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(p.Pod.UID)),
	})
	if err != nil {
		return fmt.Errorf("remove Pod %s/%s: %w", p.Pod.Namespace, p.Pod.Name, err)
	}
	return nil
}
