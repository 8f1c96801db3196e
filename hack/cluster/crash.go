package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/process"
)

var signals = map[string]syscall.Signal{
	"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
	"INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
}

// deadly are the signals after which a component should be gone.
var deadly = []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}

// kill sends a component a signal, as a crash or an operator would, and waits for its end if it should end.
func (c *cluster) kill(_ context.Context, args []string) error {
	name := args[0]
	signal, known := signals[strings.TrimPrefix(strings.ToUpper(c.signal), "SIG")]
	if !known {
		return fmt.Errorf("there is no signal %q: %w", c.signal, errUsage)
	}
	if _, err := find(components(c.layout, programs{}, ""), name); err != nil {
		return err
	}
	record, err := c.processes.Load(name)
	if err != nil {
		return err
	}
	if !record.Alive() {
		return fmt.Errorf("%s does not run", name)
	}
	if err := process.Signal(record.Identity, signal); err != nil {
		return err
	}
	c.say.Say("sent %s to %s (process %d)", c.signal, name, record.PID)
	if !slices.Contains(deadly, signal) {
		return nil
	}
	const patience = 10 * time.Second
	if left := process.WaitGone([]process.Identity{record.Identity}, patience); len(left) > 0 {
		return fmt.Errorf("%s still runs, %v after", name, patience)
	}
	return nil
}

// start starts one component of a cluster that is there.
func (c *cluster) start(ctx context.Context, args []string) error {
	if err := requireRoot("starting a component"); err != nil {
		return err
	}
	all, _, err := c.plan(ctx)
	if err != nil {
		return err
	}
	chosen, err := find(all, args[0])
	if err != nil {
		return err
	}
	unlock, err := c.exclusively(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	client, err := newClient(c.layout)
	if err != nil {
		return err
	}
	launched, err := c.launch(chosen, "")
	if err != nil {
		return err
	}
	return c.await(ctx, client, launched)
}

func find(all []component, name string) (component, error) {
	names := make([]string, len(all))
	for i, c := range all {
		if c.name == name {
			return c, nil
		}
		names[i] = c.name
	}
	return component{}, fmt.Errorf("there is no component %q; there are %s", name, strings.Join(names, ", "))
}
