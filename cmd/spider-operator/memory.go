package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// heapShare is the part of the container's memory limit that the Go runtime may take: what is left is for what it does not
	// count.
	heapShare = 0.9
	// limitRefresh is how often the limit is read again: a Pod may be resized while it runs.
	limitRefresh = time.Minute
)

// limitMemory has the garbage collector work harder as the process nears its container's memory limit, until the context ends.
// The environment's GOMEMLIMIT goes before it. A limit that cannot be read is logged and taken for none.
func limitMemory(ctx context.Context, limit memlimit.Provider, log *slog.Logger) {
	// The library logs what goes wrong.
	_, _ = memlimit.Set(
		memlimit.WithProvider(
			limit,
		),
		memlimit.WithRatio(heapShare),
		memlimit.WithRefreshInterval(ctx, limitRefresh),
		memlimit.WithLogger(log),
	)
}
