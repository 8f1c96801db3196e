// Package system runs what is measured: a real control plane, nodes played by KWOK, and the operator's own processes.
package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

const (
	// Creators is the most calls that create jobs at the same time.
	Creators = 16
	// Patience is how long to wait for a condition, or for progress.
	Patience = 2 * time.Minute
)

// System is a control plane and the processes beside it.
type System struct {
	*controlplane.ControlPlane
	// kubeAPIServer reads kube-apiserver's metrics.
	kubeAPIServer rest.Interface
	directory     string
	processes     []*process.Process
}

// Start starts a control plane. The caller stops it.
func Start(ctx context.Context) (_ *System, err error) {
	s := &System{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if s.directory, err = os.MkdirTemp("", "spider-operator-load-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
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

// Stop stops everything and removes its files.
func (s *System) Stop() error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		errs = append(errs, p.Stop())
	}
	if s.ControlPlane != nil {
		errs = append(errs, s.ControlPlane.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.directory))...)
}

// run starts a program, which logs to a file of that name and runs until it is stopped. The kernel kills it if this process ends
// first.
func (s *System) run(ctx context.Context, name, program string, args ...string) (*process.Process, error) {
	command := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	command.Args[0] = name
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p, err := process.Start(s.directory, name, command)
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

// Until waits for a condition, at most two minutes and as long as every process runs.
func (s *System) Until(ctx context.Context, what string, condition func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		if err := s.Failure(); err != nil {
			return err
		}
		done, err := condition(ctx)
		if err != nil || done {
			return err
		}
		if err := measure.Pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
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
