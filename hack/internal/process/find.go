package process

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
)

// Info is what /proc says of one process.
type Info struct {
	Identity
	// CommandLine has its arguments separated by spaces.
	CommandLine string
}

// FindByEnvironment returns the living processes, this one excepted, that were started with the environment variable
// set to that value. It finds what a started program has started in turn, whatever it is called.
func FindByEnvironment(name, value string) ([]Info, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var found []Info
	for _, p := range all {
		// A process may end at any moment while it is being looked at: that is no error, it is merely not found.
		environment, err := p.Environ()
		if err != nil || p.PID == os.Getpid() || !slices.Contains(environment, name+"="+value) {
			continue
		}
		line, err := p.CmdLine()
		if err != nil {
			continue
		}
		if id, err := Identify(p.PID); err == nil {
			found = append(found, Info{Identity: id, CommandLine: strings.Join(line, " ")})
		}
	}
	return found, nil
}

// Memory is a process' resident memory in bytes.
type Memory struct {
	// Resident counts pages shared with others in full.
	Resident uint64
	// Proportional counts a page shared by n processes as a n-th: only the sum of these is what the machine really gives.
	Proportional uint64
}

// MemoryOf is the memory of a process; none of one that has ended meanwhile.
func MemoryOf(pid int) Memory {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return Memory{}
	}
	sum, err := p.ProcSMapsRollup()
	if err != nil {
		return Memory{}
	}
	return Memory{Resident: sum.Rss, Proportional: sum.Pss}
}
