package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// progress tells a person what is going on, one line a step. On a terminal the line of the running step is rewritten in
// place.
type progress struct {
	out      *os.File
	terminal bool
}

func printer(out *os.File) progress {
	info, err := out.Stat()
	return progress{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// heading begins a group of steps.
func (p progress) heading(text string) { p.print(text + "\n") }

// step runs a step and prints its line, with the time it took.
func (p progress) step(ctx context.Context, title string, do func(context.Context) error) error {
	start := time.Now()
	p.passing("%s ...", title)
	if err := do(ctx); err != nil {
		p.line("%s: failed", start, title)
		return fmt.Errorf("%s: %w", title, err)
	}
	p.line("%s", start, title)
	return nil
}

// line ends a step's line.
func (p progress) line(format string, start time.Time, args ...any) {
	p.clear()
	p.print(fmt.Sprintf("  %-62s %5.1f s\n", fmt.Sprintf(format, args...), time.Since(start).Seconds()))
}

// passing shows, on a terminal, a line until the next one.
func (p progress) passing(format string, args ...any) {
	if p.terminal {
		p.clear()
		p.print(fmt.Sprintf("  "+format, args...))
	}
}

// clear empties the terminal's current line (ECMA-48: carriage return, erase in line).
func (p progress) clear() {
	if p.terminal {
		p.print("\r\x1b[K")
	}
}

// print goes on without an audience: a demo whose progress nobody can see is still a demo.
func (p progress) print(text string) { _, _ = p.out.WriteString(text) }
