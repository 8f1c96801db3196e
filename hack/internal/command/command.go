// Package command is what the programs of hack share: how they begin and end, and how they run other programs.
package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Main runs a program of that name with its arguments, tells why it fails, and exits. A signal ends the context.
func Main(name string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	// Whatever else an interrupted step says (a program it ran was killed, say), that is why.
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "Interrupted. Start it again to finish the work.")
		os.Exit(130) // 128 + SIGINT, as shells have it
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	os.Exit(1)
}

// New is a program to run. Programs clean up when they are interrupted, and some take their time. Each is a group of its own, so
// that what it runs hears of the interrupt too, whoever sent it to us: `go run` does not hand it on.
func New(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// In is a program to run in a folder, with settings beyond our own environment.
func In(ctx context.Context, folder string, env []string, name string, args ...string) *exec.Cmd {
	cmd := New(ctx, name, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	return cmd
}

// Output runs a program and returns what it wrote to standard output, without the space around it. An error has the last lines
// that it wrote, but for those to a Stderr that was set.
func Output(cmd *exec.Cmd) (string, error) { return Logged(cmd, io.Discard) }

// Logged is Output, and has a log get the command line and what the program writes.
func Logged(cmd *exec.Cmd, log io.Writer) (string, error) {
	_, _ = fmt.Fprintln(log, "+", strings.Join(cmd.Args, " ")) // a log that cannot be written is no failure of the program
	var printed, all bytes.Buffer
	both := &shared{to: io.MultiWriter(&all, log)}
	cmd.Stdout = io.MultiWriter(&printed, both)
	if cmd.Stderr == nil {
		cmd.Stderr = both
	}
	if err := cmd.Run(); err != nil {
		if cmd.Process != nil {
			// What outlived its leader; most often there is nothing left to kill.
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		words := append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...)
		return "", fmt.Errorf("%s: %w%s", strings.Join(words, " "), err, Indented(all.String()))
	}
	return strings.TrimSpace(printed.String()), nil
}

// shared is what both streams of a program, each copied by a goroutine of its own, are written to.
type shared struct {
	mu sync.Mutex
	to io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(p)
}

// Indented puts the last lines of a text below the line that introduces them; nothing of nothing.
func Indented(text string) string {
	const most = 20
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return "\n    " + strings.Join(lines[max(0, len(lines)-most):], "\n    ")
}
