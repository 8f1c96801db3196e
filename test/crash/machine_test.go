package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// localCluster is the cluster of hack/cluster, whose components can be killed.
type localCluster struct {
	// program is the built command. It finds its cluster from source, the directory that it was built in.
	program, source string
}

func findLocalCluster(ctx context.Context) (*localCluster, error) {
	source, err := filepath.Abs("../../hack")
	if err != nil {
		return nil, fmt.Errorf("find hack/cluster: %w", err)
	}
	dir, err := os.MkdirTemp("", "crash-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the local cluster's program: %w", err)
	}
	c := &localCluster{program: filepath.Join(dir, "cluster"), source: source}
	build := exec.CommandContext(ctx, "go", "build", "-o", c.program, "./cluster")
	build.Dir = source
	if output, err := build.CombinedOutput(); err != nil {
		c.forget()
		return nil, fmt.Errorf("build hack/cluster: %w: %s", err, output)
	}
	env := exec.CommandContext(ctx, c.program, "env")
	env.Dir = source
	output, err := env.Output()
	_, kubeconfig, _ := strings.Cut(strings.TrimSpace(string(output)), "KUBECONFIG=")
	if err != nil || kubeconfig != os.Getenv("KUBECONFIG") {
		c.forget()
		return nil, fmt.Errorf("these tests kill components of the local cluster (`make cluster-up`), and KUBECONFIG=%q is not it",
			os.Getenv("KUBECONFIG"))
	}
	return c, nil
}

func (c *localCluster) forget() { _ = os.RemoveAll(filepath.Dir(c.program)) } // in the place for temporary files

// run runs one of the program's commands.
func (c *localCluster) run(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, c.program, arguments...)
	command.Dir = c.source
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cluster %s: %w: %s", strings.Join(arguments, " "), err, output)
	}
	return nil
}

// kill kills a component as `kill -9` does. The component runs again when the test has ended, at the latest.
func (c *localCluster) kill(t *testing.T, component string) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.run(context.Background(), "up"); err != nil {
			t.Errorf("start what was killed: %v", err)
		}
	})
	if err := c.run(t.Context(), "kill", component); err != nil {
		t.Fatal(err)
	}
}

// start starts a component that was killed, and returns when it serves.
func (c *localCluster) start(t *testing.T, component string) {
	t.Helper()
	if err := c.run(t.Context(), "start", component); err != nil {
		t.Fatal(err)
	}
}

// processOf returns the process of a Pod with one container and one process: one of the operator's own.
func processOf(pod *corev1.Pod) (int, error) {
	if len(pod.Status.ContainerStatuses) != 1 {
		return 0, fmt.Errorf("find the process of Pod %s: it has %d containers", pod.Name, len(pod.Status.ContainerStatuses))
	}
	_, container, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil || container == "" {
		return 0, fmt.Errorf("find the process of Pod %s, container %q: %w", pod.Name, container, err)
	}
	for _, file := range files {
		groups, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(groups, []byte(container)) {
			continue // belongs to something else, or is gone meanwhile
		}
		return strconv.Atoi(filepath.Base(filepath.Dir(file)))
	}
	return 0, fmt.Errorf("find the process of Pod %s, container %s: none on this machine is in its control group",
		pod.Name, container)
}

// signal sends a signal to the process of one of the operator's Pods. Deleting a Pod without a grace period would not be
// enough: the kubelet still sends SIGTERM first.
func signal(t *testing.T, pod *corev1.Pod, sig syscall.Signal) {
	t.Helper()
	pid, err := processOf(pod)
	if err == nil {
		err = syscall.Kill(pid, sig)
	}
	if err != nil {
		t.Fatalf("send %s to Pod %s: %v", sig, pod.Name, err)
	}
}

// memory returns the resident memory of a process in bytes: now, and its peak since the last forgetPeak.
type memory struct{ now, peak int64 }

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	var m memory
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &m.now, "VmHWM": &m.peak}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}
		*into = kib << 10
	}
	if m.peak == 0 {
		return memory{}, errors.New("the kernel does not tell the memory of processes")
	}
	return m, nil
}

// forgetPeak makes the kernel measure the peak of a process's memory from now on.
func forgetPeak(pid int) error {
	const peak = "5" // see proc(5), clear_refs
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte(peak), 0)
}
