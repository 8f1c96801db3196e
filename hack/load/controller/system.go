package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "embed"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/process"

	"github.com/scrapethis/spider-operator/hack/internal/checkout"
)

// assetsVariable is how the control plane is told where its components are.
const assetsVariable = "KUBEBUILDER_ASSETS"

//go:embed stages.yaml
var stages string

// system is everything that is measured: a control plane with a scheduler, nodes played by KWOK, and the operator's controller.
type system struct {
	*controlplane.ControlPlane
	// server reads kube-apiserver's own metrics.
	server    rest.Interface
	directory string
	processes []*process.Process
	operator  *process.Process
	// insight is the address of the operator's metrics, heap and profiles.
	insight string
	workers int
}

// startSystem starts it all, but for the operator.
func startSystem(ctx context.Context, opts options) (_ *system, err error) {
	root, err := checkout.Root("")
	if err != nil {
		return nil, err
	}
	say("building the components (the first time takes minutes)")
	assets := os.Getenv(assetsVariable)
	if assets == "" {
		if assets, err = output(ctx, filepath.Join(root, "hack"), "go", "run", "./cluster", "assets"); err != nil {
			return nil, err
		}
		if err := os.Setenv(assetsVariable, assets); err != nil {
			return nil, fmt.Errorf("tell the control plane where its components are: %w", err)
		}
	}
	kwok, err := output(ctx, filepath.Join(root, "hack", "kwok"), "go", "tool", "-n", "kwok")
	if err != nil {
		return nil, err
	}

	s := &system{workers: opts.workers}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.directory, err = os.MkdirTemp("", "spider-operator-bench-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	say("starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK")
	if s.ControlPlane, err = controlplane.Start(ctx); err != nil {
		return nil, err
	}
	clientset, err := kubernetes.NewForConfig(s.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	s.server = clientset.RESTClient()
	config := filepath.Join(s.directory, "kwok.yaml")
	content := strings.ReplaceAll(stages, "RUN_MILLISECONDS", strconv.FormatInt(opts.podTime.Milliseconds(), 10))
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return nil, fmt.Errorf("write KWOK's stages: %w", err)
	}
	running := context.WithoutCancel(ctx) // they run until they are stopped, which is done in order
	for _, command := range []*exec.Cmd{
		exec.CommandContext(running, filepath.Join(assets, "kube-scheduler"), "--kubeconfig="+s.Kubeconfig, "--leader-elect=false",
			"--secure-port=0", "--kube-api-qps=2000", "--kube-api-burst=4000"),
		// It limits its own requests in no way.
		exec.CommandContext(running, kwok, "--kubeconfig="+s.Kubeconfig, "--config="+config),
	} {
		p, err := startProcess(s.directory, filepath.Base(command.Path), command)
		if err != nil {
			return nil, err
		}
		s.processes = append(s.processes, p)
	}
	if err := s.addNodes(ctx, opts.nodes); err != nil {
		return nil, err
	}
	return s, nil
}

// addNodes makes nodes and waits until KWOK has made them ready.
func (s *system) addNodes(ctx context.Context, n int) error {
	for i := range n {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%03d", i)}}
		if err := s.Client.Create(ctx, node); err != nil {
			return fmt.Errorf("create node %s: %w", node.Name, err)
		}
		// Admission taints a new node as not ready, and there is no node controller to take that back.
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"taints":null}}`))
		if err := s.Client.Patch(ctx, node, patch); err != nil {
			return fmt.Errorf("untaint node %s: %w", node.Name, err)
		}
	}
	return s.until(ctx, "the nodes are ready", func(ctx context.Context) (bool, error) {
		var nodes corev1.NodeList
		if err := s.Client.List(ctx, &nodes); err != nil {
			return false, fmt.Errorf("list nodes: %w", err)
		}
		ready := 0
		for _, node := range nodes.Items {
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return ready >= n, nil
	})
}

// startOperator starts the operator's controller. It has to be stopped first where one runs.
func (s *system) startOperator(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the operator: %w", err)
	}
	defer func() { _ = listener.Close() }() // the operator has its own copy
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return fmt.Errorf("hand a listener to the operator: %w", err)
	}
	defer func() { _ = file.Close() }()
	command := exec.CommandContext(context.WithoutCancel(ctx), program, operatorCommand, s.Kubeconfig, strconv.Itoa(s.workers))
	command.ExtraFiles = []*os.File{file}
	if s.operator, err = startProcess(s.directory, operatorCommand, command); err != nil {
		return err
	}
	s.insight = "http://" + listener.Addr().String()
	return nil
}

func (s *system) stopOperator() error {
	if s.operator == nil {
		return nil
	}
	p := s.operator
	s.operator = nil
	return p.Stop()
}

// stop stops everything and removes its files.
func (s *system) stop() error {
	errs := []error{s.stopOperator()}
	for _, p := range s.processes {
		errs = append(errs, p.Stop())
	}
	if s.ControlPlane != nil {
		errs = append(errs, s.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.directory))...)
}

// failure is the first failure of a process that should run.
func (s *system) failure() error {
	for _, p := range s.processes {
		if err := p.Failure(); err != nil {
			return err
		}
	}
	if s.operator != nil {
		return s.operator.Failure()
	}
	return nil
}

// patience is how long anything may go without progress.
const patience = 2 * time.Minute

// until waits for a condition, as long as every process runs.
func (s *system) until(ctx context.Context, what string, condition func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.failure(); err != nil {
			return err
		}
		done, err := condition(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}

// ask asks the operator's process for something only a benchmark wants.
func (s *system) ask(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.insight+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the operator for %s: %w", path, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the operator for %s: %w", path, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the operator for %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the operator for %s: %s: %s", path, response.Status, body)
	}
	return body, nil
}

// heap is what the operator's heap holds, in bytes.
func (s *system) heap(ctx context.Context) (uint64, error) {
	answer, err := s.ask(ctx, http.MethodGet, "/memory")
	if err != nil {
		return 0, err
	}
	var use memoryUse
	if err := json.Unmarshal(answer, &use); err != nil {
		return 0, fmt.Errorf("read the size of the operator's heap: %w", err)
	}
	return use.Heap, nil
}
