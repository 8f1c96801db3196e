package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
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
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks what these Debian packages hold: %s; install their like", list)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages are missing, which root would get installed: %s", list)
	}
	return c.say.Do(ctx, "install "+list, func(ctx context.Context, note note) error {
		allow, err := forbidServices()
		if err != nil {
			return err
		}
		defer allow()
		install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
		if aptGet(ctx, install...) == nil {
			return nil
		}
		note("updating the package lists")
		if err := aptGet(ctx, "update"); err != nil {
			return err
		}
		note("")
		return aptGet(ctx, install...)
	})
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	// Interrupted, not killed, so that dpkg is left in order.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		const lines = 15
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, bytes.Join(lastLines(out, lines), []byte("\n")))
	}
	return nil
}

// policy is asked by Debian's packages whether they may start their services; exit code 101 is "no", see invoke-rc.d(8).
const policy = "/usr/sbin/policy-rc.d"

// forbidServices keeps packages that are being installed from starting services: the cluster runs a containerd of its own.
func forbidServices() (allow func(), err error) {
	// It is a program.
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil // the machine has a policy; it is not ours to change
	}
	if err != nil {
		return nil, fmt.Errorf("keeping services from being started: %w", err)
	}
	allow = func() { _ = os.Remove(policy) }
	if _, err = f.WriteString("#!/bin/sh\nexit 101\n"); err == nil {
		err = f.Close()
	}
	if err != nil {
		allow()
		return nil, fmt.Errorf("keeping services from being started: %w", err)
	}
	return allow, nil
}
