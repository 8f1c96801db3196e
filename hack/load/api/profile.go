package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// profiled runs a part of the benchmark and, where profiles are wanted, writes those of the facade with the largest view: of its
// heap before, and of its processor time in the first ten seconds.
func (b *bench) profiled(ctx context.Context, name string, part func() error) error {
	if b.options.profiles == "" {
		return part()
	}
	largest := b.views[len(b.views)-1].facade
	if err := b.saveProfile(ctx, largest, "heap?gc=1", name+"-heap.pprof"); err != nil {
		return err
	}
	saved := make(chan error, 1)
	go func() { saved <- b.saveProfile(ctx, largest, "profile?seconds=10", name+"-cpu.pprof") }()
	return errors.Join(part(), <-saved)
}

func (b *bench) saveProfile(ctx context.Context, of *facade, what, file string) error {
	content, err := ask(ctx, of.insight+"/debug/pprof/"+what)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.options.profiles, 0o750); err != nil {
		return fmt.Errorf("make a directory for profiles: %w", err)
	}
	if err := os.WriteFile(filepath.Join(b.options.profiles, file), content, 0o600); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return nil
}
