package stats

import "bytes"

const escape = 0x1b

// escapes takes terminals' escape sequences (ECMA-48: colours, titles, movements of the cursor) out of a text that comes in
// pieces. A sequence ends at the latest with its line, however broken it is.
type escapes struct {
	state   escapeState
	scratch []byte
}

type escapeState byte

const (
	escapesNone   escapeState = iota // plain text
	escapesBegun                     // ESC was read
	escapesParams                    // inside ESC [ …, which ends with a letter
	escapesString                    // inside ESC ] … and its like, which ends with BEL or ESC \
)

// strip returns a piece without its escape sequences. What it returns is valid until the next call, or is the piece itself.
func (e *escapes) strip(text []byte) []byte {
	if e.state == escapesNone && bytes.IndexByte(text, escape) < 0 {
		return text
	}
	kept := e.scratch[:0]
	for len(text) > 0 {
		if e.state == escapesNone {
			next := bytes.IndexByte(text, escape)
			if next < 0 {
				kept = append(kept, text...)
				break
			}
			kept = append(kept, text[:next]...)
			text, e.state = text[next+1:], escapesBegun
			continue
		}
		if e.takes(text[0]) {
			text = text[1:]
		}
	}
	e.scratch = kept
	return kept
}

// takes advances by one byte inside a sequence. It returns false for a byte that is not of the sequence, which has ended then.
func (e *escapes) takes(c byte) bool {
	switch {
	case c == escape:
		e.state = escapesBegun
		return true
	case e.state == escapesString && c == '\a':
		e.state = escapesNone
		return true
	case c < ' ':
		e.state = escapesNone
		return false
	case e.state == escapesString:
	case e.state == escapesParams:
		if c >= '@' && c <= '~' {
			e.state = escapesNone
		}
	case c == '[':
		e.state = escapesParams
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		e.state = escapesString
	case c < '0': // an intermediate byte: more is to come
	default:
		e.state = escapesNone
	}
	return true
}

// WithoutEscapes returns a text without the escape sequences that terminals obey.
func WithoutEscapes(text string) string {
	var e escapes
	return string(e.strip([]byte(text)))
}
