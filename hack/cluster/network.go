package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/machine"
)

// ensureNetwork gives the machine the node's bridge, address and route, and lets it forward between pods. What is there
// already is left as it is.
func ensureNetwork(ctx context.Context, l layout) error {
	if _, err := os.Stat(linkPath(nodeBridge)); errors.Is(err, fs.ErrNotExist) {
		if err := ip(ctx, "link", "add", nodeBridge, "type", "bridge"); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"link", "set", nodeBridge, "alias", l.dir, "up"},
		{"address", "replace", netip.PrefixFrom(nodeAddress, nodeAddress.BitLen()).String(), "dev", nodeBridge},
		// What is addressed to a service and not translated (yet) ends here, and not at the machine's default gateway.
		{"route", "replace", serviceCIDR.String(), "dev", nodeBridge},
	} {
		if err := ip(ctx, args...); err != nil {
			return err
		}
	}
	if err := run(ctx, "nft", "--file", l.config("isolation.nft")); err != nil {
		return err
	}
	if err := machine.SetSysctl("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	// Without it, the answer of a service's pod to a pod on the same bridge would not pass the translation back. A kernel that
	// cannot do it at all has no such setting; modprobe may give it one.
	const bridged = "net/bridge/bridge-nf-call-iptables"
	if _, err := machine.Sysctl(bridged); errors.Is(err, fs.ErrNotExist) {
		if _, err := command.Output(command.New(ctx, "modprobe", "br_netfilter")); err != nil {
			return fmt.Errorf("the kernel module br_netfilter is needed: %w", err)
		}
	}
	return machine.SetSysctl(bridged, "1")
}

// linkOwner returns the directory of the cluster that made the bridge; nothing if there is no bridge.
func linkOwner() (string, error) {
	alias, err := os.ReadFile(filepath.Join(linkPath(nodeBridge), "ifalias"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking whose %s is: %w", nodeBridge, err)
	}
	if owner := strings.TrimSpace(string(alias)); owner != "" {
		return owner, nil
	}
	return "another program", nil
}

func linkPath(name string) string { return "/sys/class/net/" + name }

// ownTables are the nftables tables of the cluster: kube-proxy's two, and the one that keeps traffic on the machine.
var ownTables = []string{"table ip kube-proxy", "table ip6 kube-proxy", "table ip " + isolation}

// removeNetwork removes the bridges, what is plugged into them, and kube-proxy's rules.
func removeNetwork(ctx context.Context) error {
	var failures []error
	ports, err := filepath.Glob(filepath.Join(linkPath(podBridge), "brif", "*"))
	failures = append(failures, err)
	for _, port := range ports {
		// Its other end may have been removed with a pod's network namespace just now, and taken it along.
		if err := ip(ctx, "link", "delete", filepath.Base(port)); err != nil {
			if _, gone := os.Stat(linkPath(filepath.Base(port))); gone == nil {
				failures = append(failures, err)
			}
		}
	}
	for _, bridge := range []string{podBridge, nodeBridge} {
		if _, err := os.Stat(linkPath(bridge)); err == nil {
			failures = append(failures, ip(ctx, "link", "delete", bridge))
		}
	}
	tables, err := machine.Tables(ctx)
	failures = append(failures, err)
	for _, table := range tables {
		if slices.Contains(ownTables, table) {
			failures = append(failures, run(ctx, "nft", append([]string{"delete"}, strings.Fields(table)...)...))
		}
	}
	return errors.Join(failures...)
}

func ip(ctx context.Context, args ...string) error { return run(ctx, "ip", args...) }

func run(ctx context.Context, program string, args ...string) error {
	path, err := findProgram(program)
	if err != nil {
		return err
	}
	_, err = command.Output(command.New(ctx, path, args...))
	return err
}

// overlap returns the first of the machine's routes that would take traffic of the cluster's addresses elsewhere: one for a
// part of a range of the cluster, or for just that range, over a link of somebody else. A wider route does no harm.
func overlap(routes []string) string {
	for _, route := range routes {
		fields := strings.Fields(route)
		if len(fields) == 0 || strings.Contains(route, " dev "+nodeBridge) || strings.Contains(route, " dev "+podBridge) {
			continue
		}
		destination, err := netip.ParsePrefix(fields[0])
		if err != nil {
			address, err := netip.ParseAddr(fields[0])
			if err != nil {
				continue // "default", "unreachable" and the like
			}
			destination = netip.PrefixFrom(address, address.BitLen())
		}
		for _, own := range []netip.Prefix{serviceCIDR, podCIDR, netip.PrefixFrom(nodeAddress, nodeAddress.BitLen())} {
			if own.Overlaps(destination) && destination.Bits() >= own.Bits() {
				return route
			}
		}
	}
	return ""
}
