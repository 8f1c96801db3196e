package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/scrapethis/spider-operator/test/integration/process"
)

// startControllerManager starts those of Kubernetes' own controllers that matter to Jobs and need no nodes, with client limits
// high enough not to affect measurements.
func startControllerManager(ctx context.Context, directory, assets, kubeconfig,
	serviceAccountKey string) (*process.Process, error) {
	const name = "kube-controller-manager"
	path, err := bound(directory, assets, name)
	if err != nil {
		return nil, err
	}
	// It runs until it is stopped, beyond the end of its start.
	return process.Start(directory, name, exec.CommandContext(context.WithoutCancel(ctx), path,
		"--kubeconfig="+kubeconfig,
		"--service-account-private-key-file="+serviceAccountKey,
		"--controllers="+strings.Join([]string{
			"job-controller", "garbage-collector-controller", "namespace-controller", "serviceaccount-controller",
			"resourcequota-controller", "ttl-after-finished-controller",
		}, ","),
		"--kube-api-qps=2000", "--kube-api-burst=4000",
		"--concurrent-job-syncs=16",
		"--leader-elect=false",
		"--secure-port=0",
	))
}

// bound returns the path of a script that binds a component to its parent: the kernel kills it when the parent ends. Without
// setpriv, which does that, it returns the path of the component itself.
func bound(directory, assets, name string) (string, error) {
	component := filepath.Join(assets, name)
	if _, err := os.Stat(component); err != nil {
		return "", fmt.Errorf("find %s in KUBEBUILDER_ASSETS: %w", name, err)
	}
	setpriv, err := exec.LookPath("setpriv")
	if errors.Is(err, exec.ErrNotFound) {
		return component, nil
	}
	if err != nil {
		return "", fmt.Errorf("find setpriv: %w", err)
	}
	script := filepath.Join(directory, name)
	// The paths reach the shell as separate words, whatever characters they contain.
	content := fmt.Sprintf("#!/bin/sh\nexec %s --pdeathsig KILL -- %s \"$@\"\n", shellQuote(setpriv), shellQuote(component))
	if err := os.WriteFile(script, []byte(content), 0o700); err != nil { //nolint:gosec // It is a script, to be executed.
		return "", fmt.Errorf("write a script that runs %s: %w", name, err)
	}
	return script, nil
}

func shellQuote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func createLog(directory, name string) (*os.File, error) {
	log, err := os.Create(filepath.Join(directory, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", name, err)
	}
	return log, nil
}

// lastLines returns the ends of components' logs, to be appended to an error.
func lastLines(directory string, names ...string) string {
	var text strings.Builder
	for _, name := range names {
		text.WriteString(process.LogTail(filepath.Join(directory, name+".log")))
	}
	return text.String()
}
