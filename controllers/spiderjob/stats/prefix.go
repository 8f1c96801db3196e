package stats

import (
	"bytes"
	"strings"
)

const (
	// maxPrefix is how far into a line a dict may begin, behind what a process manager or a log service puts before every line.
	maxPrefix = 256
	// consoleIndent is the least indentation that means a console in columns, which wraps lines.
	consoleIndent = 8
)

// isColumn reports whether a prefix is the indentation of a column on a console.
func isColumn(prefix []byte) bool { return len(prefix) >= consoleIndent && isBlank(prefix) }

// trusts reports whether a prefix can be that of the dump's lines: it begins the header's line, too, or marks in a column that a
// line goes on.
func (d *dump) trusts(prefix []byte) bool {
	return strings.Trim(string(prefix), " \t|│┃>:·-") == "" || skipPrefix(prefix, d.header) >= 0
}

// content returns a line without the prefix, or false where it has another.
func (d *dump) content(line []byte) ([]byte, bool) {
	if !d.placed {
		d.learn(line)
	}
	at := skipPrefix(d.prefix, line)
	if at < 0 {
		return nil, false
	}
	return line[at:], true
}

// learn takes the prefix from the second line of a dict that began on the header's.
func (d *dump) learn(line []byte) {
	for at := range min(len(line), maxPrefix) {
		if !isQuote(line[at]) || !beginsEntry(line[at:], false) {
			continue
		}
		prefix := line[:max(at-1, 0)]
		if at > 0 && line[at-1] != ' ' {
			prefix = line[:at]
			d.indent = 0
		}
		if d.trusts(prefix) {
			d.prefix, d.placed = append(d.prefix[:0], prefix...), true
		}
		return
	}
}

// skipPrefix returns how many bytes of a line are a prefix like the given one, or -1. Words with digits in them may have others,
// as times and numbers do, and blanks between words may be more or fewer.
func skipPrefix(prefix, line []byte) int {
	end := len(bytes.TrimRight(prefix, " "))
	at := 0
	for i := 0; i < end; {
		switch {
		case prefix[i] == ' ':
			if at >= len(line) || line[at] != ' ' {
				return -1
			}
			i, at = skip(prefix, i, ' '), skip(line, at, ' ')
		case isWord(prefix[i]):
			from, to := i, wordEnd(prefix, i)
			if at >= len(line) {
				return -1
			}
			word := line[at:wordEnd(line, at)]
			if !bytes.Equal(prefix[from:to], word) && (!hasDigit(prefix[from:to]) || !hasDigit(word)) {
				return -1
			}
			i, at = to, at+len(word)
		case at >= len(line) || line[at] != prefix[i]:
			return -1
		default:
			i, at = i+1, at+1
		}
	}
	for range len(prefix) - end {
		if at >= len(line) || line[at] != ' ' {
			return -1
		}
		at++
	}
	return at
}

func skip(text []byte, at int, c byte) int {
	for at < len(text) && text[at] == c {
		at++
	}
	return at
}

func wordEnd(text []byte, at int) int {
	for at < len(text) && isWord(text[at]) {
		at++
	}
	return at
}

func hasDigit(word []byte) bool { return bytes.ContainsAny(word, "0123456789") }
