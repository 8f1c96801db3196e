package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The container's memory limit reaches the Go runtime, and follows it when the Pod is resized.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var limit atomic.Uint64
		limit.Store(512 << 20)
		limitMemory(ctx, func() (uint64, error) { return limit.Load(), nil }, slog.New(slog.DiscardHandler))
		if got := debug.SetMemoryLimit(-1); got != 512<<20*9/10 {
			t.Errorf("in a container of 512 MiB the runtime may take %d bytes", got)
		}
		limit.Store(1 << 30)
		time.Sleep(limitRefresh)
		synctest.Wait()
		if got := debug.SetMemoryLimit(-1); got != 1<<30*9/10 {
			t.Errorf("in a container that has grown to 1 GiB the runtime may take %d bytes", got)
		}
	})
}

func TestMemoryLimitThatCannotBeRead(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	limitMemory(ctx, func() (uint64, error) { return 0, errors.New("no such file") }, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "no such file") {
		t.Errorf("the log says %q", log.String())
	}
	limitMemory(ctx, func() (uint64, error) { return 0, memlimit.ErrNoLimit }, slog.New(slog.DiscardHandler))
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("without a limit the runtime may take %d bytes", got)
	}
}
