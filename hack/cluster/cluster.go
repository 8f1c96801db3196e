package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
	"github.com/scrapethis/spider-operator/hack/internal/process"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

type note = progress.Note

// cluster is what the subcommands work on.
type cluster struct {
	layout
	repository string
	cache      gobuild.Cache
	processes  process.Store
	say        *progress.Printer
	out        io.Writer
	// signal is what a component is killed by.
	signal string
}

func newStore(l layout) process.Store { return process.Store{Dir: l.records()} }

// exclusively keeps a second `up` or `down` waiting, on the whole machine, since it has room for one cluster only. An abstract
// Unix socket is the lock: it leaves nothing behind, and ends with the process.
func (c *cluster) exclusively(ctx context.Context) (unlock func(), err error) {
	const name = "@spider-operator-cluster"
	said := false
	for {
		l, err := new(net.ListenConfig).Listen(ctx, "unix", name)
		if err == nil {
			return func() { _ = l.Close() }, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("keeping others from changing the cluster: %w", err)
		}
		if !said {
			c.say.Say("waiting for another `cluster` command that changes the cluster")
			said = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// plan builds, or finds, what the cluster runs, and returns its components.
func (c *cluster) plan(ctx context.Context) ([]component, programs, error) {
	built, err := c.buildAll(ctx)
	if err != nil {
		return nil, programs{}, err
	}
	containerd, err := findProgram("containerd")
	if err != nil {
		return nil, programs{}, err
	}
	return components(c.layout, built, containerd), built, nil
}

// alive returns those components that run, by their names.
func (c *cluster) alive(all []component) (map[string]process.Record, error) {
	running := make(map[string]process.Record)
	for _, component := range all {
		record, err := c.processes.Load(component.name)
		if err != nil {
			return nil, err
		}
		if record.Alive() {
			running[component.name] = record
		}
	}
	return running, nil
}

// started is a component between its start and its readiness.
type started struct {
	component
	title string
	// running is nil if it ran before.
	running *process.Running
	record  process.Record
	// since is when it was started, the zero time if it ran before.
	since time.Time
}

// launch starts the component unless it runs as it should, and does not wait for it. One that runs is restarted all the same
// if because says why it must.
func (c *cluster) launch(component component, because string) (*started, error) {
	spec, err := component.spec(c.layout)
	if err != nil {
		return nil, err
	}
	record, err := c.processes.Load(component.name)
	if err != nil {
		return nil, err
	}
	s := &started{component: component, record: record, title: "start " + component.name}
	if because == "" && record.Fingerprint != spec.Fingerprint() {
		because = "whose settings have changed"
	}
	switch {
	case record.Alive() && because == "":
		s.title = component.name
		return s, nil
	case record.Alive():
		s.title = "restart " + component.name + ", " + because
		const patience = 3 * time.Second
		if err := process.Stop(record.Identity, patience); err != nil {
			return nil, fmt.Errorf("restarting %s: %w", component.name, err)
		}
	case record.PID != 0:
		s.title = "restart " + component.name + ", which had ended"
	}
	s.since = time.Now()
	if s.running, err = c.processes.Start(spec, c.log(component.name)); err != nil {
		return nil, err
	}
	s.record = s.running.Record
	return s, nil
}

// await waits until the component serves. What ran before and serves is not worth a line.
func (c *cluster) await(ctx context.Context, client *client, s *started) error {
	if s.running == nil {
		if client.serves(ctx, s.ready) == nil {
			return nil
		}
		// It was about to end when it was looked at: somebody has killed it just now.
		if !s.record.Alive() {
			again, err := c.launch(s.component, "")
			if err != nil {
				return err
			}
			*s = *again
		}
	}
	return c.say.Do(ctx, s.title, func(ctx context.Context, _ note) error {
		const patience = 90 * time.Second
		err := eventually(ctx, patience, func(ctx context.Context) error { return client.serves(ctx, s.ready) }, s.ended)
		if err == nil || ctx.Err() != nil {
			return err
		}
		return &logError{fmt.Errorf("%s does not serve: %w", s.name, err), c.log(s.name)}
	})
}

// ended returns an error if the process has.
func (s *started) ended() error {
	if s.running != nil {
		if how, ended := s.running.Exited(); ended {
			return fmt.Errorf("it ended with %s", how)
		}
		return nil
	}
	if !s.record.Alive() {
		return errors.New("it ended")
	}
	return nil
}

func (c *cluster) env(context.Context) error {
	if _, err := os.Stat(c.kubeconfig(admin)); err != nil {
		return fmt.Errorf("there is no cluster in %s: run `cluster up` first", c.dir)
	}
	_, err := fmt.Fprintf(c.out, "export KUBECONFIG=%s\n", c.kubeconfig(admin))
	return err
}

func (c *cluster) assets(ctx context.Context) error {
	dir, err := c.buildKubernetes(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, dir)
	return err
}

// linkPrograms puts kubectl, and what else is called by name, into the cluster's bin directory.
func (c *cluster) linkPrograms(p programs) error {
	if err := os.MkdirAll(c.bin(), 0o700); err != nil {
		return fmt.Errorf("linking kubectl: %w", err)
	}
	link := filepath.Join(c.bin(), "kubectl")
	target := p.kubernetesComponent("kubectl")
	if now, err := os.Readlink(link); err == nil && now == target {
		return nil
	}
	if err := errors.Join(os.RemoveAll(link), os.Symlink(target, link)); err != nil {
		return fmt.Errorf("linking kubectl: %w", err)
	}
	return nil
}
