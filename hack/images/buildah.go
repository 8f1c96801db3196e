package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/debian"
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
	cmd := contained(ctx, "buildah", append([]string{
		"--root", b.storage, "--runroot", b.run, "--storage-driver", "overlay",
	}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+b.run, "CONTAINERS_CONF="+settings)
	return command.Logged(cmd, b.log)
}

// contained is a program that leaves nothing behind, however it ends: it has a mount namespace of its own, so that its mounts
// vanish with it.
func contained(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := command.New(ctx, name, args...)
	cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	return cmd
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
		} else if run, ok := bytes.CutPrefix(line, []byte("+ ")); ok && !bytes.HasPrefix(run, []byte("buildah ")) {
			n.note("%.60s", bytes.TrimSpace(run))
		}
	}
	return n.to.Write(p)
}

// requirePrograms installs the Debian packages of the programs that are missing. The packages are named as the programs.
func requirePrograms(ctx context.Context, log io.Writer, programs ...string) error {
	missing := slices.DeleteFunc(programs, func(program string) bool {
		_, err := exec.LookPath(program)
		return err == nil
	})
	return debian.Install(ctx, log, missing...)
}
