package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	// components is the label that distinguishes the operator's objects: controller and apiserver.
	components = "app.kubernetes.io/component"
	// leaseName is the Lease that the leader among the controllers holds.
	leaseName = "spider-operator.controller.scrapethis.app"
)

var errNotYet = errors.New("not yet")

// operatorPods are the Pods of one of the operator's components.
func operatorPods(ctx context.Context, component string) ([]corev1.Pod, error) {
	list, err := cluster.Clientset.CoreV1().Pods(cluster.System).List(ctx,
		metav1.ListOptions{LabelSelector: components + "=" + component})
	if err != nil {
		return nil, fmt.Errorf("list the Pods of the %s: %w", component, err)
	}
	return list.Items, nil
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// awaitReplicas waits until the wanted number of controllers is ready, and no other is left.
func awaitReplicas(t *testing.T, want int) {
	t.Helper()
	cluster.Eventually(t, soon, fmt.Sprintf("%d controllers are ready", want), func(ctx context.Context) error {
		pods, err := operatorPods(ctx, "controller")
		if err != nil {
			return err
		}
		for i := range pods {
			if !ready(&pods[i]) {
				return fmt.Errorf("%w: Pod %s", errNotYet, pods[i].Name)
			}
		}
		if len(pods) != want {
			return fmt.Errorf("%w: there are %d", errNotYet, len(pods))
		}
		return nil
	})
}

// controllerProcess is the process of the only controller.
func controllerProcess(t *testing.T) int {
	t.Helper()
	awaitReplicas(t, 1)
	pods, err := operatorPods(t.Context(), "controller")
	if err != nil || len(pods) != 1 {
		t.Fatalf("find the controller: %d Pods, %v", len(pods), err)
	}
	pid, err := processOf(&pods[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// scale sets the number of controllers until the test ends.
func scale(t *testing.T, replicas int32) {
	t.Helper()
	before := setReplicas(t.Context(), t, replicas)
	t.Cleanup(func() { setReplicas(context.Background(), t, before) })
	awaitReplicas(t, int(replicas))
}

func setReplicas(ctx context.Context, t *testing.T, replicas int32) (before int32) {
	t.Helper()
	deployments := cluster.Clientset.AppsV1().Deployments(cluster.System)
	list, err := deployments.List(ctx, metav1.ListOptions{LabelSelector: components + "=controller"})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("find the Deployment of the controller: %d of them, %v", len(list.Items), err)
	}
	name := list.Items[0].Name
	current, err := deployments.GetScale(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("read the scale of the controller: %v", err)
	}
	before = current.Spec.Replicas
	current.Spec.Replicas = replicas
	if _, err := deployments.UpdateScale(ctx, name, current, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("scale the controller: %v", err)
	}
	return before
}

// holder returns the identity in the leader's Lease: the name of a Pod and a unique suffix; empty if no process leads.
func holder(ctx context.Context) (string, error) {
	lease, err := cluster.Clientset.CoordinationV1().Leases(cluster.System).Get(ctx, leaseName, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read who leads: %w", err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, ""), nil
}

// leader returns the Pod of the leading controller, and its identity.
func leader(t *testing.T) (pod *corev1.Pod, identity string) {
	t.Helper()
	cluster.Eventually(t, soon, "a controller leads", func(ctx context.Context) error {
		var err error
		if identity, err = holder(ctx); err != nil {
			return err
		}
		pods, err := operatorPods(ctx, "controller")
		if err != nil {
			return err
		}
		for i := range pods {
			if strings.HasPrefix(identity, pods[i].Name+"_") {
				pod = &pods[i]
				return nil
			}
		}
		return fmt.Errorf("%w: the Lease is held by %q", errNotYet, identity)
	})
	return pod, identity
}

// killController kills the controller's processes, and their Pods with them, and waits until another is ready.
func killController(t *testing.T) {
	t.Helper()
	pods, err := operatorPods(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods {
		signal(t, &pods[i], syscall.SIGKILL)
	}
	cluster.KillPods(t, "controller")
}

// settle fails the test if a process of the operator has ended for another reason than what the test did to it. It then makes
// sure that Pods run that have never restarted. A controller that cannot reach Kubernetes for long has to stop leading, and
// does so by ending.
func settle(t *testing.T) {
	t.Helper()
	for _, component := range []string{"controller", "apiserver"} {
		pods, err := operatorPods(t.Context(), component)
		if err != nil {
			t.Fatal(err)
		}
		restarted := false
		for i := range pods {
			pod := &pods[i]
			for j := range pod.Status.ContainerStatuses {
				status := &pod.Status.ContainerStatuses[j]
				if status.RestartCount == 0 {
					continue
				}
				restarted = true
				log, err := cluster.Clientset.CoreV1().Pods(cluster.System).
					GetLogs(pod.Name, &corev1.PodLogOptions{Previous: true, TailLines: ptr.To[int64](20)}).DoRaw(t.Context())
				if component != "controller" || !strings.Contains(string(log), "leader election lost") {
					t.Errorf("Pod %s was restarted %d times, lastly after %+v, having said (%v):\n%s",
						pod.Name, status.RestartCount, status.LastTerminationState.Terminated, err, log)
				}
			}
		}
		if restarted {
			cluster.KillPods(t, component)
		}
	}
}
