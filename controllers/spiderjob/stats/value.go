package stats

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The values of a dump, as Python's repr writes them. Each is read by itself from its text, and is unknown where that is not
// wholly what it should be.

// parseNumber reads a count: 7, and also 7.0, 7e0, Decimal('7') and np.int64(7), which libraries leave in its place.
func parseNumber(text []byte) (int64, bool) {
	text = unwrapNumber(bytes.TrimSpace(text))
	if n, ok := parseCount(string(text)); ok {
		return n, true
	}
	f, ok := parseFloat(text)
	if !ok || !bytes.ContainsAny(text, ".eE") || f != float64(int64(f)) {
		return 0, false
	}
	return int64(f), true
}

// parseSeconds reads a duration in seconds, rounded down.
func parseSeconds(text []byte) (int64, bool) {
	f, ok := parseFloat(unwrapNumber(bytes.TrimSpace(text)))
	return int64(f), ok
}

// parseFloat reads a decimal number from 0 to MaxCount.
func parseFloat(text []byte) (float64, bool) {
	if len(text) == 0 || len(text) > 64 || len(bytes.Trim(text, "0123456789.eE+-")) > 0 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	return f, err == nil && f >= 0 && f <= float64(MaxCount)
}

// unwrapNumber takes a constructor off a number, as in Decimal('7').
func unwrapNumber(text []byte) []byte {
	open := bytes.IndexByte(text, '(')
	if open <= 0 || text[len(text)-1] != ')' {
		return text
	}
	for _, c := range text[:open] {
		if !isWord(c) && c != '.' {
			return text
		}
	}
	text = text[open+1 : len(text)-1]
	if n := len(text); n >= 2 && isQuote(text[0]) && text[n-1] == text[0] {
		text = text[1 : n-1]
	}
	return text
}

// parseString reads a string, or several that stand side by side, which are one in Python. It returns false where the text is
// anything else. A string that is cut short by the bound of what is kept of a value is read as far as it goes.
func parseString(text []byte, cut bool) (string, bool) {
	var read strings.Builder
	rest := bytes.TrimSpace(text)
	if len(rest) == 0 {
		return "", false
	}
	for len(rest) > 0 {
		quote := rest[0]
		if !isQuote(quote) {
			return "", false
		}
		closed := false
		for rest = rest[1:]; len(rest) > 0 && !closed; {
			switch rest[0] {
			case quote:
				closed, rest = true, rest[1:]
			case '\\':
				r, length := unescape(rest)
				if length == 0 {
					if cut {
						return read.String(), true
					}
					return "", false
				}
				read.WriteRune(r)
				rest = rest[length:]
			default:
				read.WriteByte(rest[0])
				rest = rest[1:]
			}
		}
		if !closed && !cut {
			return "", false
		}
		rest = bytes.TrimLeft(rest, " \t\n")
	}
	return read.String(), true
}

// unescape reads an escape sequence of those that repr and JSON write. It returns a length of 0 for any other.
func unescape(text []byte) (r rune, length int) {
	if len(text) < 2 {
		return 0, 0
	}
	digits := 0
	switch text[1] {
	case '\\', '\'', '"', '/':
		return rune(text[1]), 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b', 'f':
		return ' ', 2
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	if digits == 0 || len(text) < 2+digits {
		return 0, 0
	}
	code, err := strconv.ParseUint(string(text[2:2+digits]), 16, 32)
	if err != nil || code > utf8.MaxRune {
		return 0, 0
	}
	return rune(code), 2 + digits
}

// parseTime reads datetime.datetime(2026, 11, 23, 12, 30, 22, 335622), with or without a time zone. Both times of a crawl are in
// the same zone, and are only compared with each other.
func parseTime(text []byte) (time.Time, bool) {
	fields, found := bytes.CutPrefix(bytes.TrimSpace(text), []byte("datetime.datetime("))
	if !found {
		return time.Time{}, false
	}
	numbers := [7]int{}
	count := 0
	for ; count < len(numbers); count++ {
		end := bytes.IndexAny(fields, ",)")
		if end < 0 {
			return time.Time{}, false
		}
		n, err := strconv.Atoi(string(bytes.TrimSpace(fields[:end])))
		if err != nil || n < 0 || n > 999999 {
			break // a named argument follows
		}
		numbers[count] = n
		if fields[end] == ')' {
			count++
			break
		}
		fields = fields[end+1:]
	}
	if count < 3 {
		return time.Time{}, false
	}
	return time.Date(numbers[0], time.Month(numbers[1]), numbers[2], numbers[3], numbers[4], numbers[5],
		numbers[6]*int(time.Microsecond), time.UTC), true
}

func isQuote(c byte) bool { return c == '\'' || c == '"' }

// isWord reports whether a byte may be of a name or number.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}
