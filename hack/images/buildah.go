package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

// buildah runs the program of that name on a storage of our own.
type buildah struct {
	storage string // kept: base images and cached layers
	run     string // of this process
	log     io.Writer
}

// settings is the file of buildah's own settings in place of the machine's. It keeps a lock beside the descriptions of networks,
// in a directory that it makes: not in /etc/cni, where a node would take it for its own.
func (b buildah) settings() (path string, err error) {
	path = filepath.Join(b.run, "containers.conf")
	content := fmt.Sprintf("[network]\nnetwork_config_dir = %q\n", filepath.Join(b.run, "networks"))
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return "", fmt.Errorf("write buildah's settings: %w", err)
	}
	return path, nil
}

// do runs one subcommand and returns what it printed to standard output; the log gets both outputs.
func (b buildah) do(ctx context.Context, args ...string) (string, error) {
	settings, err := b.settings()
	if err != nil {
		return "", err
	}
	command := contained(ctx, "buildah", append([]string{
		"--root", b.storage, "--runroot", b.run, "--storage-driver", "overlay",
	}, args...)...)
	command.Env = append(os.Environ(), "TMPDIR="+b.run, "CONTAINERS_CONF="+settings)
	return output(command, b.log)
}

// contained is a command that leaves nothing behind, however it ends: it has a mount namespace of its own, so that its
// mounts vanish with it, and a process group of its own, all of which is ended when ctx is.
func contained(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Unshareflags: syscall.CLONE_NEWNS}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	return command
}

// output runs a contained command. Its error ends with the last lines that the command wrote.
func output(command *exec.Cmd, log io.Writer) (string, error) {
	var stdout, all bytes.Buffer
	both := &shared{to: io.MultiWriter(&all, log)}
	command.Stdout = io.MultiWriter(&stdout, both)
	command.Stderr = both
	if _, err := fmt.Fprintln(log, "+", strings.Join(command.Args, " ")); err != nil {
		return "", fmt.Errorf("write the log: %w", err)
	}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", filepath.Base(command.Path), err)
	}
	err := command.Wait()
	if err != nil {
		// What outlived its leader; most often there is nothing left to kill.
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		return "", fmt.Errorf("%s: %w\n%s", filepath.Base(command.Path), err, lastLines(all.String(), 20))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// shared is what both streams of a command, each copied by a goroutine of its own, are written to.
type shared struct {
	mu sync.Mutex
	to io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(p)
}

// noted is a log of which each step is shown while it runs.
type noted struct {
	to   io.Writer
	note progress.Note
}

func (n *noted) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		// What buildah says of a step of a Dockerfile, and the commands that are run here.
		if step, ok := bytes.CutPrefix(line, []byte("STEP ")); ok {
			n.note("%.60s", bytes.TrimSpace(step))
		} else if command, ok := bytes.CutPrefix(line, []byte("+ ")); ok && !bytes.HasPrefix(command, []byte("buildah ")) {
			n.note("%.60s", bytes.TrimSpace(command))
		}
	}
	return n.to.Write(p)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return "    " + strings.Join(lines[max(0, len(lines)-n):], "\n    ")
}

// requirePrograms installs the Debian packages of the programs that are missing. The packages are named as the programs.
func requirePrograms(ctx context.Context, log io.Writer, programs ...string) error {
	var missing []string
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	wanted := strings.Join(missing, " ")
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing: %s. Run as root to have them installed, or: apt-get install %s", wanted, wanted)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("missing: " + wanted + ", and there is no apt-get to install them with")
	}
	install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	if _, err := output(aptGet(ctx, install...), log); err == nil {
		return nil
	}
	// Package lists that are missing or old are the usual reason.
	if _, err := output(aptGet(ctx, "update"), log); err != nil {
		return fmt.Errorf("install %s: %w", wanted, err)
	}
	if _, err := output(aptGet(ctx, install...), log); err != nil {
		return fmt.Errorf("install %s: %w", wanted, err)
	}
	return nil
}

func aptGet(ctx context.Context, args ...string) *exec.Cmd {
	command := contained(ctx, "apt-get", args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return command
}
