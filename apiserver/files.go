package apiserver

import (
	"cmp"
	"log/slog"
	"math"
	"syscall"

	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// filesBesides is how many files the process may have open in addition to the connections of callers: connections to
// Kubernetes, of probes and metrics, and the process's own files.
const filesBesides = privateConnections + 256

// fitConnections lowers a bound of connections, 0 for the default, so that enough open files are left for everything else:
// without free files no connection could be accepted at all, nor made to Kubernetes.
func fitConnections(wanted, files int) (most int) {
	return min(cmp.Or(wanted, guard.DefaultMaxConnections), max(1, files-filesBesides))
}

// connectionsWithinFiles is fitConnections with the process's own limit. It logs a limit that is too low.
func connectionsWithinFiles(wanted int, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("finding out how many files may be open", "error", err.Error())
		return wanted
	}
	files := int(min(limit.Cur, math.MaxInt32))
	most := fitConnections(wanted, files)
	if most < cmp.Or(wanted, guard.DefaultMaxConnections) {
		log.Warn("fewer connections are accepted than configured: the process may not open more files",
			"connections", most, "open_files", files)
	}
	return most
}
