package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAFailedCommandIsExplainedByItsLastLines(t *testing.T) {
	_, err := output(unprivileged(t.Context(), "seq 30; echo 'no such package' >&2; exit 3"), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.HasSuffix(err.Error(), "no such package") {
		t.Fatalf("the error does not tell why: %v", err)
	}
	if strings.Contains(err.Error(), "    11\n") || !strings.Contains(err.Error(), "    12\n") {
		t.Errorf("the error does not hold the last twenty lines:\n%v", err)
	}
}

func TestAnInterruptEndsWholeFamilies(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "child")
	go func() {
		defer interrupt()
		for t.Context().Err() == nil && !exists(file) {
			time.Sleep(time.Millisecond)
		}
	}()
	// The parent ends at once and leaves a child that does not listen.
	script := "(trap '' TERM; echo $BASHPID > " + file + ".new; mv " + file + ".new " + file + "; sleep 600) & wait"
	if _, err := output(unprivileged(ctx, script), io.Discard); err == nil {
		t.Fatal("an interrupted command reports no error")
	}
	child, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived the interrupt", pid)
		}
	}
}

// unprivileged is a contained shell script, without the mount namespace that only root may make.
func unprivileged(ctx context.Context, script string) *exec.Cmd {
	command := contained(ctx, "bash", "-c", script)
	command.SysProcAttr.Unshareflags = 0
	return command
}

// alive reports whether a process runs; one that has ended and that nobody has waited for does not.
func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(status), ") Z ")
}

// A machine that never had a /etc/cni has none after the images were built: a cluster that is stopped without a trace would tell
// of it.
func TestBuildahsNetworksAreNotTheMachines(t *testing.T) {
	b := buildah{run: t.TempDir()}
	path, err := b.settings()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("network_config_dir = %q", filepath.Join(b.run, "networks")); !strings.Contains(string(content), want) {
		t.Errorf("buildah's settings are\n%s\nand do not say %s", content, want)
	}
}
