package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// logError is a failure that a component's log explains.
type logError struct {
	err  error
	path string
}

func (e *logError) Error() string { return e.err.Error() }
func (e *logError) Unwrap() error { return e.err }

// explain returns the lines at the end of the log that tell best why a component failed, indented, under the log's path.
func (e *logError) explain() string {
	const window = 64 << 10
	tail, err := readTail(e.path, window)
	if err != nil {
		return fmt.Sprintf("  (its log cannot be read: %v)", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %s ends with:\n", e.path)
	for _, line := range importantLines(tail) {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return strings.TrimRight(b.String(), "\n")
}

// trouble matches an error as klog, zap (etcd), logrus (containerd), cobra and the Go runtime print it.
var trouble = regexp.MustCompile(
	`^[EF]\d{4} |"level":"(error|fatal|panic)"|level=(error|fatal|panic)|(?i)^(error|panic|fatal error)\b|\[(ERROR|FATAL)\]`)

// importantLines chooses from a log its last lines that report trouble, or the last lines if none does.
func importantLines(log []byte) []string {
	const few, many = 8, 12
	var bad [][]byte
	for line := range bytes.Lines(log) {
		if trouble.Match(line) {
			bad = append(bad, bytes.TrimRight(line, "\n"))
		}
	}
	chosen := lastLines(log, many)
	if len(bad) > 0 {
		chosen = bad[max(0, len(bad)-few):]
	}
	lines := make([]string, len(chosen))
	for i, line := range chosen {
		const width = 400
		lines[i] = string(line[:min(len(line), width)])
	}
	return lines
}

func lastLines(text []byte, n int) [][]byte {
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return lines[max(0, len(lines)-n):]
}

func readTail(path string, window int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-window), window))
}
