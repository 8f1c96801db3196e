package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/machine"
	"github.com/scrapethis/spider-operator/hack/internal/process"
)

// status prints whether each component runs and serves, and how much memory all of them take.
func (c *cluster) status(ctx context.Context) error {
	if exists, err := c.exists(); err != nil || !exists {
		return errors.Join(err, fmt.Errorf("there is no cluster in %s", c.dir))
	}
	client, err := newClient(c.layout)
	if err != nil {
		return err
	}
	var total process.Memory
	var table strings.Builder
	table.WriteString("COMPONENT\tPID\tRESIDENT\tPROPORTIONAL\tSTATE\n")
	row := func(name, pid string, m process.Memory, state string) {
		total.Resident += m.Resident
		total.Proportional += m.Proportional
		fmt.Fprintf(&table, "%s\t%s\t%s\t%s\t%s\n", name, pid, mebibytes(m.Resident), mebibytes(m.Proportional), state)
	}
	known := make(map[int]bool)
	trouble := 0
	for _, component := range components(c.layout, programs{}, "") {
		record, err := c.processes.Load(component.name)
		if err != nil {
			return err
		}
		if !record.Alive() {
			trouble++
			row(component.name, "-", process.Memory{}, "does not run")
			continue
		}
		known[record.PID] = true
		state := "serves"
		if err := client.serves(ctx, component.ready); err != nil {
			trouble++
			state = "does not serve: " + firstLine(err.Error())
		}
		row(component.name, strconv.Itoa(record.PID), process.MemoryOf(record.PID), state)
	}
	shims, shimMemory, err := c.shims(known)
	if err != nil {
		return err
	}
	row("shims", "", shimMemory, strconv.Itoa(shims))
	pods, err := machine.ProcessesIn(cgroup)
	if err != nil {
		return err
	}
	row("processes in pods", "", memoryOf(pods), strconv.Itoa(len(pods)))
	row("total", "", total, c.overall(ctx, client, trouble))
	return writeTable(c.out, table.String())
}

func (c *cluster) overall(ctx context.Context, client *client, trouble int) string {
	if trouble > 0 {
		return fmt.Sprintf("%d components in trouble: `cluster up` restarts them", trouble)
	}
	if err := client.nodeReady(ctx, time.Time{}); err != nil {
		return firstLine(err.Error())
	}
	return "node Ready"
}

// shims are what carries the cluster's mark and is no component.
func (c *cluster) shims(known map[int]bool) (int, process.Memory, error) {
	marked, err := process.FindByEnvironment(machine.Marker, c.dir)
	if err != nil {
		return 0, process.Memory{}, err
	}
	var shims []process.Identity
	for _, p := range marked {
		if !known[p.PID] {
			shims = append(shims, p.Identity)
		}
	}
	return len(shims), memoryOf(shims), nil
}

func memoryOf(processes []process.Identity) process.Memory {
	var sum process.Memory
	for _, p := range processes {
		m := process.MemoryOf(p.PID)
		sum.Resident += m.Resident
		sum.Proportional += m.Proportional
	}
	return sum
}

func mebibytes(bytes uint64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
