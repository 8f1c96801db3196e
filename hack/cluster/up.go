package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/files"
	"github.com/scrapethis/spider-operator/hack/internal/machine"
	"github.com/scrapethis/spider-operator/hack/internal/process"
)

// up brings the cluster to where it can be used, whatever state it finds it in.
func (c *cluster) up(ctx context.Context) error {
	begin := time.Now()
	if err := errors.Join(requireRoot("starting the cluster"), c.installPackages(ctx)); err != nil {
		return err
	}
	all, built, err := c.plan(ctx)
	if err != nil {
		return err
	}
	unlock, err := c.exclusively(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.prepare(ctx, all, built); err != nil {
		return err
	}
	if err := c.startAll(ctx, all, built); err != nil {
		return err
	}
	if err := os.Remove(c.starting()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording that the cluster has started: %w", err)
	}
	c.say.Say("the cluster is ready, after %.1f s:  export KUBECONFIG=%s", time.Since(begin).Seconds(), c.kubeconfig(admin))
	return nil
}

// prepare looks what is there, checks that the rest can be started, and writes the files that takes.
func (c *cluster) prepare(ctx context.Context, all []component, built programs) error {
	running, err := c.alive(all)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.starting()); err == nil {
		c.say.Say("an earlier start did not finish (%d of %d components run): going on from there", len(running), len(all))
	}
	before, err := c.recordMachine(ctx, len(running))
	if err != nil {
		return err
	}
	if len(running) < len(all) {
		var about []component
		for _, component := range all {
			if _, runs := running[component.name]; !runs {
				about = append(about, component)
			}
		}
		if err := checkMachine(c.layout, before, about); err != nil {
			return errors.Join(err, c.forgetUnstarted(len(running)))
		}
		if err := os.WriteFile(c.starting(), nil, 0o600); err != nil {
			return fmt.Errorf("recording that the cluster starts: %w", err)
		}
	}
	for _, dir := range []string{c.records(), c.path("logs"), c.path("config"), c.path("etcd"), c.podLogs(), c.containerd()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the cluster's directories: %w", err)
		}
	}
	if err := writeKeys(c.layout); err != nil {
		return err
	}
	cniPlugins, err := findIn(cniPlugin, cniDirectories)
	if err != nil {
		return err
	}
	snapshotter, err := c.snapshotter()
	if err != nil {
		return err
	}
	if err := writeSettings(c.layout, strings.TrimSuffix(cniPlugins, "/"+cniPlugin), snapshotter); err != nil {
		return err
	}
	if err := c.linkPrograms(built); err != nil {
		return err
	}
	return ensureNetwork(ctx, c.layout)
}

// recordMachine keeps the machine's state as it was before the first start since the machine itself did.
func (c *cluster) recordMachine(ctx context.Context, running int) (machine.Snapshot, error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return machine.Snapshot{}, fmt.Errorf("making the cluster's directory: %w", err)
	}
	recorded, err := files.Load[machine.Snapshot](c.machine())
	switch {
	case err == nil && (recorded.BootID == process.BootID() || running > 0):
		return recorded, nil
	case err == nil:
		c.say.Say("the machine was restarted since: starting the cluster again, with what it held")
		// Addresses that pods had: no pod has one now.
		if err := os.RemoveAll(c.cniState()); err != nil {
			return machine.Snapshot{}, fmt.Errorf("forgetting pods' addresses: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return machine.Snapshot{}, err
	}
	now, err := machine.Take(ctx, c.dir)
	if err != nil {
		return machine.Snapshot{}, err
	}
	return now, files.Save(c.machine(), now)
}

// forgetUnstarted leaves no directory of a cluster that was refused before anything was started.
func (c *cluster) forgetUnstarted(running int) error {
	if _, err := os.Stat(c.records()); running > 0 || err == nil {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// snapshotter keeps to what the cluster began with: images are stored its way.
func (c *cluster) snapshotter() (string, error) {
	const file = "snapshotter"
	if known, err := os.ReadFile(c.config(file)); err == nil {
		return string(known), nil
	}
	chosen, err := chooseSnapshotter(c.dir)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(c.config(file), []byte(chosen), 0o600); err != nil {
		return "", fmt.Errorf("recording how images are stored: %w", err)
	}
	return chosen, nil
}

// startAll starts each component as soon as what it needs serves, and returns when the cluster can be used.
func (c *cluster) startAll(ctx context.Context, all []component, built programs) error {
	client, err := newClient(c.layout)
	if err != nil {
		return err
	}
	launched := make(map[string]*started)
	because := ""
	launch := func(names ...string) error {
		for _, name := range names {
			component, err := find(all, name)
			if err != nil {
				return err
			}
			if launched[name], err = c.launch(component, because); err != nil {
				return err
			}
		}
		return nil
	}
	await := func(names ...string) error {
		for _, name := range names {
			if err := c.await(ctx, client, launched[name]); err != nil {
				return err
			}
		}
		return nil
	}
	for _, step := range []func() error{
		func() error { return launch("etcd", "containerd") },
		func() error { return await("etcd") },
		func() error { return launch("kube-apiserver") },
		func() error { return await("containerd") },
		func() error { return c.loadPause(ctx, built) },
		func() error { return await("kube-apiserver") },
		func() error { return c.installDNS(ctx, client, built) },
		func() error {
			// Clients that have lost their server several times wait for up to half a minute before they try again.
			if launched["kube-apiserver"].running != nil {
				because = "whose server was restarted"
			}
			return launch("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")
		},
		func() error { return await("kubelet", "kube-controller-manager", "kube-scheduler", "coredns") },
		func() error {
			return c.until(ctx, "node "+nodeName+" is Ready", "kubelet", func(ctx context.Context) error {
				return client.nodeReady(ctx, launched["kubelet"].since)
			})
		},
		func() error { return await("kube-proxy") },
		func() error { return c.until(ctx, "services and their names answer", "kube-proxy", namesResolve) },
		func() error {
			return c.until(ctx, "pods can be made", "kube-controller-manager", client.podsAdmitted)
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// until waits for a condition, in a step of its own unless it holds at once; the log of the named component explains a failure.
func (c *cluster) until(ctx context.Context, title, component string, holds func(context.Context) error) error {
	if holds(ctx) == nil {
		return nil
	}
	return c.say.Do(ctx, title, func(ctx context.Context, _ note) error {
		const patience = 2 * time.Minute
		err := eventually(ctx, patience, holds, func() error { return nil })
		if err == nil || ctx.Err() != nil {
			return err
		}
		return &logError{fmt.Errorf("waited too long until %s: %w", title, err), c.log(component)}
	})
}

// installDNS applies the Service of the cluster's DNS and the rights of its server, unless they are there.
func (c *cluster) installDNS(ctx context.Context, client *client, built programs) error {
	const last = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns"
	if client.get(ctx, apiServer+last, nil) == nil {
		return nil
	}
	return c.say.Do(ctx, "install the DNS service", func(ctx context.Context, _ note) error {
		_, err := command.Output(command.New(ctx, built.kubernetesComponent("kubectl"), "--kubeconfig", c.kubeconfig(admin),
			"--cache-dir", c.path("cache"), "apply", "--server-side", "--force-conflicts", "-f", c.config("dns.yaml")))
		if err != nil {
			return &logError{err, c.log("kube-apiserver")}
		}
		return nil
	})
}
