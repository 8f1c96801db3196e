package command

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	return In(t.Context(), t.TempDir(), nil, "bash", "-c", script)
}

func TestAFailedProgramIsExplainedByItsLastLines(t *testing.T) {
	_, err := Output(shell(t, "seq 30; echo 'no such package' >&2; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.HasSuffix(err.Error(), "no such package") {
		t.Fatalf("the error does not tell why: %v", err)
	}
	if strings.Contains(err.Error(), "    11\n") || !strings.Contains(err.Error(), "    12\n") {
		t.Errorf("the error does not hold the last twenty lines:\n%v", err)
	}
}

func TestAProgramIsGivenInputAndEnvironment(t *testing.T) {
	cmd := In(t.Context(), "", []string{"A=b"}, "sh", "-c", `cat; echo " $A"`)
	cmd.Stdin = strings.NewReader("read me")
	var log strings.Builder
	printed, err := Logged(cmd, &log)
	logged := strings.HasPrefix(log.String(), "+ sh -c ") && strings.HasSuffix(log.String(), "read me b\n")
	if err != nil || printed != "read me b" || !logged {
		t.Errorf("printed %q, logged %q, %v", printed, log.String(), err)
	}
}

// interrupting returns a context that ends as soon as there is a file.
func interrupting(t *testing.T, file string) context.Context {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		defer interrupt()
		for t.Context().Err() == nil && !exists(file) {
			time.Sleep(time.Millisecond)
		}
	}()
	return ctx
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestAnInterruptReachesWhatAProgramRuns(t *testing.T) {
	folder := t.TempDir()
	inner := "trap 'touch cleaned; exit 1' INT; touch ready; while :; do sleep 0.01; done"
	// The outer shell is deaf to interrupts, as `go run` is.
	outer := `trap : INT; sh -c "` + inner + `"`
	if _, err := Output(In(interrupting(t, filepath.Join(folder, "ready")), folder, nil, "sh", "-c", outer)); err == nil {
		t.Error("an interrupted program reports no error")
	}
	if !exists(filepath.Join(folder, "cleaned")) {
		t.Error("the inner program did not hear of the interrupt")
	}
}

func TestAnInterruptEndsAllDescendants(t *testing.T) {
	file := filepath.Join(t.TempDir(), "child")
	// The parent ends at once and leaves a child that does not listen.
	script := "(trap '' INT; echo $BASHPID > " + file + ".new; mv " + file + ".new " + file + "; sleep 600) & wait"
	cmd := New(interrupting(t, file), "bash", "-c", script)
	cmd.WaitDelay = time.Second
	if _, err := Output(cmd); err == nil {
		t.Fatal("an interrupted program reports no error")
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

// alive reports whether a process runs; one that has ended and that nobody has waited for does not.
func alive(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(status), ") Z ")
}
