package stats

import "bytes"

// maxTries is how many braces of a line are looked at for the one with which a dict begins.
const maxTries = 8

// dump finds the lines, and the parts of lines, that are a dump of Scrapy's stats: the pprint of a dict, behind the line that
// announces it.
//
// Lines of other writers may stand between those of the dict: the container's other stream, or another process. Three things tell
// them apart. Every line of the dict has the same prefix, but for the digits in it. The dict begins with a brace right behind
// that. And all its further lines begin with a space, an entry's with exactly one. A line of others that names a statistic may be
// a mixture of both: then that statistic is not taken for absent.
//
// By the same layout the dump goes on behind an entry that is no Python. Where there are no lines, because a formatter has made
// one of them, see loose.
type dump struct {
	state dumpState
	json  bool // the lines are inside of JSON

	header []byte // what stands before the header in its line
	prefix []byte // of every line; it is known once the dict has begun on a line of its own
	placed bool   // the prefix is known
	indent int    // of an entry's line, behind the prefix
	plural bool   // an entry has begun on another line than the dict
	wraps  bool   // lines are wrapped in a column

	inline bool // the line that is being read began outside the dict, or is its only one
	quoted bool // the dump is inside quotes, on the header's line
	quotes unquoter
	plain  []byte // the line of quoted text that is not complete, at most maxPiece bytes of it
	inLine bool   // a piece of that line has been read
	escape escapes

	ours  bool // the line that is being read is the dict's
	dict  dict
	loose loose
	torn  bool // a line of the dict was not whole

	likely bool // the dict begins as one of Scrapy's does
	begun  bool // it has an entry of Scrapy's
	unsure bool // the dict may not have ended where it seems to have
}

type dumpState int

const (
	dumpNone     dumpState = iota
	dumpAwaited            // the header was read, the dict has not begun
	dumpOpen               // inside the dict
	dumpComplete           // the dict has ended, unless its next entry follows
)

// begin takes the line of a header: what stands before it, and behind it.
func (d *dump) begin(before, behind []byte, json bool) {
	*d = dump{
		state:  dumpAwaited,
		json:   json,
		indent: 1,
		header: append(d.header[:0], before[:min(len(before), maxPrefix)]...),
		prefix: d.prefix[:0],
		plain:  d.plain[:0],
		dict:   d.dict,
		loose:  d.loose,
		quotes: unquoter{part: d.quotes.part[:0]},
		escape: escapes{scratch: d.escape.scratch},
	}
	text := bytes.TrimLeft(behind, " ")
	lineBreak := false
	for len(text) > 1 && text[0] == '\\' && (text[1] == 'n' || text[1] == 'r') {
		text, lineBreak = bytes.TrimLeft(text[2:], " "), true
	}
	if len(text) == 0 || text[0] != '{' {
		return
	}
	quote := byte(0)
	if lineBreak {
		if quote = openQuote(before); quote == '\'' && len(text) > 1 && isQuote(text[1]) {
			quote = 0 // an apostrophe: inside of single quotes it would be escaped
		}
	}
	if quote != 0 {
		d.quoted, d.placed, d.quotes.quote = true, true, quote
		d.unquote(text)
		return
	}
	d.inline = true
	d.open(text)
	d.dict.breaks = lineBreak
	d.ours = true
	d.feed(text)
}

// open begins the dict.
func (d *dump) open(text []byte) {
	d.state, d.begun, d.torn, d.unsure, d.plural = dumpOpen, false, false, false, false
	d.dict.reset()
	d.loose.reset()
	d.indent, d.likely = 1, isLikely(text)
	if blanks := len(text) - 1 - len(bytes.TrimLeft(text[1:], " ")); blanks > 0 && blanks < len(text)-1 {
		d.indent = 1 + blanks
	}
}

// read takes a piece of the next line, and reports whether it was the dump's. first says that it begins the line, and last that
// it ends it.
func (d *dump) read(text []byte, first, last bool) bool {
	switch {
	case d.quoted:
		if first {
			d.endQuotes()
			return false
		}
		d.unquote(text)
		if last {
			d.endQuotes()
		}
		return true
	case first:
		d.ours = d.place(text)
	case d.ours:
		d.feed(text)
	}
	if d.ours && last {
		d.endLine()
	}
	return d.ours
}

// endHeader takes the end of the header's line, if it ends there.
func (d *dump) endHeader() {
	if d.quoted {
		d.endQuotes()
	} else if d.ours {
		d.endLine()
	}
}

