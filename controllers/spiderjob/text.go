package spiderjob

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

const (
	// maxMessage bounds a status message, in bytes.
	maxMessage = allowed.MaxMessage
	// maxLastLines bounds the last lines of a container's log that a message quotes, in bytes.
	maxLastLines = 400
)

// truncate cuts s to at most n bytes, at the end of a character, and says so.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	s = s[:n-len(mark)]
	for s != "" {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size > 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s + mark
}

// oneLine makes text from a container safe to show: valid UTF-8, on one line, without control characters and escape
// sequences.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, stats.WithoutEscapes(s))
}
