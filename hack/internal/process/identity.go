// Package process starts programs that outlive their starter, finds them again by an identity that a reused pid cannot
// forge, and stops them.
package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Identity tells one process from every other that this machine has run or will run: a pid alone is used again, a pid with
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
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	s, err := parseStat(string(stat))
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	if s.dead() {
		return Identity{}, fmt.Errorf("process %d has ended", pid)
	}
	return Identity{PID: pid, StartTime: s.startTime, BootID: BootID()}, nil
}

// Alive reports whether this very process still runs.
func (i Identity) Alive() bool {
	if i.PID <= 0 {
		return false
	}
	now, err := Identify(i.PID)
	return err == nil && now == i
}

type stat struct {
	state     byte
	threads   int
	startTime uint64
}

// dead: a process is a zombie as soon as its first thread has ended, but keeps its files and ports until its last has.
func (s stat) dead() bool { return s.state == 'X' || s.state == 'Z' && s.threads <= 1 }

// parseStat reads /proc/<pid>/stat. Its second field is the command's name in parentheses, which may itself hold spaces and
// parentheses: what follows the last one is regular.
func parseStat(line string) (stat, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("no command name in stat line %q", line)
	}
	fields := strings.Fields(line[end+1:])
	// The manual counts from 1, and there are two fields before these.
	const state, threads, startTime = 0, 20 - 3, 22 - 3
	if len(fields) <= startTime || len(fields[state]) != 1 {
		return stat{}, fmt.Errorf("stat line too short: %q", line)
	}
	ticks, err := strconv.ParseUint(fields[startTime], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("start time in stat line: %w", err)
	}
	count, err := strconv.Atoi(fields[threads])
	if err != nil {
		return stat{}, fmt.Errorf("number of threads in stat line: %w", err)
	}
	return stat{state: fields[state][0], threads: count, startTime: ticks}, nil
}
