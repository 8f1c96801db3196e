package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// directoryPrefix begins the name of every directory of a control plane. The process ID of its owner follows.
const directoryPrefix = "spider-operator-controlplane-"

// makeDirectory creates the directory of a new control plane, and removes those of owners that were killed before they could do
// so.
func makeDirectory() (string, error) {
	leftOver, err := filepath.Glob(filepath.Join(os.TempDir(), directoryPrefix+"*"))
	if err != nil {
		return "", fmt.Errorf("look for left-over directories: %w", err)
	}
	for _, path := range leftOver {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), directoryPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return "", fmt.Errorf("remove a left-over directory: %w", err)
		}
	}
	directory, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", directoryPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("make a directory for the control plane: %w", err)
	}
	return directory, nil
}

// assetsDirectory returns the directory with the components: KUBEBUILDER_ASSETS or, without it, what the local cluster's own
// program builds or finds in its cache.
func assetsDirectory(ctx context.Context) (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return assets, nil
	}
	hack, err := repositoryPath("hack")
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "go", "run", "./cluster", "assets")
	command.Dir = hack
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("build kube-apiserver, etcd and kube-controller-manager in hack/cluster: %w", err)
	}
	return string(bytes.TrimSpace(output)), nil
}

// repositoryPath returns the path of something in this repository.
func repositoryPath(elements ...string) (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(here) {
		return "", errors.New("find the repository: this program was built without the paths of its sources")
	}
	root := filepath.Join(filepath.Dir(here), "..", "..", "..")
	path := filepath.Join(append([]string{root}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	return path, nil
}
