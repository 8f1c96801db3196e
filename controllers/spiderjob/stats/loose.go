package stats

// loose looks for the statistics that are read in a dump on one line that is no Python, because of some value in it. It goes by
// the commas and blanks between entries, which pprint's line breaks have become, and by nothing else: so it knows what it finds,
// and nothing of what it does not find.
type loose struct {
	byGap   [maxGap]entries // what was found, by the blanks before the keys
	found   [maxGap]int
	begun   bool // the opening brace was read
	keyed   bool // a key was read
	first   bool // the key is the dict's first, before which are no blanks
	state   looseState
	gap     int  // blanks before the key
	slash   bool // the backslash of a line break that is written as \n precedes
	quote   byte
	nested  int  // open brackets in the value
	inText  bool // inside a string in the value
	escaped bool
	key     []byte
	value   []byte

	firstKey, firstValue []byte // of the dict's first entry
}

// maxGap is more than the most blanks before a key: one of pprint's, and the line break before it.
const maxGap = 3

type looseState byte

const (
	looseBetween looseState = iota // until a comma
	looseGap                       // until a quote
	looseKey                       // until the quote that ends it
	looseColon
	looseValue
)

func (l *loose) reset() {
	*l = loose{key: l.key[:0], value: l.value[:0], firstKey: l.firstKey[:0], firstValue: l.firstValue[:0]}
}

// feed takes a piece of the dict, from its opening brace on.
func (l *loose) feed(text []byte) {
	for _, c := range text {
		if !l.begun {
			l.begun, l.state = true, looseGap
			continue
		}
		l.take(c)
	}
}

// result returns what was found: the entries that have as many blanks before them as most have, since others are inside of
// values. It returns false where nothing was.
func (l *loose) result() (entries, bool) {
	best := 1
	if l.found[2] > l.found[1] {
		best = 2
	}
	e := l.byGap[best]
	if len(l.firstKey) > 0 {
		e.add(l.firstKey, l.firstValue, false)
	}
	e.lost = allKeys
	return e, l.found[best] > 0
}

func (l *loose) take(c byte) {
	switch l.state {
	case looseBetween:
		if c == ',' {
			l.state, l.gap, l.slash = looseGap, 0, false
		}
	case looseGap:
		switch {
		case l.slash && (c == 'n' || c == 'r'), c == ' ':
			l.slash = false
			l.gap++
		case c == '\\' && !l.slash:
			l.slash = true
		case isQuote(c):
			l.state, l.quote = looseKey, c
			l.key = append(l.key[:0], c)
		default:
			l.seek(c)
		}
	case looseKey:
		l.key = append(l.key, c)
		switch {
		case c == l.quote:
			l.state = looseColon
			l.first, l.keyed = !l.keyed, true
		case len(l.key) == maxKey:
			l.seek(c)
		}
	case looseColon:
		if c == ':' && isRead(l.key[1:len(l.key)-1]) {
			l.state, l.value = looseValue, l.value[:0]
			l.nested, l.inText, l.escaped = 0, false, false
		} else {
			l.seek(c)
		}
	case looseValue:
		l.takeValue(c)
	}
}

// seek goes on to the next comma.
func (l *loose) seek(c byte) {
	l.state = looseBetween
	l.take(c)
}

func (l *loose) takeValue(c byte) {
	switch {
	case l.inText:
		l.inText = l.escaped || c != l.quote
		l.escaped = !l.escaped && c == '\\'
	case isQuote(c):
		l.inText, l.quote = true, c
	case c == '(':
		l.nested++
	case c == ')':
		l.nested--
	case l.nested <= 0 && (c == ',' || c == '}'):
		if l.first {
			l.firstKey, l.firstValue = append(l.firstKey[:0], l.key...), append(l.firstValue[:0], l.value...)
		} else if l.gap < maxGap {
			l.byGap[l.gap].add(l.key, l.value, false)
			l.found[l.gap]++
		}
		l.seek(c)
		return
	}
	if len(l.value) == maxValue {
		l.seek(c)
		return
	}
	l.value = append(l.value, c)
}
