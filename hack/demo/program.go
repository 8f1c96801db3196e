package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// program is another program to run, with the environment that it needs beyond our own.
type program struct {
	path string
	env  []string
	// steps says that the program tells its steps itself, on standard error.
	steps bool
}

// run returns what the program wrote to standard output. Its error holds what it wrote to standard error.
func (p program) run(ctx context.Context, args ...string) (string, error) {
	return p.runWith(ctx, "", args...)
}

// runWith gives the program something to read, too.
func (p program) runWith(ctx context.Context, input string, args ...string) (string, error) {
	var output, complaint bytes.Buffer
	command := p.command(ctx, args...)
	command.Stdin = strings.NewReader(input)
	command.Stdout = &output
	command.Stderr = &complaint
	if p.steps {
		command.Stderr = os.Stderr
	}
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w%s", filepath.Base(p.path), strings.Join(args, " "), err, indented(complaint.String()))
	}
	return output.String(), nil
}

func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, p.path, args...)
	command.Env = append(os.Environ(), p.env...)
	// Programs clean up when they are interrupted, and some take their time. Each is a group of its own, so that what it
	// runs hears of the interrupt too, whoever sent it to us: `go run` does not hand it on.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) }
	command.WaitDelay = 30 * time.Second
	return command
}

// indented puts a text of several lines below the line that introduces it; nothing of nothing.
func indented(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return "\n    " + strings.ReplaceAll(text, "\n", "\n    ")
}
