// Package system runs what is measured: a real control plane, nodes played by KWOK, and the operator's own processes.
package system

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/internal/checkout"
	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

const (
	// Creators is the most calls that create jobs at the same time.
	Creators = 16
	// Patience is how long to wait for a condition, or for progress. A REST API may have 100,000 jobs to read first.
	Patience = 5 * time.Minute
)

// System is a control plane and the processes beside it.
type System struct {
	*controlplane.ControlPlane
	// kubeAPIServer reads kube-apiserver's metrics.
	kubeAPIServer rest.Interface
	// Directory is this system's own, root the clone of the project.
	Directory, root string
	processes       []*process.Process
}

// Start starts a control plane. The caller stops it.
func Start(ctx context.Context) (_ *System, err error) {
	s := &System{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if s.Directory, err = os.MkdirTemp("", "spider-operator-load-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	measure.Say("building the operator")
	if s.root, err = checkout.Root(""); err != nil {
		return nil, err
	}
	operator := gobuild.Program{Module: s.root, Package: "./cmd/spider-operator"}
	if err := gobuild.Build(ctx, operator, s.program(), func(string, ...any) {}); err != nil {
		return nil, err
	}
	measure.Say("starting etcd, kube-apiserver and kube-controller-manager (the first time builds them, which takes minutes)")
	if s.ControlPlane, err = controlplane.Start(ctx); err != nil {
		return nil, err
	}
	clientset, err := kubernetes.NewForConfig(s.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	s.kubeAPIServer = clientset.RESTClient()
	return s, nil
}

// program is the operator's, as it was just built.
func (s *System) program() string { return filepath.Join(s.Directory, "spider-operator") }

// Stop stops everything and removes its files.
func (s *System) Stop() error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		errs = append(errs, p.Stop())
	}
	if s.ControlPlane != nil {
		errs = append(errs, s.ControlPlane.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.Directory))...)
}

// run starts a program, which logs to a file of that name and runs until it is stopped. The kernel kills it if this process ends
// first.
func (s *System) run(ctx context.Context, name, program string, args ...string) (*process.Process, error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	cmd.Args[0] = name
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p, err := process.Start(s.Directory, name, cmd)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

// Failure returns the first failure of a process that should run.
func (s *System) Failure() error {
	for _, p := range s.processes {
		if err := p.Failure(); err != nil {
			return err
		}
	}
	return nil
}

// Until waits for a condition, at most as long as its patience lasts and every process runs.
func (s *System) Until(ctx context.Context, what string, condition wait.ConditionWithContextFunc) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, Patience, true, func(ctx context.Context) (bool, error) {
		if err := s.Failure(); err != nil {
			return false, err
		}
		return condition(ctx)
	})
	if err != nil {
		return fmt.Errorf("wait until %s: %w", what, err)
	}
	return nil
}

// Each calls f with 0 to n-1, at most Creators calls at the same time, says every few seconds how far it is, and returns the
// first error.
func Each(ctx context.Context, title string, n int, f func(ctx context.Context, i int) error) error {
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(Creators)
	sometimes := rate.Sometimes{Interval: 5 * time.Second}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		calls.Go(func() error { return f(ctx, i) })
		sometimes.Do(func() { measure.Say("%s: %d of %d", title, i, n) })
	}
	return calls.Wait()
}

// Create creates objects, one after the other.
func (s *System) Create(ctx context.Context, objects ...client.Object) error {
	for _, object := range objects {
		if err := s.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("create %T %s: %w", object, object.GetName(), err)
		}
	}
	return nil
}

// Put creates a SpiderJob with its status.
func (s *System) Put(ctx context.Context, job *v1alpha1.SpiderJob) error {
	status := job.Status
	err := s.Create(ctx, job)
	if err == nil && status.Phase != v1alpha1.PhasePending {
		job.Status = status
		err = s.Client.Status().Update(ctx, job)
	}
	return err
}

// MergePatch is a JSON merge patch.
func MergePatch(format string, args ...any) client.Patch {
	return client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, args...))
}

// ArgumentBytes is the size of each job's arguments, names and values.
const ArgumentBytes = 200

// Arguments are those of every SpiderJob.
func Arguments() map[string]v1alpha1.ArgumentValue {
	const name = "start_url"
	value := "https://example.com/" + strings.Repeat("x", ArgumentBytes)
	return map[string]v1alpha1.ArgumentValue{name: v1alpha1.ArgumentValue(value[:ArgumentBytes-len(name)])}
}

//go:embed stages.yaml
var stages []byte

// AddNodes starts kube-scheduler and KWOK, and adds n nodes.
func (s *System) AddNodes(ctx context.Context, n int) error {
	measure.Say("starting kube-scheduler and %d nodes of KWOK (the first time builds it)", n)
	kwok, err := command.Output(command.In(ctx, filepath.Join(s.root, "hack", "kwok"), nil, "go", "tool", "-n", "kwok"))
	if err != nil {
		return fmt.Errorf("build KWOK: %w", err)
	}
	config := filepath.Join(s.Directory, "kwok.yaml")
	if err := os.WriteFile(config, stages, 0o600); err != nil {
		return err // it names the file
	}
	_, err = s.run(ctx, "kube-scheduler", filepath.Join(s.Assets, "kube-scheduler"), "--kubeconfig="+s.Kubeconfig,
		"--leader-elect=false", "--secure-port=0", "--kube-api-qps=2000", "--kube-api-burst=4000")
	if err != nil {
		return err
	}
	// KWOK does not limit its own requests.
	_, err = s.run(ctx, "kwok", kwok, "--kubeconfig="+s.Kubeconfig, "--config="+config)
	if err != nil {
		return err
	}
	for i := range n {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%03d", i)}}
		if err := s.Create(ctx, node); err != nil {
			return err
		}
		// Admission taints a new node as not ready, and no node controller runs that would remove the taint.
		if err := s.Client.Patch(ctx, node, MergePatch(`{"spec": {"taints": null}}`)); err != nil {
			return err
		}
	}
	return nil
}
