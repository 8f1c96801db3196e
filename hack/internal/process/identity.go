// Package process starts programs that outlive their starter, finds them again by an identity that a reused pid cannot
// forge, and stops them.
package process

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/prometheus/procfs"
)

// Identity identifies one process among all that this machine has run or will run: a pid alone is used again, a pid with
// its start time within one boot is not.
type Identity struct {
	PID int `json:"pid"`
	// StartTime is in clock ticks since boot, the 22nd field of /proc/<pid>/stat (proc_pid_stat(5)).
	StartTime uint64 `json:"startTime"`
	// BootID is /proc/sys/kernel/random/boot_id.
	BootID string `json:"bootID"`
}

// BootID returns the id of the machine's current boot.
var BootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
})

// Identify returns the identity of the living process pid; a zombie is none.
func Identify(pid int) (Identity, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	s, err := p.Stat()
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	if dead(s) {
		return Identity{}, fmt.Errorf("process %d has ended", pid)
	}
	return Identity{PID: pid, StartTime: s.Starttime, BootID: BootID()}, nil
}

// Alive reports whether this very process still runs.
func (i Identity) Alive() bool {
	if i.PID <= 0 {
		return false
	}
	now, err := Identify(i.PID)
	return err == nil && now == i
}

// dead: a process is a zombie as soon as its first thread has ended, but keeps its files and ports until its last has.
func dead(s procfs.ProcStat) bool { return s.State == "X" || s.State == "Z" && s.NumThreads <= 1 }
