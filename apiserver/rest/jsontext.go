package rest

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// jsonText is JSON text that grows by appending. It is used for jobs: encoding/json takes five times as long, which was half of
// the cost of a list. The names of members are constants that need no escaping.
type jsonText []byte

// begin and end enclose the members of an object.
func (t *jsonText) begin() { *t = append(*t, '{') }
func (t *jsonText) end()   { *t = append(*t, '}') }

// member begins a member of an object. Its value has to follow.
func (t *jsonText) member(name string) {
	text := *t
	if text[len(text)-1] != '{' {
		text = append(text, ',')
	}
	*t = append(append(append(text, '"'), name...), `":`...)
}

func (t *jsonText) string(name, value string) {
	t.member(name)
	*t = appendString(*t, value)
}

func (t *jsonText) int(name string, value int64) {
	t.member(name)
	*t = strconv.AppendInt(*t, value, 10)
}

func (t *jsonText) bool(name string, value bool) {
	t.member(name)
	*t = strconv.AppendBool(*t, value)
}

func (t *jsonText) id(name string, value uuid.UUID) {
	t.member(name)
	text := append(*t, '"')
	from := 0
	for _, to := range [...]int{4, 6, 8, 10} {
		text = append(hex.AppendEncode(text, value[from:to]), '-')
		from = to
	}
	*t = append(hex.AppendEncode(text, value[from:]), '"')
}

// time appends a time in seconds since 1970, in UTC.
func (t *jsonText) time(name string, seconds int64) {
	t.member(name)
	*t = append(time.Unix(seconds, 0).UTC().AppendFormat(append(*t, '"'), time.RFC3339), '"')
}

// raw appends text that is already JSON.
func (t *jsonText) raw(name, value string) {
	t.member(name)
	*t = append(*t, value...)
}

// appendString appends a string as encoding/json does, which it calls if there is something to escape.
func appendString(text []byte, value string) []byte {
	if isPlain(value) {
		return append(append(append(text, '"'), value...), '"')
	}
	quoted, err := json.Marshal(value)
	if err != nil {
		panic(err) // it accepts any string
	}
	return append(text, quoted...)
}

// isPlain reports whether encoding/json leaves a string as it is.
func isPlain(value string) bool {
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ', c >= utf8.RuneSelf, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}
