package process

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/files"
)

// Spec is a program to run in the background.
type Spec struct {
	Name string
	Path string
	Args []string
	// Env is the whole environment: nothing is inherited, so that a proxy or a GOFLAGS of the caller's shell does not decide
	// how the cluster behaves.
	Env []string
	// Settings are the contents of the files that the program reads only once, at its start.
	Settings []string
}

// Fingerprint changes whenever the program would be started differently.
func (s Spec) Fingerprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", s))
	return hex.EncodeToString(sum[:8])
}

// Record is what is remembered of a started program.
type Record struct {
	Identity
	Fingerprint string `json:"fingerprint"`
}

// Running is a program that this process started.
type Running struct {
	Record
	exited chan struct{}
	state  *os.ProcessState
}

// Exited returns how the program ended, and whether it has.
func (r *Running) Exited() (string, bool) {
	select {
	case <-r.exited:
		return r.state.String(), true
	default:
		return "", false
	}
}

// Store keeps the records of started programs, one file each, in a directory.
type Store struct {
	Dir string
}

func (s Store) path(name string) string { return filepath.Join(s.Dir, name+".json") }

// Load returns the record of the named program; the zero Record, which is never alive, if there is none.
func (s Store) Load(name string) (Record, error) { return files.LoadIfThere[Record](s.path(name)) }

// Start runs the program in a session of its own, so that neither the end of this process nor a Ctrl-C in its terminal
// reaches it, with its output appended to the file log, and records it.
func (s Store) Start(spec Spec, log string) (*Running, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	defer func() { _ = out.Close() }()
	// No context: it is to outlive the process that starts it.
	cmd := exec.Command(spec.Path, spec.Args...) //nolint:noctx // as said
	cmd.Env = spec.Env
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	r := &Running{exited: make(chan struct{})}
	// Identified before it is waited for: until then its pid cannot be used again. One that has ended already is recorded as
	// what it is, not alive; Exited covers the rest.
	if r.Identity, err = Identify(cmd.Process.Pid); err != nil {
		r.Identity = Identity{PID: cmd.Process.Pid}
	}
	r.Fingerprint = spec.Fingerprint()
	go func() {
		// How it ended is in the state; Wait's error says no more than that.
		_ = cmd.Wait()
		r.state = cmd.ProcessState
		close(r.exited)
	}()
	if err := files.Save(s.path(spec.Name), r.Record); err != nil {
		return nil, errors.Join(err, Stop(r.Identity, time.Second))
	}
	return r, nil
}

// Signal sends sig to the process if it is still the same.
func Signal(i Identity, sig syscall.Signal) error {
	if !i.Alive() {
		return nil
	}
	if err := syscall.Kill(i.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %v to process %d: %w", sig, i.PID, err)
	}
	return nil
}

// Stop ends the processes: SIGTERM to all, and SIGKILL to what still runs after patience. It returns when none is left.
func Stop(i Identity, patience time.Duration) error { return StopAll([]Identity{i}, patience) }

// StopAll is Stop for many processes at once.
func StopAll(all []Identity, patience time.Duration) error {
	for _, i := range all {
		if err := Signal(i, syscall.SIGTERM); err != nil {
			return err
		}
	}
	left := WaitGone(all, patience)
	for _, i := range left {
		if err := Signal(i, syscall.SIGKILL); err != nil {
			return err
		}
	}
	const killed = 10 * time.Second
	if left = WaitGone(left, killed); len(left) > 0 {
		pids := make([]string, len(left))
		for n, i := range left {
			pids[n] = strconv.Itoa(i.PID)
		}
		return fmt.Errorf("processes still run %v after SIGKILL: %s", killed, strings.Join(pids, ", "))
	}
	return nil
}

// WaitGone waits until none of the processes is left, or patience is over, and returns those that are.
func WaitGone(all []Identity, patience time.Duration) []Identity {
	deadline := time.Now().Add(patience)
	for {
		var left []Identity
		for _, i := range all {
			if i.Alive() {
				left = append(left, i)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}
