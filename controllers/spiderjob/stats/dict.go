package stats

const (
	// maxNesting is how deep the values of a dump may nest.
	maxNesting = 32
	// maxKey is the most bytes of a key that are kept: more than any that is read has.
	maxKey = 128
	// maxValue is the most bytes of a value that are kept: more than any that is read needs.
	maxValue = 8 * MaxFinishReason
)

// dict reads a Python dict as repr and pprint write it, byte by byte, and keeps the entries that are read. In any other value
// than a plain string or number only brackets and quotes have a meaning.
//
// What is no Python spoils the entry that it is in: everything up to the next entry is passed over, which only the layout can
// tell (see dump and loose).
type dict struct {
	entries entries
	number  int // entries that have ended well

	brackets [maxNesting]byte // those that are open, the dict's own first, by what closes them
	depth    int
	quote    byte // of the string that is being read, 0 for none
	escaped  bool // a backslash precedes
	angles   int  // open angle brackets: <…> is the repr of an object without a literal form, and need not be Python

	inValue bool
	spoiled bool // the entry is no Python
	key     []byte
	value   []byte
	cut     bool   // the value is longer than what is kept
	pending bool   // an entry has been read, and nothing has proved yet that it ended there
	of      []byte // the key of the value, once that has ended

	breaks bool   // a line break is written as \n, outside of strings
	slash  bool   // the backslash of such a line break precedes
	text   uint64 // a hash of all but blanks (FNV-1a)
	last   byte   // the last byte but blanks
	before byte   // the last byte
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// reset makes it ready to read a dict from its opening brace on.
func (d *dict) reset() {
	*d = dict{key: d.key[:0], value: d.value[:0], of: d.of[:0], text: fnvOffset}
}

// feed takes a piece of the dict. It returns how much of it was the dict's, and whether that has ended there.
func (d *dict) feed(text []byte) (taken int, ended bool) {
	for i, c := range text {
		if d.slash {
			d.slash = false
			if c == 'n' || c == 'r' || c == 't' {
				c = ' '
			} else {
				d.spoil() // outside of strings Python has no other
			}
		} else if d.breaks && c == '\\' && d.quote == 0 {
			d.slash = true
			continue
		}
		if c != ' ' {
			d.text = (d.text ^ uint64(c)) * fnvPrime
			d.last = c
		}
		if d.take(c); d.depth == 0 {
			return i + 1, true
		}
	}
	return len(text), false
}

// prefixed reports whether the quote that follows begins the literal of bytes, as b'…' does.
func (d *dict) prefixed() bool {
	text := d.key
	if d.inValue {
		text = d.value
	}
	n := len(text)
	return d.before == 'b' && (d.cut || n == 1 || n > 1 && !isWord(text[n-2]))
}

// take advances by one byte.
func (d *dict) take(c byte) {
	d.advance(c)
	d.before = c
}

func (d *dict) advance(c byte) {
	switch {
	case d.spoiled:
	case d.quote != 0:
		d.keep(c)
		switch {
		case d.escaped:
			d.escaped = false
		case c == '\\':
			d.escaped = true
		case c == d.quote:
			d.quote = 0
		}
	case d.angles > 0:
		d.keep(c)
		switch c {
		case '<':
			d.angles++
		case '>':
			d.angles--
		}
	default:
		d.syntax(c)
	}
}

// syntax advances by a byte that is in no string and no object's repr.
func (d *dict) syntax(c byte) {
	switch c {
	case '{':
		d.open(c, '}')
	case '[':
		d.open(c, ']')
	case '(':
		d.open(c, ')')
	case '}', ']', ')':
		d.close(c)
	case ',':
		if d.depth == 1 {
			d.endValue()
		} else {
			d.keep(c)
		}
	case ':':
		switch {
		case d.depth > 1:
			d.keep(c)
		case d.inValue || len(d.key) == 0:
			d.spoil()
		default:
			d.commit()
			d.inValue = true
		}
	case ' ', '\t':
		if d.inValue && len(d.value) > 0 {
			d.keep(' ')
		}
	default:
		switch {
		case isQuote(c):
			if isWord(d.before) && !d.prefixed() {
				d.spoil() // an apostrophe
				return
			}
			d.quote = c
		case c == '<':
			d.angles = 1
		case c == '\\':
			d.spoil()
			return
		case isWord(c) && isQuote(d.before):
			d.spoil() // what seemed to be a string was between two of them
			return
		}
		d.keep(c)
	}
}

func (d *dict) open(c, closing byte) {
	if d.depth > 0 {
		d.keep(c)
	}
	if d.depth == maxNesting {
		d.spoil()
		return
	}
	d.brackets[d.depth] = closing
	d.depth++
}

func (d *dict) close(c byte) {
	if d.brackets[d.depth-1] != c {
		d.spoil()
		return
	}
	if d.depth > 1 {
		d.keep(c)
		d.depth--
		return
	}
	switch {
	case d.inValue:
		d.endValue()
		d.commit()
	case len(d.key) > 0:
		d.spoil()
		return
	default:
		d.commit()
	}
	d.depth = 0
}

// endValue ends an entry's value. It is believed as soon as what follows is an entry, or nothing.
func (d *dict) endValue() {
	if !d.inValue || len(d.value) == 0 {
		d.spoil()
		return
	}
	d.inValue, d.pending = false, true
	d.of = append(d.of[:0], d.key...)
	d.key = d.key[:0]
}

// commit believes the entry that was read last.
func (d *dict) commit() {
	if !d.pending {
		return
	}
	d.pending = false
	d.number++
	d.entries.add(d.of, d.value, d.cut)
	d.value, d.cut = d.value[:0], false
}

// spoil gives up the entry that is being read, and the one before where its end was not certain. What they name is not absent.
func (d *dict) spoil() {
	d.entries.lost |= mentions(d.key) | mentions(d.value)
	if d.pending {
		d.entries.lost |= mentions(d.of)
	}
	if d.cut {
		d.entries.lost = allKeys
	}
	d.spoiled, d.pending = true, false
	d.quote, d.angles, d.escaped = 0, 0, false
}

// keep adds a byte to the key or value.
func (d *dict) keep(c byte) {
	switch {
	case d.inValue && len(d.value) < maxValue:
		d.value = append(d.value, c)
	case d.inValue:
		d.cut = true
	case len(d.key) < maxKey:
		d.key = append(d.key, c)
	}
}

// atEntry reports whether nothing but the next entry, or the end, can follow.
func (d *dict) atEntry() bool {
	return d.depth == 1 && !d.spoiled && !d.inValue && len(d.key) == 0 && d.quote == 0
}

// newLine takes a line's end. Neither a string nor a key goes on behind it, unless the lines are wrapped.
func (d *dict) newLine(wrapped bool) {
	switch {
	case d.spoiled || d.depth == 0 || wrapped:
	case d.quote != 0:
		d.spoil()
	case d.atEntry():
		d.commit()
	case d.depth == 1 && !d.inValue:
		d.spoil()
	case d.inValue && len(d.value) > 0:
		d.keep(' ')
	}
}

// resume begins a new entry, whatever was before. It is called where the layout says so.
func (d *dict) resume() {
	if !d.atEntry() {
		d.spoil()
		d.spoiled, d.inValue = false, false
		d.depth = 1
		d.key, d.value, d.cut = d.key[:0], d.value[:0], false
	}
	d.commit()
	d.before = 0
}
