package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAFailedProgramIsQuoted(t *testing.T) {
	_, err := program{path: "sh"}.run(t.Context(), "-c", "echo 'the disk is full' >&2; exit 4")
	if err == nil || !strings.Contains(err.Error(), "exit status 4") || !strings.Contains(err.Error(), "\n    the disk is full") {
		t.Errorf("error: %v", err)
	}
}

func TestAnInterruptReachesWhatAProgramRuns(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	folder := t.TempDir()
	inner := "trap 'touch cleaned; exit 1' INT; touch ready; while :; do sleep 0.01; done"
	go func() {
		defer interrupt()
		for t.Context().Err() == nil && !exists(filepath.Join(folder, "ready")) {
			time.Sleep(time.Millisecond)
		}
	}()
	// The outer shell is deaf to interrupts, as `go run` is.
	outer := "cd " + quoted(folder) + "; trap : INT; sh -c " + quoted(inner)
	if _, err := (program{path: "sh"}).run(ctx, "-c", outer); err == nil {
		t.Error("an interrupted program reports no error")
	}
	if !exists(filepath.Join(folder, "cleaned")) {
		t.Error("the inner program did not hear of the interrupt")
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestAProgramIsGivenInputAndEnvironment(t *testing.T) {
	printed, err := program{path: "sh", env: []string{"A=b"}}.runWith(t.Context(), "read me", "-c", `cat; echo " $A"`)
	if err != nil || printed != "read me b\n" {
		t.Errorf("printed %q, %v", printed, err)
	}
}
