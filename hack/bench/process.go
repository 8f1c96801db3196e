package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long a process has to stop before it is killed.
	stopTimeout = 20 * time.Second
	// logTail is how much of a process's log an error shows, in bytes.
	logTail = 2 << 10
	// clockTick is the unit of the times in /proc: USER_HZ, the same on every Linux.
	clockTick = time.Second / 100
)

// process is a program that runs for the benchmark.
type process struct {
	name    string
	command *exec.Cmd
	log     string
	// ended is closed when the process has ended; then err says how.
	ended chan struct{}
	err   error
}

// startProcess starts a program that logs to a file in directory, and that the kernel kills should this process end without
// stopping it.
func startProcess(directory, name string, command *exec.Cmd) (*process, error) {
	p := &process{name: name, command: command, log: filepath.Join(directory, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the process has its own copy
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// failure is an error with the end of the log if the process has ended, else nil.
func (p *process) failure() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	log, err := os.ReadFile(p.log)
	if err != nil {
		log = []byte(err.Error())
	}
	return fmt.Errorf("%s has ended: %w; the end of its log:\n%s",
		p.name, errors.Join(p.err, os.ErrProcessDone), log[max(0, len(log)-logTail):])
}

// stop ends the process and waits for its end.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTimeout):
	}
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.ended
	return fmt.Errorf("%s did not stop within %s and was killed", p.name, stopTimeout)
}

// children are this process's children by the names of their programs.
func children() (map[string]int, error) {
	entries, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[string]int{}
	for _, entry := range entries {
		fields, err := statFields(entry)
		if err != nil || fields[1] != strconv.Itoa(os.Getpid()) {
			continue // it has ended meanwhile, or is somebody else's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(entry), "cmdline"))
		if err != nil {
			continue
		}
		program, _, _ := bytes.Cut(line, []byte{0})
		found[filepath.Base(string(program))] = pid
	}
	return found, nil
}

// cpuTime is what a process has used of the processors since its start, in user and kernel mode.
func cpuTime(pid int) (time.Duration, error) {
	fields, err := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// statFields are the fields of proc(5)'s stat from the state on, which is the third there: the name before it may hold
// anything.
func statFields(path string) ([]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read about a process: %w", err)
	}
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) < 13 {
		return nil, fmt.Errorf("read about a process: %s has %d fields", path, len(fields))
	}
	return fields, nil
}

// memory reads a line of proc(5)'s status, such as VmRSS or VmHWM, in bytes.
func memory(pid int, line string) (uint64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read about a process: %w", err)
	}
	for text := range strings.Lines(string(content)) {
		if name, value, _ := strings.Cut(text, ":"); name == line {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s of process %d: %w", line, pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, line)
}

// resetPeak makes VmHWM count anew from what is resident now.
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the peak of process %d's memory: %w", pid, err)
	}
	return nil
}

// output runs a program and returns the one line it prints.
func output(ctx context.Context, directory, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = directory
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("run %s in %s: %w", strings.Join(append([]string{name}, args...), " "), directory, err)
	}
	return strings.TrimSpace(string(out)), nil
}
