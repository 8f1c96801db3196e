package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

const (
	// operatorNamespace is where the processes would run in a cluster: a label of all their metrics.
	operatorNamespace = "spider-operator-system"
	// imagePatience is short, so that what waits for its image ends within the time that is shown.
	imagePatience = "90s"
	// readyTimeout bounds the start of a process.
	readyTimeout = time.Minute
)

// system is a control plane with a node whose containers are functions, the operator's two processes, and Prometheus.
type system struct {
	*controlplane.ControlPlane
	node      *node.Node
	directory string
	processes []*process.Process
	// facades are the addresses of the REST API's replicas, prometheus that of Prometheus.
	facades    []string
	prometheus string
}

func startSystem(ctx context.Context, prometheus string) (_ *system, err error) {
	s := &system{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.directory, err = os.MkdirTemp("", "spider-operator-dashboard-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	if s.ControlPlane, err = controlplane.Start(ctx); err != nil {
		return nil, err
	}
	if s.node, err = node.Start(s.Config, "gopher"); err != nil {
		return nil, err
	}
	scraped, err := s.startOperator(ctx)
	if err != nil {
		return nil, err
	}
	err = s.startPrometheus(ctx, prometheus, scraped)
	return s, err
}

// startOperator builds the operator and starts a controller and two replicas of the REST API. It returns the addresses of their
// metrics by the names of the Pods that they would be in a cluster.
func (s *system) startOperator(ctx context.Context) (map[string]string, error) {
	binary := filepath.Join(s.directory, "spider-operator")
	build := exec.CommandContext(ctx, "go", "-C", filepath.Join("..", ".."), "build", "-o", binary, "./cmd/spider-operator")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the operator: %w: %s", err, output)
	}
	const controller = "spider-operator-controller-0"
	scraped := map[string]string{controller: freeAddress()}
	err := s.start(ctx, controller, binary, "controller", "--kubeconfig="+s.Kubeconfig,
		"--metrics-bind-address="+scraped[controller], "--health-probe-bind-address=0",
		"--leader-elect", "--leader-elect-namespace=default", "--image-patience="+imagePatience, "--pod-retention=1m")
	if err != nil {
		return nil, err
	}
	for i := range 2 {
		name := fmt.Sprintf("spider-operator-apiserver-%d", i)
		address := freeAddress()
		scraped[name] = freeAddress()
		s.facades = append(s.facades, "http://"+address)
		err := s.start(ctx, name, binary, "apiserver", "--kubeconfig="+s.Kubeconfig, "--listen="+address,
			"--metrics-listen="+scraped[name], "--shutdown-delay=0s")
		if err != nil {
			return nil, err
		}
		if err := s.await(ctx, name, "http://"+address+"/readyz"); err != nil {
			return nil, err
		}
	}
	return scraped, nil
}

// startPrometheus has Prometheus scrape the operator, with the labels that a ServiceMonitor gives.
func (s *system) startPrometheus(ctx context.Context, program string, scraped map[string]string) error {
	var config strings.Builder
	fmt.Fprintf(&config, "global:\n  scrape_interval: %s\n", scrapeInterval)
	config.WriteString("scrape_configs:\n  - job_name: spider-operator\n    static_configs:\n")
	for pod, address := range scraped {
		fmt.Fprintf(&config, "      - targets: [%q]\n        labels: {namespace: %s, pod: %s}\n", address, operatorNamespace, pod)
	}
	file := filepath.Join(s.directory, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return fmt.Errorf("write the configuration of Prometheus: %w", err)
	}
	address := freeAddress()
	s.prometheus = "http://" + address
	err := s.start(ctx, "prometheus", program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(s.directory, "tsdb"),
		"--web.listen-address="+address)
	if err != nil {
		return err
	}
	return s.await(ctx, "prometheus", s.prometheus+"/-/ready")
}

// start starts a program that the kernel kills should this process end without stopping it.
func (s *system) start(ctx context.Context, name, program string, args ...string) error {
	command := exec.CommandContext(ctx, program, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, err := process.Start(s.directory, name, command)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, started)
	return nil
}

// await waits until an address is answered 200.
func (s *system) await(ctx context.Context, name, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return fmt.Errorf("ask whether %s is ready: %w", name, err)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		for _, p := range s.processes {
			if err := p.Failure(); err != nil {
				return err
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w%s", name, ctx.Err(), process.LogTail(filepath.Join(s.directory, name+".log")))
		}
	}
}

// stop stops everything, in the reverse order, and removes its files.
func (s *system) stop() error {
	var problems []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		problems = append(problems, s.processes[i].Stop())
	}
	if s.node != nil {
		s.node.Stop()
	}
	if s.ControlPlane != nil {
		problems = append(problems, s.Stop())
	}
	if s.directory != "" {
		problems = append(problems, os.RemoveAll(s.directory))
	}
	return errors.Join(problems...)
}

// freeAddress is one of the loopback's on which nothing listens.
func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		panic(err) // there is no loopback, and so nothing to be done here
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
