package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/files"
	"github.com/scrapethis/spider-operator/hack/internal/machine"
	"github.com/scrapethis/spider-operator/hack/internal/process"
)

// down ends the cluster and undoes what it changed of the machine. It needs no more than the directory's name to find what
// there is, so it copes with every state, and being interrupted is one of them.
func (c *cluster) down(ctx context.Context) error {
	if err := requireRoot("ending the cluster"); err != nil {
		return err
	}
	unlock, err := c.exclusively(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	exists, err := c.exists()
	if err != nil {
		return err
	}
	processes, err := process.FindByEnvironment(machine.Marker, c.dir)
	if err != nil {
		return err
	}
	owner, err := linkOwner()
	if err != nil {
		return err
	}
	if !exists && len(processes) == 0 && owner != c.dir {
		c.say.Say("there is no cluster in %s", c.dir)
		if owner != "" {
			c.say.Say("there is one in %s", owner)
		}
		return nil
	}
	before, err := files.Load[machine.Snapshot](c.machine())
	recorded := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, step := range []struct {
		title string
		do    func(context.Context) error
		// shared is what every cluster of this machine has by the same name: only its owner may remove it.
		shared bool
	}{
		{"stop the kubelet", func(context.Context) error { return c.stopKubelet() }, false},
		{"stop pods", func(context.Context) error { return stopPods() }, true},
		{"stop the components", func(context.Context) error { return c.stopComponents() }, false},
		{"unmount file systems", func(context.Context) error { return machine.UnmountUnder(c.dir) }, false},
		{"remove control groups", func(context.Context) error { return machine.RemoveCgroups(cgroup) }, true},
		{"remove network links and rules", removeNetwork, true},
		{"remove files", func(context.Context) error { return c.removeFiles(before, recorded) }, false},
		{"restore sysctls", func(context.Context) error { return restore(before, recorded) }, false},
	} {
		if step.shared && owner != c.dir {
			continue
		}
		err := c.say.Do(ctx, step.title, func(ctx context.Context, _ note) error { return step.do(ctx) })
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if !recorded {
		c.say.Say("what the machine was like before is not recorded: its sysctls were left as they are")
		return os.RemoveAll(c.dir)
	}
	now, err := machine.Take(ctx, c.dir)
	if err != nil {
		return err
	}
	if differences := machine.Diff(before, now); len(differences) > 0 {
		return fmt.Errorf("the machine is not as it was before (the record is in %s; `cluster down` tries again):\n    %s",
			c.machine(), strings.Join(differences, "\n    "))
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("removing the cluster's directory: %w", err)
	}
	c.say.Say("the machine is as it was before")
	return nil
}

func (c *cluster) stopKubelet() error {
	record, err := c.processes.Load("kubelet")
	if err != nil {
		return err
	}
	const patience = 5 * time.Second
	return process.Stop(record.Identity, patience)
}

// stopPods ends what runs in Pods, while the shims that reap it still do.
func stopPods() error {
	for {
		found, err := machine.ProcessesIn(cgroup)
		if err != nil || len(found) == 0 {
			return err
		}
		const patience = 2 * time.Second
		if err := process.StopAll(found, patience); err != nil {
			return err
		}
	}
}

// stopComponents ends everything that carries the cluster's mark: first the components, then, without waiting, what they
// left (containerd's shims, which do not end by themselves).
func (c *cluster) stopComponents() error {
	records, err := filepath.Glob(filepath.Join(c.records(), "*.json"))
	if err != nil {
		return fmt.Errorf("listing the components: %w", err)
	}
	// kube-apiserver waits for its clients' requests, and etcd must outlive it; hence in turns.
	var first, second, last []process.Identity
	for _, path := range records {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		record, err := c.processes.Load(name)
		if err != nil {
			return err
		}
		switch name {
		case "etcd":
			last = append(last, record.Identity)
		case "kube-apiserver":
			second = append(second, record.Identity)
		default:
			first = append(first, record.Identity)
		}
	}
	const patience = 3 * time.Second
	for _, turn := range [][]process.Identity{first, second, last} {
		if err := process.StopAll(turn, patience); err != nil {
			return err
		}
	}
	left, err := process.FindByEnvironment(machine.Marker, c.dir)
	if err != nil {
		return err
	}
	identities := make([]process.Identity, len(left))
	for i, p := range left {
		identities[i] = p.Identity
	}
	return process.StopAll(identities, 0)
}

// removeFiles removes the cluster's directory but for the record and the logs, and what lies elsewhere.
func (c *cluster) removeFiles(before machine.Snapshot, recorded bool) error {
	if err := c.removeShimSockets(); err != nil {
		return err
	}
	// libcni caches the result of each sandbox under the network's name, at a fixed place.
	results, err := filepath.Glob("/var/lib/cni/results/" + clusterName + "-*")
	if err != nil {
		return fmt.Errorf("listing CNI results: %w", err)
	}
	for _, path := range results {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing a CNI result: %w", err)
		}
	}
	if err := c.removeLogLinks(); err != nil {
		return err
	}
	if recorded {
		if err := machine.RemoveStray(before); err != nil {
			return fmt.Errorf("removing what components left outside the cluster's directory: %w", err)
		}
	}
	// Removing through a mount would remove what is mounted.
	if mounts, err := machine.MountsUnder(c.dir); err != nil || len(mounts) > 0 {
		return errors.Join(err, fmt.Errorf("still mounted: %s", strings.Join(mounts, ", ")))
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listing the cluster's directory: %w", err)
	}
	kept := []string{filepath.Base(c.machine()), "logs"}
	for _, entry := range entries {
		if slices.Contains(kept, entry.Name()) {
			continue
		}
		if err := os.RemoveAll(c.path(entry.Name())); err != nil {
			return fmt.Errorf("removing the cluster's files: %w", err)
		}
	}
	return nil
}

// removeShimSockets removes the sockets of the shims, which are in a fixed place under names that only each bundle knows.
func (c *cluster) removeShimSockets() error {
	addresses, err := filepath.Glob(filepath.Join(c.containerd(), "state", "io.containerd.runtime.v2.task", "*", "*", "address"))
	if err != nil {
		return fmt.Errorf("listing shims: %w", err)
	}
	for _, path := range addresses {
		address, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("looking for a shim's socket: %w", err)
		}
		socket := strings.TrimPrefix(strings.TrimSpace(string(address)), "unix://")
		// The path is what containerd wrote below the cluster's directory, which is root's alone.
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a shim's socket: %w", err)
		}
	}
	return nil
}

// removeLogLinks removes the links that the kubelet keeps at a fixed place to its containers' logs.
func (c *cluster) removeLogLinks() error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return fmt.Errorf("listing links to logs: %w", err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || !strings.HasPrefix(target, c.dir+"/") {
			continue
		}
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("removing a link to a log: %w", err)
		}
	}
	return nil
}

func restore(before machine.Snapshot, recorded bool) error {
	if !recorded || before.BootID != process.BootID() {
		return nil // nothing to go back to: the machine has set its own since
	}
	return machine.RestoreSysctls(before)
}
