package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/scrapethis/spider-operator/hack/internal/machine"
)

// requireRoot: namespaces, bridges and mounts are root's.
func requireRoot(what string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s needs root: run it with sudo --preserve-env=PATH", what)
	}
	return nil
}

// checkMachine finds what would keep a cluster from starting, before anything is changed. The components given are those
// that are about to be started.
func checkMachine(l layout, before machine.Snapshot, about []component) error {
	var failures []error
	owner, err := linkOwner()
	switch {
	case err != nil:
		failures = append(failures, err)
	case owner != "" && owner != l.dir:
		return fmt.Errorf("the network link %s belongs to the cluster in %s: use that one, or end it first: "+
			"cluster down --dir %s", nodeBridge, owner, owner)
	case owner == "":
		groups, err := machine.Cgroups(cgroup)
		failures = append(failures, err)
		if len(groups) > 0 {
			failures = append(failures, fmt.Errorf(
				"the control group %s exists: another Kubernetes node runs on this machine, or one was not cleaned up", groups[0]))
		}
	}
	if route := overlap(before.Routes); route != "" {
		failures = append(failures, fmt.Errorf("the machine has a route into the cluster's addresses (%s, %s, %s): %s",
			serviceCIDR, podCIDR, nodeAddress, route))
	}
	failures = append(failures, checkPorts(about), checkCgroups(), checkSocketPath(l))
	return errors.Join(failures...)
}

// checkPorts names each port that a component needs and another process has.
func checkPorts(about []component) error {
	tcp, err := machine.TCPListeners()
	if err != nil {
		return err
	}
	udp, err := machine.UDPListeners()
	if err != nil {
		return err
	}
	var failures []error
	for _, c := range about {
		for _, address := range c.listens {
			taken := machine.Conflict(tcp, address)
			const dns = 53
			if address.Port() == dns {
				taken = append(taken, machine.Conflict(udp, address)...)
			}
			if len(taken) == 0 {
				continue
			}
			who := taken[0].Owner()
			if who == "" {
				who = "another program"
			}
			failures = append(failures, fmt.Errorf("%s needs %s, but %s listens on %s", c.name, address, who, taken[0].Address))
		}
	}
	return errors.Join(failures...)
}

// checkCgroups wants the controllers that Pods' limits are made of, whichever version of control groups is mounted.
func checkCgroups() error {
	if list, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
			if !strings.Contains(" "+strings.TrimSpace(string(list))+" ", " "+controller+" ") {
				return fmt.Errorf("the control group controller %s is not available", controller)
			}
		}
		return nil
	}
	for _, controller := range []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids", "blkio"} {
		if _, err := os.Stat("/sys/fs/cgroup/" + controller + "/cgroup.procs"); err != nil {
			return fmt.Errorf("neither control groups v2 nor the controller %s of v1 are mounted on /sys/fs/cgroup", controller)
		}
	}
	return nil
}

// checkSocketPath: the kernel bounds the path of a Unix socket (unix(7)), and containerd appends to its own.
func checkSocketPath(l layout) error {
	const limit, suffix = 107, len(".ttrpc")
	if path := l.containerdSocket(); len(path)+suffix > limit {
		return fmt.Errorf("the path %s is too long for a Unix socket: choose a shorter directory with --dir", path)
	}
	return nil
}

// chooseSnapshotter tries an overlay mount below dir. Where the file system cannot (it is itself an overlay, say), images are
// copied instead.
func chooseSnapshotter(dir string) (string, error) {
	base := filepath.Join(dir, "overlay-test")
	var options []string
	for _, part := range []string{"lowerdir", "upperdir", "workdir"} {
		if err := os.MkdirAll(filepath.Join(base, part), 0o700); err != nil {
			return "", fmt.Errorf("trying an overlay mount: %w", err)
		}
		options = append(options, part+"="+filepath.Join(base, part))
	}
	target := filepath.Join(base, "merged")
	if err := os.MkdirAll(target, 0o700); err != nil {
		return "", fmt.Errorf("trying an overlay mount: %w", err)
	}
	snapshotter := "overlayfs"
	if err := syscall.Mount("overlay", target, "overlay", 0, strings.Join(options, ",")); err != nil {
		snapshotter = "native"
	} else if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
		return "", fmt.Errorf("undoing the try of an overlay mount: %w", err)
	}
	if err := os.RemoveAll(base); err != nil {
		return "", fmt.Errorf("undoing the try of an overlay mount: %w", err)
	}
	return snapshotter, nil
}
