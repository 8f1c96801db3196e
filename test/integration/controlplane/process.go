package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a component has to stop before it is killed.
const stopTimeout = 20 * time.Second

// logTail is how much of a component's log an error shows, in bytes.
const logTail = 4 << 10

// process is a component that runs.
type process struct {
	command *exec.Cmd
	name    string
	// done is closed when the process has ended; then err says how.
	done chan struct{}
	err  error
}

// startControllerManager starts those of Kubernetes' own controllers that matter to Jobs and that need no nodes, with client
// limits high enough not to show in a measurement.
func startControllerManager(ctx context.Context, directory, assets, kubeconfig, serviceAccountKey string) (*process, error) {
	const name = "kube-controller-manager"
	path, err := bound(directory, assets, name)
	if err != nil {
		return nil, err
	}
	// It runs until it is stopped, not until its start is over.
	return startProcess(directory, name, exec.CommandContext(context.WithoutCancel(ctx), path,
		"--kubeconfig="+kubeconfig,
		"--service-account-private-key-file="+serviceAccountKey,
		"--controllers="+strings.Join([]string{
			"job-controller", "garbage-collector-controller", "namespace-controller", "serviceaccount-controller",
			"resourcequota-controller", "ttl-after-finished-controller",
		}, ","),
		"--kube-api-qps=2000", "--kube-api-burst=4000",
		"--concurrent-job-syncs=16",
		"--leader-elect=false",
		"--secure-port=0",
	))
}

func startProcess(directory, name string, command *exec.Cmd) (*process, error) {
	log, err := createLog(directory, name)
	if err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = log, log
	// A group of its own, so that an interrupt at the terminal reaches the test alone, which then stops things in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{command: command, name: name, done: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.done)
	}()
	return p, nil
}

// exited returns an error if the process has ended.
func (p *process) exited() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %w", p.name, errors.Join(p.err, os.ErrProcessDone))
	default:
		return nil
	}
}

// stop ends the process and waits for its end.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
	}
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return fmt.Errorf("%s did not stop within %s and was killed", p.name, stopTimeout)
}

// bound returns the path of a script that runs a component bound to its parent: the kernel kills it when the parent ends.
// Where there is no setpriv to do that, it is the path of the component itself.
func bound(directory, assets, name string) (string, error) {
	component := filepath.Join(assets, name)
	if _, err := os.Stat(component); err != nil {
		return "", fmt.Errorf("find %s in KUBEBUILDER_ASSETS: %w", name, err)
	}
	setpriv, err := exec.LookPath("setpriv")
	if errors.Is(err, exec.ErrNotFound) {
		return component, nil
	}
	if err != nil {
		return "", fmt.Errorf("find setpriv: %w", err)
	}
	script := filepath.Join(directory, name)
	// The paths reach the shell as words of their own, whatever characters they have.
	content := fmt.Sprintf("#!/bin/sh\nexec %s --pdeathsig KILL -- %s \"$@\"\n", shellQuote(setpriv), shellQuote(component))
	if err := os.WriteFile(script, []byte(content), 0o700); err != nil { //nolint:gosec // It is a script, to be executed.
		return "", fmt.Errorf("write a script that runs %s: %w", name, err)
	}
	return script, nil
}

func shellQuote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func createLog(directory, name string) (*os.File, error) {
	log, err := os.Create(filepath.Join(directory, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", name, err)
	}
	return log, nil
}

// lastLines returns the ends of components' logs, to be appended to an error.
func lastLines(directory string, names ...string) string {
	var text strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(directory, name+".log"))
		if err != nil {
			content = []byte(err.Error())
		}
		fmt.Fprintf(&text, "\n--- the end of %s's log:\n%s", name, content[max(0, len(content)-logTail):])
	}
	return text.String()
}
