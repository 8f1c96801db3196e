package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestALostNodeIsWaitedForAndNamed has a lost node that still runs what was cancelled. Whatever the grace period, no end is
// recorded before the node has confirmed it, and meanwhile the message says what the job waits for.
func TestALostNodeIsWaitedForAndNamed(t *testing.T) {
	n := cluster.Namespace(t)
	n.Counter("counter")
	jobs := fleet{}
	jobs.start(n, t, "lost", counting(100_000), -1)
	n.AwaitPhase("lost", v1alpha1.PhaseRunning, soon)
	pod := n.AwaitPod("lost", "runs", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
	process, err := processOf(pod)
	if err != nil {
		t.Fatal(err)
	}
	machine.kill(t, "kubelet")
	n.Run("", "patch", "spiderjob", "lost", "--type=merge", "--patch", `{"spec": {"cancellation": {"gracePeriodSeconds": 0}}}`)
	st := n.Await("lost", "says what it waits for", 2*soon, func(job *v1alpha1.SpiderJob) bool {
		return strings.Contains(job.Status.Message, pod.Name) || job.Status.Phase.Terminal()
	}).Status
	if st.Phase != v1alpha1.PhaseRunning || st.Reason != v1alpha1.ReasonStopping ||
		!strings.Contains(st.Message, pod.Spec.NodeName) {
		t.Errorf("with its node lost the job is %s, %s: %s", st.Phase, st.Reason, st.Message)
	}
	if err := syscall.Kill(process, 0); err != nil {
		t.Errorf("its process does not run any more, so this test has shown nothing: %v", err)
	}
	machine.start(t, "kubelet")
	if st := n.AwaitEnd("lost", soon).Status; st.Phase != v1alpha1.PhaseCancelled || st.Attempts != 1 {
		t.Errorf("ended %s, %s: %s, after %d attempts", st.Phase, st.Reason, st.Message, st.Attempts)
	}
	if err := syscall.Kill(process, 0); err == nil {
		t.Error("its process runs after the end")
	}
	n.Gone("lost")
}

// TestARebootOfTheNodeIsAnInterruption has a node reboot: it loses its containers, and reports an invented end for them. The
// job is interrupted, and starts again.
func TestARebootOfTheNodeIsAnInterruption(t *testing.T) {
	n := cluster.Namespace(t)
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) { spec.Retries = ptr.To[int32](0) })
	jobs := fleet{}
	jobs.start(n, t, "rebooted", counting(100), 100)
	n.AwaitPhase("rebooted", v1alpha1.PhaseRunning, soon)
	pod := n.AwaitPod("rebooted", "runs", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
	machine.kill(t, "kubelet")
	machine.kill(t, "containerd") // otherwise it would take the shim for crashed, and invent an end
	killAll(t, pod)
	machine.start(t, "containerd")
	machine.start(t, "kubelet")
	st := n.AwaitEnd("rebooted", storm).Status
	if st.Phase != v1alpha1.PhaseFinished || st.Attempts != 2 || st.Interruptions != 1 || st.Stats.ItemsScraped != 100 ||
		!st.Stats.Final {
		var made corev1.Pod
		err := n.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), &made)
		t.Errorf("ended %s, %s: %s, after %d attempts and %d interruptions, counts %+v; its first Pod is %+v (%v)",
			st.Phase, st.Reason, st.Message, st.Attempts, st.Interruptions, st.Stats, made.Status.ContainerStatuses, err)
	}
}

// killAll kills the shim of a Pod, and then all processes of the Pod: nothing is left that could report how they ended.
func killAll(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	processes, err := processesOf(pod)
	if err != nil {
		t.Fatal(err)
	}
	shims := map[int]bool{}
	for _, pid := range processes {
		parent, err := parentOf(pid)
		if err != nil {
			t.Fatal(err)
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
		if err == nil && strings.HasPrefix(string(name), "containerd-shim") {
			shims[parent] = true
		}
	}
	if len(shims) != 1 {
		t.Fatalf("Pod %s has the processes %v and the shims %v, want one shim", pod.Name, processes, shims)
	}
	for shim := range shims {
		processes = append([]int{shim}, processes...)
	}
	for _, pid := range processes {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("kill process %d of Pod %s: %v", pid, pod.Name, err)
		}
	}
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		left, err := processesOf(pod)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %v of Pod %s still run", left, pod.Name)
		}
	}
}

// processesOf returns the processes of this machine that are in a Pod's control group.
func processesOf(pod *corev1.Pod) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find the processes of Pod %s: %w", pod.Name, err)
	}
	var processes []int
	for _, file := range files {
		groups, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(groups, []byte("pod"+pod.UID)) {
			continue // belongs to something else, or is gone meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, fmt.Errorf("find the processes of Pod %s: %w", pod.Name, err)
		}
		processes = append(processes, pid)
	}
	return processes, nil
}

func parentOf(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("find the parent of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("find the parent of process %d: the kernel does not tell", pid)
}
