package stats

import (
	"bytes"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// The names of the stats that are read, as Scrapy calls them.
const (
	keyItems        = "item_scraped_count"
	keyResponses    = "response_received_count"
	keyRequests     = "downloader/request_count"
	keyErrors       = "log_count/ERROR"
	keyFinishReason = "finish_reason"
	keyStartTime    = "start_time"
)

var keysRead = []string{keyItems, keyResponses, keyRequests, keyErrors, keyFinishReason}

// maxNesting is how deep the values of a dump may nest.
const maxNesting = 32

// maxOperandText is how many bytes of a key or value are kept: more than any that is read can have.
const maxOperandText = 4 * MaxFinishReason

// dump reads Scrapy's stats, line by line, from the pprint of a Python dict.
//
// It is a parser of the whole dict, in which only keys and values that are a plain string or integer have a meaning; any
// other value (datetime.datetime(…), a nested dict, <an object>) is passed over by its brackets.
//
// Lines of other writers may stand between those of the dict: the container's other stream, or another process. The shape
// of pprint's output tells them apart: the dict begins with a brace in the first column, and all its further lines begin
// with a space, an entry's with exactly one. A line that cannot be the dict's is skipped, unless it holds the name of a
// stat that is read: then it may be a mixture of both, and the dump is broken rather than guessed at.
type dump struct {
	begun    bool
	brackets []byte  // those that are open, the dict's own first
	inValue  bool    // the operand now being read is an entry's value, not its key
	key      string  // the key of the value now being read; "" when it is no plain string
	operand  operand // the key or value now being read
	values   map[string]operand
	broken   bool
}

// operand is a key or value of the dict.
type operand struct {
	kind operandKind
	text string // the string, or the digits of the integer
}

type operandKind int

const (
	operandEmpty operandKind = iota
	operandString
	operandInteger
	operandOpaque
)

// dumpState says what a line was to a dump.
type dumpState int

const (
	dumpSkipped   dumpState = iota // the line is not the dict's; the next one may be
	dumpContinues                  // the line is the dict's, and more are to come
	dumpComplete                   // the line ends the dict, and counts can be had of it
	dumpBroken                     // what follows cannot be trusted to be a dump
)

// read takes the next line after the dump's header.
func (d *dump) read(line []byte) dumpState {
	if !d.begun {
		return d.begin(line)
	}
	indent := len(line) - len(bytes.TrimLeft(line, " "))
	atEntry := len(d.brackets) == 1 && !d.inValue && d.operand.kind == operandEmpty
	if indent == 0 || atEntry && indent != 1 || indent == len(line) {
		if mentionsKeyRead(line) {
			return dumpBroken
		}
		return dumpSkipped
	}
	return d.parse(line)
}

// begin looks for the line on which the dict begins. A dict of another writer does not have the keys of Scrapy's.
func (d *dump) begin(line []byte) dumpState {
	if !bytes.HasPrefix(line, []byte("{")) {
		return dumpSkipped
	}
	*d = dump{begun: true, values: map[string]operand{}}
	state := d.parse(line)
	if state == dumpBroken {
		*d = dump{}
		return dumpSkipped
	}
	return state
}

func mentionsKeyRead(line []byte) bool {
	for _, key := range keysRead {
		if bytes.Contains(line, []byte(key)) {
			return true
		}
	}
	return false
}

// parse takes one line of the dict, on which no token is left unfinished.
func (d *dump) parse(line []byte) dumpState {
	for len(line) > 0 {
		var t token
		if t, line = nextToken(line); t.kind == tokenNone {
			break
		}
		d.take(t)
		if d.broken {
			return dumpBroken
		}
		if len(d.brackets) == 0 {
			if !d.credible() {
				return dumpBroken
			}
			return dumpComplete
		}
	}
	if len(d.brackets) == 1 && !d.inValue && d.operand.kind != operandEmpty {
		return dumpBroken // pprint never breaks a key, nor between a key and its colon
	}
	return dumpContinues
}

// take advances by one token.
func (d *dump) take(t token) {
	switch {
	case t.kind == tokenBad:
		d.broken = true
	case t.kind == tokenOpen:
		d.open(t.bracket)
	case t.kind == tokenClose:
		d.close(t.bracket)
	case len(d.brackets) == 0:
		d.broken = true
	case len(d.brackets) > 1:
		// Inside a value that is passed over, brackets are all that matters.
	case t.kind == tokenColon:
		d.endKey()
	case t.kind == tokenComma:
		d.endValue()
	default:
		d.operand.add(t)
	}
}

func (d *dump) open(bracket byte) {
	if len(d.brackets) > 0 {
		d.operand.kind = operandOpaque
	}
	d.brackets = append(d.brackets, bracket)
	d.broken = len(d.brackets) > maxNesting
}

func (d *dump) close(bracket byte) {
	last := len(d.brackets) - 1
	if last < 0 || d.brackets[last] != bracket {
		d.broken = true
		return
	}
	if last == 0 {
		d.endValue() // the brace stands right behind the last value
	}
	d.brackets = d.brackets[:last]
}

func (d *dump) endKey() {
	if d.inValue || d.operand.kind == operandEmpty {
		d.broken = true
		return
	}
	d.key = ""
	if d.operand.kind == operandString {
		d.key = d.operand.text
	}
	d.inValue, d.operand = true, operand{}
}

func (d *dump) endValue() {
	if !d.inValue || d.operand.kind == operandEmpty {
		d.broken = true
		return
	}
	switch d.key {
	case keyItems, keyResponses, keyRequests, keyErrors, keyFinishReason, keyStartTime:
		_, twice := d.values[d.key]
		d.broken = twice
		d.values[d.key] = d.operand
	}
	d.inValue, d.operand = false, operand{}
}

// add takes a token into the operand: adjacent strings are one, as in Python, and any other mixture has no meaning here.
func (o *operand) add(t token) {
	switch {
	case o.kind == operandEmpty && t.kind == tokenString:
		o.kind, o.text = operandString, ""
	case o.kind == operandEmpty && t.isInteger():
		o.kind, o.text = operandInteger, ""
	case o.kind == operandString && t.kind == tokenString:
	default:
		o.kind, o.text = operandOpaque, ""
		return
	}
	if room := maxOperandText - len(o.text); room > 0 {
		o.text += t.text[:min(room, len(t.text))]
	}
}

// credible reports whether a complete dict tells the number of items. An absent number is zero where Scrapy's CoreStats
// extension was at work, which leaves the start and the finish behind; without it an absent number says nothing.
func (d *dump) credible() bool {
	if items, ok := d.values[keyItems]; ok {
		return items.count() != nil
	}
	_, started := d.values[keyStartTime]
	_, finished := d.values[keyFinishReason]
	return started || finished
}

// counts returns what a complete dump says. Scrapy has no stat for what never happened, so what is absent is zero; only
// the requests may be absent because nothing counts them (DOWNLOADER_STATS).
func (d *dump) counts() *Counts {
	counts := &Counts{
		Responses: d.countOrZero(keyResponses),
		Requests:  d.values[keyRequests].count(),
		Errors:    d.countOrZero(keyErrors),
		Origin:    v1alpha1.OriginScrapyStats,
	}
	if items := d.values[keyItems].count(); items != nil {
		counts.Items = *items
	}
	if reason := d.values[keyFinishReason]; reason.kind == operandString {
		counts.FinishReason = printable(reason.text, MaxFinishReason)
	}
	return counts
}

func (d *dump) countOrZero(key string) *int64 {
	if value, ok := d.values[key]; ok {
		return value.count()
	}
	return new(int64)
}

// count returns the operand as a count, or nil when it is none.
func (o operand) count() *int64 {
	if o.kind != operandInteger {
		return nil
	}
	n, ok := parseCount(o.text)
	if !ok {
		return nil
	}
	return &n
}
