// Package process runs the programs that tests and benchmarks measure and check.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long a process has to stop before it is killed.
	stopTimeout = 20 * time.Second
	// logTail is how much of a process's log an error shows, in bytes.
	logTail = 4 << 10
)

// Process is a program that runs.
type Process struct {
	name    string
	command *exec.Cmd
	log     string
	// ended is closed when the process has ended; then err says how.
	ended chan struct{}
	err   error
}

// Start starts a program that logs to the file name.log in directory. It runs until it is stopped, or until the context of the
// command ends.
func Start(directory, name string, command *exec.Cmd) (*Process, error) {
	p := &Process{name: name, command: command, log: filepath.Join(directory, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the process has its own copy
	command.Stdout, command.Stderr = log, log
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	// Its own process group, so that an interrupt at the terminal reaches only the caller, which then stops things in order.
	command.SysProcAttr.Setpgid = true
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID is the ID of the process.
func (p *Process) PID() int { return p.command.Process.Pid }

// Failure returns an error with the end of the log if the process has ended, and nil otherwise.
func (p *Process) Failure() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended: %w%s", p.name, errors.Join(p.err, os.ErrProcessDone), LogTail(p.log))
	default:
		return nil
	}
}

// Stop ends the process and waits for its end. It is an error if the process has to be killed.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
	}
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.ended
	return fmt.Errorf("%s did not stop within %s and was killed", p.name, stopTimeout)
}

// LogTail returns the end of a log, at most 4 KiB, with a heading, to be appended to an error.
func LogTail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		content = []byte(err.Error())
	}
	return fmt.Sprintf("\n--- the end of %s:\n%s", filepath.Base(path), content[max(0, len(content)-logTail):])
}
