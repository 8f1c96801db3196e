// Package debian installs packages where Debian's apt is.
package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
)

// Install installs packages, or says what is missing where that cannot be done. Services that they bring are not started: the
// cluster runs a containerd of its own.
func Install(ctx context.Context, log io.Writer, packages ...string) error {
	if len(packages) == 0 {
		return nil
	}
	list := strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks what these Debian packages hold: %s; install their like", list)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages are missing, which root would get installed: %s", list)
	}
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer allow()
	install := append([]string{"install", "--yes", "--no-install-recommends"}, packages...)
	if AptGet(ctx, log, install...) == nil {
		return nil
	}
	// Package lists that are missing or old are the usual reason.
	if err := AptGet(ctx, log, "update"); err != nil {
		return err
	}
	return AptGet(ctx, log, install...)
}

// AptGet runs apt-get, which asks nobody anything. It is interrupted, not killed, so that dpkg is left in order.
func AptGet(ctx context.Context, log io.Writer, args ...string) error {
	args = append([]string{"-q"}, args...)
	_, err := command.Logged(command.In(ctx, "", []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", args...), log)
	return err
}

// policy is asked by Debian's packages whether they may start their services; exit code 101 is "no", see invoke-rc.d(8).
const policy = "/usr/sbin/policy-rc.d"

// forbidServices keeps packages that are being installed from starting services.
func forbidServices() (allow func(), err error) {
	// It is a program.
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil // the machine has a policy; it is not ours to change
	}
	if err != nil {
		return nil, fmt.Errorf("keep services from being started: %w", err)
	}
	allow = func() { _ = os.Remove(policy) }
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, f.Close()); err != nil {
		allow()
		return nil, fmt.Errorf("keep services from being started: %w", err)
	}
	return allow, nil
}
