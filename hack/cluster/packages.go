package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/debian"
)

// needed maps each program that the cluster uses to the Debian package it is in. Several names for one are alternatives.
var needed = []struct {
	program      string
	alternatives []string
	debian       string
}{
	{program: "containerd", debian: "containerd"},
	{program: "containerd-shim-runc-v2", debian: "containerd"},
	{program: "ctr", debian: "containerd"},
	{program: "runc", debian: "runc"},
	{program: cniPlugin, alternatives: cniDirectories, debian: "containernetworking-plugins"},
	{program: "nft", debian: "nftables"},
	{program: "ip", debian: "iproute2"},
	{program: "mount", debian: "mount"},
	{program: "conntrack", debian: "conntrack"},
}

const cniPlugin = "bridge"

// cniDirectories are where Debian and where everybody else puts CNI plugins.
var cniDirectories = []string{"/usr/lib/cni", "/opt/cni/bin"}

// findProgram looks in PATH and where a user's PATH often does not reach.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return findIn(name, []string{"/usr/local/sbin", "/usr/sbin", "/sbin"})
}

func findIn(name string, dirs []string) (string, error) {
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// missingPackages returns the Debian packages, sorted, that hold what is needed and not there.
func missingPackages() []string {
	var missing []string
	for _, n := range needed {
		_, err := findProgram(n.program)
		if n.alternatives != nil {
			_, err = findIn(n.program, n.alternatives)
		}
		if err != nil {
			missing = append(missing, n.debian)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// installPackages installs what is missing, where that can be done, and else says what is missing.
func (c *cluster) installPackages(ctx context.Context) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	return c.say.Do(ctx, "install "+strings.Join(missing, " "), func(ctx context.Context, _ note) error {
		return debian.Install(ctx, io.Discard, missing...)
	})
}
