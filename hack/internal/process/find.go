package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Info is what /proc tells of one process.
type Info struct {
	Identity
	// CommandLine has its arguments separated by spaces.
	CommandLine string
}

// FindByEnvironment returns the living processes, this one excepted, that were started with the environment variable
// set to that value. It finds what a started program has started in turn, whatever it is called.
func FindByEnvironment(name, value string) ([]Info, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var found []Info
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A process may end at any moment while it is being looked at: that is no error, it is merely not found.
		environment, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil || !hasVariable(environment, name+"="+value) {
			continue
		}
		cmdline, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil {
			continue
		}
		if id, err := Identify(pid); err == nil {
			line := strings.ReplaceAll(strings.TrimRight(string(cmdline), "\x00"), "\x00", " ")
			found = append(found, Info{Identity: id, CommandLine: line})
		}
	}
	return found, nil
}

func hasVariable(environment []byte, variable string) bool {
	for entry := range bytes.SplitSeq(environment, []byte{0}) {
		if string(entry) == variable {
			return true
		}
	}
	return false
}

// Memory is a process' resident memory in bytes.
type Memory struct {
	// Resident counts pages shared with others in full.
	Resident uint64
	// Proportional counts a page shared by n processes as a n-th: only the sum of these is what the machine really gives.
	Proportional uint64
}

// MemoryOf reads /proc/<pid>/smaps_rollup.
func MemoryOf(pid int) (Memory, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return parseSmapsRollup(string(data)), nil
}

func parseSmapsRollup(text string) Memory {
	var m Memory
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kib, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "Rss:":
			m.Resident = kib << 10
		case "Pss:":
			m.Proportional = kib << 10
		}
	}
	return m
}
