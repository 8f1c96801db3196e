package main

import (
	"strings"
	"testing"
)

func TestAFailedProgramIsQuoted(t *testing.T) {
	_, err := program{path: "sh"}.run(t.Context(), "-c", "echo 'the disk is full' >&2; exit 4")
	if err == nil || !strings.Contains(err.Error(), "exit status 4") || !strings.Contains(err.Error(), "\n    the disk is full") {
		t.Errorf("error: %v", err)
	}
}

func TestAProgramIsGivenInputAndEnvironment(t *testing.T) {
	printed, err := program{path: "sh", env: []string{"A=b"}}.runWith(t.Context(), "read me", "-c", `cat; echo " $A"`)
	if err != nil || printed != "read me b\n" {
		t.Errorf("printed %q, %v", printed, err)
	}
}
