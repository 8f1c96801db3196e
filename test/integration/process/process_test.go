package process_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/test/integration/process"
)

func shell(t *testing.T, script string) *process.Process {
	t.Helper()
	p, err := process.Start(t.TempDir(), "program", exec.CommandContext(t.Context(), "sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAProcessRunsUntilItIsStopped(t *testing.T) {
	p := shell(t, "sleep 60")
	if err := p.Failure(); err != nil {
		t.Errorf("the process has failed: %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if p.Failure() == nil {
		t.Error("the end of the process was not noticed")
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop what has ended: %v", err)
	}
}

func TestTheFailureOfAProcessShowsTheEndOfItsLog(t *testing.T) {
	p := shell(t, "echo what it said last >&2; exit 3")
	deadline := time.Now().Add(30 * time.Second)
	for p.Failure() == nil && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	err := p.Failure()
	if err == nil {
		t.Fatal("the process does not fail")
	}
	if !errors.Is(err, os.ErrProcessDone) || !strings.Contains(err.Error(), "what it said last") ||
		!strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the process fails with %q", err)
	}
}