// unquote reads a piece of a dump inside quotes, in which line breaks are written as \n: the lines that it stands for are read
// like any others.
func (d *dump) unquote(text []byte) {
	d.plain = d.quotes.read(d.plain, text)
	rest := d.plain
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		d.unquoted(rest[:end], true)
		rest = rest[end+1:]
	}
	if len(rest) >= maxPiece {
		d.unquoted(rest, false)
		rest = nil
	}
	d.plain = append(d.plain[:0], rest...)
}

// unquoted reads a line, or a piece of it, that stood in quotes.
func (d *dump) unquoted(line []byte, last bool) {
	line = d.escape.strip(line)
	if !d.inLine {
		d.ours = d.place(line)
	} else if d.ours {
		d.feed(line)
	}
	if d.ours && last {
		d.endLine()
	}
	d.inLine = !last
}

// endQuotes takes the end of the line in which quotes stand.
func (d *dump) endQuotes() {
	d.unquoted(d.plain, true)
	d.plain = d.plain[:0]
	if d.state == dumpOpen && d.plural && d.quotes.ended {
		d.dict.commit() // an odd value has hidden the end
		d.complete(true)
	}
	if d.state != dumpComplete {
		d.abandon()
	}
}

// place takes the beginning of a line, and reports whether it is the dict's.
func (d *dump) place(line []byte) bool {
	switch d.state {
	case dumpAwaited:
		return d.begins(line)
	case dumpOpen:
		return d.goesOn(line)
	case dumpComplete:
		if content, ok := d.content(line); ok && d.plural && d.isEntry(content) {
			d.state, d.unsure = dumpOpen, true // what ended the dict was of an odd value
			d.dict.depth = 1
			d.dict.resume()
			d.feed(content)
			return true
		}
	case dumpNone:
	}
	return false
}

// begins looks for the line on which the dict begins: with an entry, or else with whatever its first entry has for a key.
func (d *dump) begins(line []byte) bool {
	some := -1
	for at, tries := 0, 0; at < min(len(line), maxPrefix) && tries < maxTries; at, tries = at+1, tries+1 {
		next := bytes.IndexByte(line[at:min(len(line), maxPrefix)], '{')
		if next < 0 {
			break
		}
		at += next
		prefix := line[:at]
		switch rest := bytes.TrimRight(line[at:], " "); {
		case !d.trusts(prefix):
		case beginsEntry(rest[1:], isColumn(prefix)) || string(rest) == "{}":
			d.beginAt(line, at)
			return true
		case some < 0 && rest[len(rest)-1] == ',':
			some = at
		}
	}
	if some >= 0 {
		d.beginAt(line, some)
	}
	return some >= 0
}

// beginAt begins the dict at a brace, and learns its lines' prefix.
func (d *dump) beginAt(line []byte, at int) {
	d.prefix = append(d.prefix[:0], line[:at]...)
	d.placed, d.inline, d.wraps = true, false, isColumn(line[:at])
	d.open(line[at:])
	d.feed(line[at:])
}

// goesOn takes a line while the dict is open.
func (d *dump) goesOn(line []byte) bool {
	content, ok := d.content(line)
	if !ok || isBlank(content) {
		d.foreign(line)
		return false
	}
	blanks := len(content) - len(bytes.TrimLeft(content, " "))
	switch {
	case d.isEntry(content):
		d.plural = true
		d.dict.resume()
	case blanks == 0 && content[0] == '{' && !d.begun && !d.likely && isLikely(content):
		d.open(content) // what has begun before was another dict
	case d.wraps && !d.dict.atEntry() && !marked(content):
		content = bytes.TrimRight(content, " ")
	case d.dict.atEntry(), blanks <= d.indent && d.indent > 0, d.dict.spoiled:
		d.torn = d.torn || blanks == d.indent && d.indent > 0 // it may be an entry that was torn
		d.foreign(line)
		return false
	}
	d.feed(content)
	return true
}

// isEntry reports whether a line without its prefix begins with an entry of the dict. Where every line has lost its indentation,
// the first that could be one shows that.
func (d *dump) isEntry(content []byte) bool {
	blanks := len(content) - len(bytes.TrimLeft(content, " "))
	if blanks == 0 && !d.plural && d.indent > 0 && d.dict.atEntry() && isQuote(content[0]) && beginsEntry(content, false) {
		d.indent = 0
	}
	if blanks != d.indent || blanks == len(content) {
		return false
	}
	if d.indent == 0 && !d.dict.atEntry() && !d.dict.spoiled {
		return false // without indentation it cannot be distinguished from what is nested
	}
	return beginsEntry(content[blanks:], d.wraps)
}

