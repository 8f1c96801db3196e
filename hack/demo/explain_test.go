package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withKubectl is a demo whose kubectl is a shell script.
func withKubectl(t *testing.T, script string) *demo {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kubectl")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &demo{kubectl: program}
}

func TestADeploymentThatDoesNotRunIsExplained(t *testing.T) {
	d := withKubectl(t, `case "$*" in
"get pods --namespace ns") echo NAME; echo crashing;;
"logs deployment/web --namespace ns --tail=20 --previous") echo panic;;
"get events --namespace ns "*) seq 9;;
*) echo "unexpected: $*"; exit 1;;
esac`)
	err := d.explainDeployment(t.Context(), "ns", "deployment/web")
	want := "the Pods in ns:\n    NAME\n    crashing\nlog of deployment/web:\n    panic\n" +
		"the last warnings in ns:\n    5\n    6\n    7\n    8\n    9"
	if err == nil || err.Error() != want {
		t.Errorf("explained: %v, want %s", err, want)
	}
}

func TestAJobThatFailedIsExplained(t *testing.T) {
	d := withKubectl(t, `case "$*" in
"get spiderjob 7 "*) printf 'Error: ExitCode: it ended\tpod-7';;
*--previous) echo "no earlier container"; exit 1;;
"logs pod/pod-7 "*) echo Traceback;;
"get events "*) ;;
*) echo "unexpected: $*"; exit 1;;
esac`)
	err := d.explainJob(t.Context(), "7")
	want := "SpiderJob 7: Error: ExitCode: it ended\nlog of pod/pod-7:\n    Traceback"
	if err == nil || err.Error() != want {
		t.Errorf("explained: %v, want %s", err, want)
	}
}

func TestAJobThatWaitsIsExplainedByTheController(t *testing.T) {
	d := withKubectl(t, `case "$*" in
"get spiderjob 7 "*) echo 'Pending: Created: ';;
"get pods --namespace spider-operator-system") echo crashing;;
"logs deployment/spider-operator-controller "*) echo panic;;
esac`)
	if err := d.explainJob(t.Context(), "7"); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("explained: %v", err)
	}
}
