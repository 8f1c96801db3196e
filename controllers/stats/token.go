package stats

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// token is a piece of a Python literal as repr and pprint write it.
type token struct {
	kind    tokenKind
	bracket byte   // of tokenOpen and tokenClose: the closing bracket
	text    string // of tokenString what it stands for, of tokenWord as it is written
}

type tokenKind int

const (
	tokenNone   tokenKind = iota // nothing but white space is left
	tokenBad                     // no token of Python's
	tokenOpen                    // ( [ {
	tokenClose                   // ) ] }
	tokenComma                   // ,
	tokenColon                   // :
	tokenString                  // '…' or "…"
	tokenWord                    // a name, a number, an operator: whatever runs on to one of the others
	tokenObject                  // <…>: the repr of an object that has no literal form
)

// isInteger reports whether the token is a decimal integer without a sign.
func (t token) isInteger() bool {
	return t.kind == tokenWord && strings.Trim(t.text, "0123456789") == ""
}

// nextToken returns the first token of a line and what follows it.
func nextToken(line []byte) (t token, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if len(line) == 0 {
		return token{}, nil
	}
	switch first := line[0]; first {
	case '(':
		return token{kind: tokenOpen, bracket: ')'}, line[1:]
	case '[':
		return token{kind: tokenOpen, bracket: ']'}, line[1:]
	case '{':
		return token{kind: tokenOpen, bracket: '}'}, line[1:]
	case ')', ']', '}':
		return token{kind: tokenClose, bracket: first}, line[1:]
	case ',':
		return token{kind: tokenComma}, line[1:]
	case ':':
		return token{kind: tokenColon}, line[1:]
	case '\'', '"':
		return stringToken(line)
	case '<':
		return objectToken(line)
	default:
		end := bytes.IndexAny(line, " \t()[]{},:'\"<")
		if end < 0 {
			end = len(line)
		}
		return token{kind: tokenWord, text: string(line[:end])}, line[end:]
	}
}

// objectToken reads a repr in angle brackets, such as <class 'int'>. What is in it need not be Python.
func objectToken(line []byte) (t token, rest []byte) {
	depth := 0
	for i, c := range line {
		switch c {
		case '<':
			depth++
		case '>':
			depth--
		}
		if depth == 0 {
			return token{kind: tokenObject}, line[i+1:]
		}
	}
	return token{kind: tokenBad}, nil
}

// stringToken reads a quoted string. It must end on its line: repr writes a line break as \n.
func stringToken(line []byte) (t token, rest []byte) {
	quote := line[0]
	var text strings.Builder
	for i := 1; i < len(line); {
		switch line[i] {
		case quote:
			return token{kind: tokenString, text: text.String()}, line[i+1:]
		case '\\':
			r, length := unescape(line[i:])
			if length == 0 {
				return token{kind: tokenBad}, nil
			}
			text.WriteRune(r)
			i += length
		default:
			text.WriteByte(line[i])
			i++
		}
	}
	return token{kind: tokenBad}, nil
}

// unescape reads an escape sequence of those that repr writes. It returns a length of 0 for any other.
func unescape(text []byte) (r rune, length int) {
	if len(text) < 2 {
		return 0, 0
	}
	digits := 0
	switch text[1] {
	case '\\', '\'', '"':
		return rune(text[1]), 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
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