// foreign takes notice of a line that is not the dict's.
func (d *dump) foreign(line []byte) {
	if isBlank(line) {
		return
	}
	d.dict.entries.lost |= mentions(line)
}

// feed takes a piece of the dict.
func (d *dump) feed(text []byte) {
	if d.state != dumpOpen {
		return // the rest of a line on which it has ended
	}
	if !d.plural {
		d.loose.feed(text)
	}
	taken, ended := d.dict.feed(text)
	d.begun = d.begun || d.dict.entries.credible()
	if !ended {
		return
	}
	behind := text[taken:]
	if len(behind) > 0 && (isWord(behind[0]) || bytes.IndexByte([]byte(",.)]}>'"), behind[0]) >= 0) {
		d.dict.depth = 1 // the brace was of an odd value
		d.dict.spoil()
		d.dict.last = behind[len(behind)-1]
		return
	}
	d.complete(!isBlank(behind))
}

// endLine takes the end of a line of the dict.
func (d *dump) endLine() {
	if d.state != dumpOpen {
		return
	}
	d.dict.newLine(d.wraps)
	switch {
	case d.dict.spoiled && d.inline && !d.plural, d.dict.spoiled && !d.plural && d.dict.last == '}':
		d.useLoose()
	case d.dict.spoiled && d.dict.last == '}':
		d.complete(true)
	case d.inline && !d.dict.atEntry():
		d.useLoose() // a dict on one line that does not end on it
	}
	d.inline = false
}

// useLoose takes what was found without regard to Python's syntax.
func (d *dump) useLoose() {
	if e, found := d.loose.result(); found {
		d.dict.entries = e
		d.complete(true)
	}
}

func (d *dump) complete(unsure bool) {
	d.state, d.unsure = dumpComplete, d.unsure || unsure
}

// closed takes notice that the spider is closed, which comes behind a dump. A dict that is still open then has lost its end to an
// odd value; unless it waits for its next entry: then the spider that has closed is another process'.
func (d *dump) closed() {
	if d.state == dumpOpen && (!d.dict.atEntry() || d.torn) && d.plural {
		d.dict.commit()
		d.complete(false)
	}
	if d.state == dumpComplete {
		d.unsure = false
	}
}

// abandon gives up a dump.
func (d *dump) abandon() { d.state, d.quoted = dumpNone, false }

// result returns the entries of a dict that is complete.
func (d *dump) result() *entries {
	if d.torn {
		d.dict.entries.lost = allKeys
	}
	return &d.dict.entries
}

// isLikely reports whether a dict begins with an entry of Scrapy's, by its name.
func isLikely(text []byte) bool {
	text = bytes.TrimLeft(text[1:], " ")
	if len(text) == 0 || !isQuote(text[0]) {
		return false
	}
	end := bytes.IndexByte(text[1:], text[0])
	return end > 0 && (bytes.IndexByte(text[1:1+end], '/') > 0 || isRead(text[1:1+end]))
}

// beginsEntry reports whether a text begins with the key of an entry, and its colon. In wrapped lines a quote is enough.
func beginsEntry(text []byte, wraps bool) bool {
	text = bytes.TrimLeft(text, " ")
	if len(text) == 0 {
		return false
	}
	first := text[0]
	if first == 'b' && len(text) > 1 && isQuote(text[1]) {
		text, first = text[1:], text[1]
	}
	switch {
	case isQuote(first):
		if wraps {
			return true
		}
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case first:
				return i+1 < len(text) && text[i+1] == ':'
			}
		}
		return false
	case first == '(' || first == '<':
		closing := map[byte]string{'(': "):", '<': ">:"}[first]
		return bytes.Contains(text[:min(len(text), maxPrefix)], []byte(closing))
	case isWord(first) || first == '-':
		end := 1
		for end < len(text) && (isWord(text[end]) || text[end] == '.') {
			end++
		}
		return end+1 < len(text) && text[end] == ':' && text[end+1] == ' '
	}
	return false
}

func isBlank(text []byte) bool { return len(bytes.TrimLeft(text, " \t")) == 0 }
