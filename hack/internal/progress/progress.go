// Package progress prints what is being done, one line a step, and how long it took.
package progress

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Printer prints steps to a writer. On a terminal the line of a running step is rewritten in place; elsewhere a step that
// takes long says every now and then that it is still at it.
type Printer struct {
	out      io.Writer
	terminal bool
}

// To returns a Printer that writes to file.
func To(file *os.File) *Printer {
	info, err := file.Stat()
	return &Printer{out: file, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// Note changes what is said of a step while it runs.
type Note func(format string, args ...any)

// Say prints a line that is no step.
func (p *Printer) Say(format string, args ...any) {
	p.print("  %s\n", fmt.Sprintf(format, args...))
}

// Heading prints the title of the steps that follow.
func (p *Printer) Heading(text string) { p.print("%s\n", text) }

// Do runs one step. Its line is printed when it has ended, or while it runs if that takes more than two seconds.
func (p *Printer) Do(ctx context.Context, title string, step func(context.Context, Note) error) error {
	start := time.Now()
	var mu sync.Mutex
	var note string
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		p.watch(title, start, done, func() string {
			mu.Lock()
			defer mu.Unlock()
			return note
		})
	}()
	err := step(ctx, func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		note = fmt.Sprintf(format, args...)
	})
	close(done)
	<-stopped
	mu.Lock()
	defer mu.Unlock()
	took := time.Since(start).Seconds()
	p.clear()
	switch {
	case err != nil && ctx.Err() != nil:
		p.print("  %-62s interrupted after %.1f s\n", title, took)
	case err != nil:
		p.print("  %-62s failed after %.1f s\n", title, took)
	case note != "":
		p.print("  %-62s %5.1f s\n", title+": "+note, took)
	default:
		p.print("  %-62s %5.1f s\n", title, took)
	}
	return err
}

func (p *Printer) watch(title string, start time.Time, done <-chan struct{}, note func() string) {
	const patience = 2 * time.Second
	every := 5 * time.Second
	if p.terminal {
		every = 500 * time.Millisecond
	}
	next := time.NewTimer(patience)
	defer next.Stop()
	for {
		select {
		case <-done:
			return
		case <-next.C:
			line := fmt.Sprintf("  %s ... %.0f s  %s", title, time.Since(start).Seconds(), note())
			p.clear()
			if p.terminal {
				p.print("%s", line)
			} else {
				p.print("%s\n", line)
			}
			next.Reset(every)
		}
	}
}

// clear empties the terminal's current line (ECMA-48: carriage return, erase in line).
func (p *Printer) clear() {
	if p.terminal {
		p.print("\r\x1b[K")
	}
}

// print ignores errors: that its reader is gone is no reason to stop the work.
func (p *Printer) print(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, format, args...)
}
