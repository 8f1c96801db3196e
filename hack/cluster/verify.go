package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/files"
	"github.com/scrapethis/spider-operator/hack/internal/machine"
)

func (c *cluster) snapshot(ctx context.Context) error {
	now, err := machine.Take(ctx, c.dir)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", " ")
	return encoder.Encode(now)
}

// verify compares the machine with the record of before the cluster's start. Where there is none, it looks for what only a
// cluster can have left.
func (c *cluster) verify(ctx context.Context) error {
	if err := requireRoot("looking at the machine's network rules"); err != nil {
		return err
	}
	now, err := machine.Take(ctx, c.dir)
	if err != nil {
		return err
	}
	var differences []string
	before, err := files.Load[machine.Snapshot](c.machine())
	switch {
	case err == nil:
		differences = machine.Diff(before, now)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
		differences = leftovers(now)
	default:
		return err
	}
	if len(differences) == 0 {
		differences = []string{"nothing differs"}
	} else {
		err = fmt.Errorf("%d differences", len(differences))
	}
	_, printing := io.WriteString(c.out, strings.Join(differences, "\n")+"\n")
	return errors.Join(err, printing)
}

// leftovers finds in the state of a machine what comes from a cluster for certain.
func leftovers(s machine.Snapshot) []string {
	var found []string
	tell := func(what string, items []string, ours func(string) bool) {
		for _, item := range items {
			if ours(item) {
				found = append(found, what+": "+item)
			}
		}
	}
	every := func(string) bool { return true }
	tell("process", s.Processes, every)
	tell("network link", s.Links, func(name string) bool { return slices.Contains([]string{nodeBridge, podBridge}, name) })
	tell("nftables table", s.Tables, func(name string) bool { return slices.Contains(ownTables, name) })
	tell("control group", s.Cgroups, func(path string) bool { return strings.HasSuffix(path, "/"+cgroup) })
	return found
}
