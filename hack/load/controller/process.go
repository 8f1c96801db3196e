package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/test/integration/process"
)

// clockTick is the unit of the times in /proc: USER_HZ, the same on every Linux.
const clockTick = time.Second / 100

// startProcess starts a program that the kernel kills should this process end without stopping it.
func startProcess(directory, name string, command *exec.Cmd) (*process.Process, error) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return process.Start(directory, name, command)
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

// busyTime is what all processes together have used of the processors since the machine was started.
func busyTime() (time.Duration, error) {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read about the processors: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return 0, fmt.Errorf("read about the processors: the first line of /proc/stat is %q", line)
	}
	var ticks int64
	for _, field := range slices.Concat(fields[1:4], fields[6:8]) { // user, nice and system; interrupts, hard and soft
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read about the processors: %w", err)
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
