// Package machine knows what a Kubernetes node changes of the machine it runs on: it records the state before, tells what
// differs after, and undoes it.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/process"
)

// Marker is the environment variable that everything the cluster starts carries, with the state directory as its value.
const Marker = "SPIDER_OPERATOR_CLUSTER"

// strayPaths are the fixed places outside the state directory in which a kubelet, containerd's shims and CNI leave files
// whatever their settings say. Each is listed before what it lies in.
var strayPaths = []string{
	"/run/containerd/s", "/run/containerd",
	"/var/lib/cni/results", "/var/lib/cni",
	"/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
	"/var/log/containers",
}

// watchedPaths are places in which other ways of running Kubernetes leave files. Ours is told not to, and what appears there
// is told of but not touched.
var watchedPaths = []string{
	"/etc/cni", "/etc/kubernetes", "/opt/cni", "/opt/containerd", "/run/netns", "/usr/libexec/kubernetes",
	"/var/lib/containerd", "/var/lib/etcd", "/var/log/pods", "/var/run/kubernetes",
}

// Snapshot is the part of a machine's state that a cluster may change.
type Snapshot struct {
	Taken  time.Time `json:"taken"`
	BootID string    `json:"bootID"`

	Processes []string          `json:"processes"`
	Links     []string          `json:"links"`
	Routes    []string          `json:"routes"`
	Tables    []string          `json:"nftables"`
	Mounts    []string          `json:"mounts"`
	Cgroups   []string          `json:"cgroups"`
	Paths     []string          `json:"paths"`
	Sysctls   map[string]string `json:"sysctls"`
}

// Take records the machine as it is now. Processes and mounts are only those that belong to the state directory dir or to
// the fixed places of a node: others come and go and are nobody's business here.
func Take(ctx context.Context, dir string) (Snapshot, error) {
	s := Snapshot{Taken: time.Now().UTC(), BootID: process.BootID()}
	var failures []error
	collect := func(into *[]string, what string, list func() ([]string, error)) {
		found, err := list()
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", what, err))
		}
		slices.Sort(found)
		*into = slices.Compact(found)
	}
	collect(&s.Processes, "listing processes", func() ([]string, error) { return markedProcesses(dir) })
	collect(&s.Links, "listing network links", links)
	collect(&s.Routes, "listing routes", func() ([]string, error) { return routes(ctx) })
	collect(&s.Tables, "listing nftables", func() ([]string, error) { return Tables(ctx) })
	collect(&s.Mounts, "listing mounts", func() ([]string, error) { return MountsUnder(append([]string{dir}, strayPaths...)...) })
	collect(&s.Cgroups, "listing control groups", topCgroups)
	collect(&s.Paths, "looking for files", func() ([]string, error) { return existing(slices.Concat(strayPaths, watchedPaths)) })
	var err error
	if s.Sysctls, err = sysctls(); err != nil {
		failures = append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return Snapshot{}, fmt.Errorf("recording the state of the machine: %w", err)
	}
	return s, nil
}

// Diff tells, one line each, what now differs from before; nothing if the machine is as it was. A sysctl that exists on one
// side only came or went with its network link, and is not told besides it.
func Diff(before, now Snapshot) []string {
	var lines []string
	lists := func(what string, old, current []string) {
		for _, item := range current {
			if !slices.Contains(old, item) {
				lines = append(lines, fmt.Sprintf("%s is new: %s", what, item))
			}
		}
		for _, item := range old {
			if !slices.Contains(current, item) {
				lines = append(lines, fmt.Sprintf("%s is gone: %s", what, item))
			}
		}
	}
	lists("process", before.Processes, now.Processes)
	lists("network link", before.Links, now.Links)
	lists("route", before.Routes, now.Routes)
	lists("nftables table", before.Tables, now.Tables)
	lists("mount", before.Mounts, now.Mounts)
	lists("control group", before.Cgroups, now.Cgroups)
	lists("path", before.Paths, now.Paths)
	for _, key := range changedSysctls(before.Sysctls, now.Sysctls) {
		lines = append(lines, fmt.Sprintf("sysctl %s was %q, is %q", key, before.Sysctls[key], now.Sysctls[key]))
	}
	return lines
}

func markedProcesses(dir string) ([]string, error) {
	found, err := process.FindByEnvironment(Marker, dir)
	list := make([]string, len(found))
	for i, p := range found {
		const enough = 120
		list[i] = fmt.Sprintf("%d %.*s", p.PID, enough, p.CommandLine)
	}
	return list, err
}

func links() ([]string, error) {
	interfaces, err := net.Interfaces()
	names := make([]string, len(interfaces))
	for i, link := range interfaces {
		names[i] = link.Name
	}
	return names, err
}

// expiry is the part of a route's description that changes while nothing changes.
var expiry = regexp.MustCompile(` expires \d+sec`)

func routes(ctx context.Context) ([]string, error) {
	var list []string
	for _, family := range []string{"-4", "-6"} {
		out, err := command.Output(command.New(ctx, "ip", family, "route", "show"))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			list = append(list, strings.TrimSpace(expiry.ReplaceAllString(line, "")))
		}
	}
	return list, nil
}

// Tables lists the nftables tables, as "table ip filter".
func Tables(ctx context.Context) ([]string, error) {
	out, err := command.Output(command.New(ctx, "nft", "list", "tables"))
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(out, "\n"), nil
}

func existing(paths []string) ([]string, error) {
	var found []string
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return found, nil
}

// RemoveStray removes the fixed places of a node that were not there before.
func RemoveStray(before Snapshot) error {
	var failures []error
	for _, path := range strayPaths {
		if slices.Contains(before.Paths, path) {
			continue
		}
		// Only what is not mounted: removing through a mount would empty what is mounted there.
		if mounts, err := MountsUnder(path); err != nil || len(mounts) > 0 {
			failures = append(failures, err)
			continue
		}
		failures = append(failures, os.RemoveAll(path))
	}
	return errors.Join(failures...)
}
