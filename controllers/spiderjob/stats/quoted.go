package stats

import "bytes"

// messageKeys are the keys of a JSON log line under which its text stands: of Python's formatters, of Docker and of log services.
var messageKeys = []string{"message", "msg", "event", "log", "text", "textPayload", "full_message", "@message"}

// unwrapJSON returns the text in a line that is a JSON object, perhaps behind a prefix. It returns false for any other line. The
// text is appended to into.
func unwrapJSON(line, into []byte) ([]byte, bool) {
	open := bytes.IndexByte(line[:min(len(line), maxPrefix)], '{')
	if open < 0 {
		return into, false
	}
	j := jsonText{rest: line[open+1:]}
	text, found := into, false
	for {
		key, ok := j.text(nil)
		if !ok || !j.punctuation(':') {
			return into, false
		}
		j.blanks()
		if !found && isMessageKey(key) && len(j.rest) > 0 && j.rest[0] == '"' {
			text, found = j.text(into)
			if !found {
				return into, false
			}
		} else if !j.skip() {
			return into, false
		}
		if j.punctuation(',') {
			continue
		}
		return text, found && j.punctuation('}')
	}
}

func isMessageKey(key []byte) bool {
	for _, k := range messageKeys {
		if string(key) == k {
			return true
		}
	}
	return false
}

// jsonText is JSON that is read from its start.
type jsonText struct{ rest []byte }

func (j *jsonText) blanks() { j.rest = bytes.TrimLeft(j.rest, " \t") }

// punctuation takes a byte, after blanks, if it is there.
func (j *jsonText) punctuation(c byte) bool {
	j.blanks()
	if len(j.rest) == 0 || j.rest[0] != c {
		return false
	}
	j.rest = j.rest[1:]
	return true
}

// text takes a string and appends it to into.
func (j *jsonText) text(into []byte) ([]byte, bool) {
	if !j.punctuation('"') {
		return into, false
	}
	for len(j.rest) > 0 {
		plain := bytes.IndexAny(j.rest, `"\`)
		if plain < 0 {
			break
		}
		into = append(into, j.rest[:plain]...)
		j.rest = j.rest[plain:]
		if j.rest[0] == '"' {
			j.rest = j.rest[1:]
			return into, true
		}
		r, length := unescape(j.rest)
		if length == 0 {
			break
		}
		into = appendRune(into, r)
		j.rest = j.rest[length:]
	}
	return into, false
}

// skip takes a value of any kind, by its quotes and brackets.
func (j *jsonText) skip() bool {
	depth := 0
	for i := 0; i < len(j.rest); i++ {
		switch c := j.rest[i]; c {
		case '"':
			for i++; i < len(j.rest) && j.rest[i] != '"'; i++ {
				if j.rest[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				j.rest = j.rest[i:]
				return true
			}
			if c != ',' {
				depth--
			}
		}
	}
	return false
}

// unquoter reads what stands inside quotes, as repr, JSON and logfmt write it, from a text that comes in pieces.
type unquoter struct {
	quote byte // that ends it
	ended bool
	part  []byte // the beginning of an escape sequence
}

// read appends what a piece stands for to into.
func (u *unquoter) read(into, text []byte) []byte {
	for _, c := range text {
		switch {
		case u.ended:
			return into
		case len(u.part) > 0:
			u.part = append(u.part, c)
			if r, length := unescape(u.part); length > 0 {
				into = appendRune(into, r)
				u.part = u.part[:0]
			} else if len(u.part) >= 10 || len(u.part) == 2 && c != 'x' && c != 'u' && c != 'U' {
				into = append(into, u.part...) // nothing that either of them writes
				u.part = u.part[:0]
			}
		case c == '\\':
			u.part = append(u.part, c)
		case c == u.quote:
			u.ended = true
		default:
			into = append(into, c)
		}
	}
	return into
}

// appendRune appends a character; half a surrogate pair becomes a question mark.
func appendRune(into []byte, r rune) []byte {
	if r >= 0xd800 && r < 0xe000 {
		r = '?'
	}
	return append(into, string(r)...)
}

// openQuote returns the quote in which a text ends, 0 for none: a double quote, as JSON and logfmt write it, rather than a single
// one, which may be an apostrophe.
func openQuote(text []byte) byte {
	for _, quote := range []byte{'"', '\''} {
		open := false
		for i := 0; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case quote:
				open = !open
			}
		}
		if open {
			return quote
		}
	}
	return 0
}
