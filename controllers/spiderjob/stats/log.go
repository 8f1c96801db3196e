package stats

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// maxPiece is the most of a line that is kept while it is not complete. A dump on one line may be longer, and is read in pieces;
// anything else has to stand in a line's first maxPiece bytes.
const maxPiece = 16 << 10

// Log reads the log of a Scrapy process as it comes, oldest byte first, and keeps what it says of its crawls:
//
//	2026-11-23 12:30:22 [scrapy.extensions.logstats] INFO: Crawled 58 pages (at 240 pages/min), scraped 58 items (at 240 items/min)
//	2026-11-23 12:30:32 [scrapy.statscollectors] INFO: Dumping Scrapy stats:
//	{'downloader/request_count': 61,
//	 'finish_reason': 'finished',
//	 'item_scraped_count': 60}
//	2026-11-23 12:30:32 [scrapy.core.engine] INFO: Spider closed (finished)
//
// What stands before and after the message is a setting of Scrapy's, LOG_FORMAT, or of what else writes the log: a process
// manager's prefix before every line, colours, JSON around the text. A dump may stand on one line.
//
// It is an io.Writer. Its memory does not depend on what is written to it: some 100 KiB at the most. The log may begin and end
// anywhere. The zero Log is ready for use.
type Log struct {
	escapes escapes
	line    []byte // of the line that is not complete: what has not been read yet, at most maxPiece bytes
	inLine  bool   // the last piece that was read did not end its line
	inner   []byte // the text of a JSON line
	colours escapes

	dump   dump
	crawls crawls
	feed   feedErrors

	first     bool // a line of Scrapy's was read
	fromStart bool // the first of them was one with which the process begins

	opened, closed     [2]int // crawls, by all lines that say so, and by those that name the engine
	openedSince        bool   // since the last dump
	progress           Counts // the last progress line
	progressed, recent bool   // there was one; and since the last dump
	starting           bool   // the only crawl so far has begun, and made no progress yet
	shared             bool   // its progress began with more than nothing: others' work is counted
	uncounted          bool   // a dump of statistics says nothing of items
	unsure             bool   // it is not certain that the last dump has ended where it seems to have
	unread             bool   // a dump has begun that could not be read to its end
	reason             string // the worst of those for which spiders closed
	signalled          bool
}

// Write reads the next bytes of the log. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	text := l.escapes.strip(p)
	marks := scan(text, l.first)
	for at := 0; at < len(text); {
		if len(l.line) == 0 && !l.inLine && !l.attentive() {
			at = marks.skip(at)
		}
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			l.take(text[at:], false)
			break
		}
		l.take(text[at:at+end], true)
		at += end + 1
	}
	return len(p), nil
}

// End says that the log has ended: its last line is complete, though it may lack its line break. Nothing may be written after it.
func (l *Log) End() {
	if len(l.line) > 0 || l.inLine {
		l.take(nil, true)
	}
}

// Reset forgets what was written and keeps the memory.
func (l *Log) Reset() {
	*l = Log{
		escapes: escapes{scratch: l.escapes.scratch}, colours: escapes{scratch: l.colours.scratch},
		line: l.line[:0], inner: l.inner[:0], dump: l.dump, feed: feedErrors{prefix: l.feed.prefix[:0]},
	}
	l.dump.abandon()
}

// FromStart reports whether the log, as far as it was read, seems to begin where the process began: with Scrapy's first words, or
// the opening of the first spider. The rest of a log of which the beginning is gone (kubelets rotate logs) begins with something
// else.
func (l *Log) FromStart() bool { return l.fromStart }

// attentive reports whether lines matter that hold no mark.
func (l *Log) attentive() bool { return l.dump.state != dumpNone || l.feed.reading() }

// take reads the next piece of a line.
func (l *Log) take(text []byte, ended bool) {
	if len(l.line) > 0 || !ended || len(text) > maxPiece {
		for room := maxPiece - len(l.line); len(text) > room; room = maxPiece {
			l.line = append(l.line, text[:room]...)
			l.lines(l.line, false)
			l.line, text = l.line[:0], text[room:]
		}
		l.line = append(l.line, text...)
		if !ended {
			return
		}
		text = l.line
	}
	l.lines(text, true)
	l.line = l.line[:0]
}

// lines reads a piece of a line, in which carriage returns are line breaks, too.
func (l *Log) lines(text []byte, ended bool) {
	for {
		end := bytes.IndexByte(text, '\r')
		if end < 0 {
			break
		}
		l.piece(text[:end], true)
		if text = text[end+1:]; len(text) == 0 && ended {
			return
		}
	}
	l.piece(text, ended)
}

// piece reads a piece of a line of the log.
func (l *Log) piece(text []byte, last bool) {
	first := !l.inLine
	l.inLine = !last
	if !first || !last || l.dump.state != dumpNone && !l.dump.json || !l.attentive() && !marked(text) {
		l.text(text, first, last, false)
		return
	}
	inner, wrapped := unwrapJSON(text, l.inner[:0])
	l.inner = inner
	if !wrapped {
		l.text(text, first, last, false)
		return
	}
	if l.feed.read(text); l.dump.state == dumpNone && !marked(inner) {
		return
	}
	l.colours.state = escapesNone
	for line := range bytes.FieldsFuncSeq(l.colours.strip(inner), func(r rune) bool { return r == '\n' || r == '\r' }) {
		l.text(line, true, true, true)
	}
}

// text reads a piece of a line, out of JSON or not.
func (l *Log) text(text []byte, first, last, json bool) {
	if l.dump.state != dumpNone {
		if l.dump.read(text, first, last) {
			return
		}
		if l.dump.state == dumpComplete && first {
			if l.collect(); l.dump.state == dumpAwaited && l.dump.read(text, first, last) {
				return
			}
		}
	}
	if first {
		if !json {
			l.feed.read(text)
		}
		l.notice(text, last, json)
	}
}

// collect adds the dump that is complete.
func (l *Log) collect() {
	if e := l.dump.result(); e.credible() {
		l.crawls.add(e, l.dump.dict.text)
		l.unsure = l.dump.unsure
		l.openedSince, l.recent = false, false
		l.first = true
		l.dump.abandon()
		return
	}
	l.uncounted = l.uncounted || l.dump.result().uncounted(l.dump.dict.number)
	if l.dump.placed && !l.dump.quoted {
		l.dump.state = dumpAwaited // it was another dict
	} else {
		l.dump.abandon()
	}
}

// notice reads a line that is not a dump's, or its first piece.
func (l *Log) notice(line []byte, last, json bool) {
	if before, behind, found := cutMark(line, markDump); found && behind[0] == ':' {
		l.begin()
		l.unread = l.unread || l.dump.state == dumpOpen
		l.dump.begin(before, behind[1:], json)
		if last {
			l.dump.endHeader()
		}
		return
	}
	if counts, ok := parseProgress(line); ok {
		l.begin()
		l.shared = l.shared || l.starting && (counts.Items > 0 || *counts.Responses > 0)
		l.starting = false
		l.progress, l.progressed, l.recent = counts, true, true
		return
	}
	if before, behind, found := cutMark(line, markSpider); found {
		l.spider(before, behind)
	}
	if _, behind, found := cutMark(line, markSignal); found && isSignal(behind) {
		l.signalled = true
	}
	if _, behind, found := cutMark(line, markStart); found && bytes.Contains(behind, []byte(" started (bot: ")) && !l.first {
		l.first, l.fromStart = true, true
	}
}

// begin notes that a line of Scrapy's was read.
func (l *Log) begin() { l.first = true }

// spider reads what the engine says of a spider.
func (l *Log) spider(before, behind []byte) {
	named := bytes.Contains(before, []byte("engine"))
	if rest, found := bytes.CutPrefix(behind, []byte("opened")); found && (len(rest) == 0 || rest[0] != ':' && !isWord(rest[0])) {
		l.fromStart = l.fromStart || !l.first
		l.begin()
		l.opened[0]++
		if named {
			l.opened[1]++
		}
		l.openedSince = true
		l.starting = !l.progressed && l.crawls.number == 0 && l.opened[0] == 1
	}
	rest, found := bytes.CutPrefix(behind, []byte("closed ("))
	if !found {
		return
	}
	l.begin()
	l.closed[0]++
	if named {
		l.closed[1]++
	}
	if reason, whole := untilParenthesis(rest); whole {
		l.reason = worseReason(l.reason, shortText(string(reason), MaxFinishReason))
	}
	if most2(l.closed) >= most2(l.opened) {
		l.openedSince, l.recent = false, false
	}
	l.unsure = false
	if l.dump.closed(); l.dump.state == dumpComplete {
		l.collect()
	}
}

// untilParenthesis returns what stands before the parenthesis that closes one.
func untilParenthesis(text []byte) ([]byte, bool) {
	depth := 1
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text[:i], true
			}
		}
	}
	return nil, false
}

// isSignal reports whether a text goes on as Scrapy's notice of a signal does, behind "Received SIG".
func isSignal(text []byte) bool {
	name := wordEnd(text, 0)
	return name > 0 && (bytes.HasPrefix(text[name:], []byte(", shutting down")) || bytes.HasPrefix(text[name:], []byte(" twice, ")))
}

// Counts returns what the log says so far. It returns false where it says nothing of counts, nor why the spider closed.
//
// The counts are the sum of all dumps that are whole; else they are those of the last progress line. They are Final when the last
// thing that the log says of crawls is a dump, every dump could be read, and no crawl is known to have begun that has not dumped
// its own. Where a crawl goes on, its progress is added to what the others have dumped.
//
// Where no dump could be, counts are never final; the reason is that of the line with which the spider closed. Nor are they where
// the progress began with more than nothing: then it is that of a whole fleet, which shares a stats collector.
func (l *Log) Counts() (Counts, bool) {
	sums, unsure := l.crawls, l.unsure
	recent, openedSince := l.recent, l.openedSince
	open := l.dump.state == dumpAwaited || l.dump.state == dumpOpen
	if l.dump.state == dumpComplete {
		if e := l.dump.result(); e.credible() {
			sums = l.crawls.copied()
			sums.add(e, l.dump.dict.text)
			unsure, recent, openedSince = l.dump.unsure, false, false
		}
	}
	opened, closed := most2(l.opened), most2(l.closed)
	running := recent || openedSince || opened > max(closed, sums.dumps)

	progress := l.progress
	progressed := l.progressed && (!l.uncounted || progress.Items > 0 || *progress.Responses > 0)
	counts := sums.sum
	counts.Crawls = sums.number
	counts.Origin = v1alpha1.OriginScrapyStats
	switch {
	case sums.number > 0 && sums.lost == 0 && !(recent && progressed):
	case progressed:
		counts.Items = plus(counts.Items, progress.Items)
		if sums.number > 0 {
			progress.Responses = sum(counts.Responses, progress.Responses)
		}
		counts.Responses = progress.Responses
		counts.Origin = v1alpha1.OriginScrapyLog
	case sums.number == 0 || sums.lost > 0:
		counts.Origin = v1alpha1.OriginNone
	}
	counts.FinishReason = worseReason(counts.FinishReason, l.reasonWithoutDump(sums))
	if running {
		counts.FinishReason = ""
	}
	counts.Final = sums.number > 0 && sums.lost == 0 && !running && !unsure && !open && !l.unread && !l.shared &&
		opened <= sums.dumps
	counts.Closed = closed > 0 && closed >= opened && !recent && !openedSince
	counts.Signalled, counts.FeedError = l.signalled, l.feed.said
	known := sums.number > 0 || progressed || l.reason != "" || l.signalled || l.feed.said != ""
	if !known {
		return Counts{}, false
	}
	return counts, true
}

// reasonWithoutDump returns the reason for which a spider closed of which no dump could be read.
func (l *Log) reasonWithoutDump(sums crawls) string {
	if sums.number == 0 || most2(l.closed) > sums.dumps {
		return l.reason
	}
	return ""
}

// most2 returns the count of the lines that name the engine where there are any, and else of all.
func most2(n [2]int) int {
	if n[1] > 0 {
		return n[1]
	}
	return n[0]
}

// Marks are what a line has to hold to matter on its own: the beginnings of Scrapy's messages.
const (
	markDump = iota
	markProgress
	markSpider
	markSignal
	markError
	markStart
	numberOfMarks
)

var markTexts = [numberOfMarks][]byte{
	markDump:     []byte("Dumping Scrapy stats"),
	markProgress: []byte("(at "),
	markSpider:   []byte("Spider "),
	markSignal:   []byte("Received SIG"),
	markError:    []byte("Error "),
	markStart:    []byte("Scrapy "),
}

// Of what is looked for in all of a log the first byte is rare, which makes the search fast.

// marks finds the next mark of each kind in a text.
type marks struct {
	text []byte
	end  int // behind the last line break
	next [numberOfMarks]int
}

// scan prepares the search. Behind the first line of Scrapy's, its start is not looked for.
func scan(text []byte, begun bool) marks {
	m := marks{text: text, end: bytes.LastIndexByte(text, '\n') + 1}
	for k := range m.next {
		m.next[k] = -1
	}
	if begun {
		m.next[markStart] = len(text)
	}
	return m
}

// skip returns where the next line begins that holds a mark, or the last one, which is not complete.
func (m *marks) skip(at int) int {
	nearest := m.end
	for k, next := range m.next {
		if next < at {
			if next = bytes.Index(m.text[at:], markTexts[k]); next < 0 {
				next = len(m.text)
			} else {
				next += at
			}
			m.next[k] = next
		}
		nearest = min(nearest, next)
	}
	if nearest <= at {
		return at
	}
	return max(at, bytes.LastIndexByte(m.text[at:nearest], '\n')+1+at)
}

// marked reports whether a line holds a mark.
func marked(line []byte) bool {
	for _, text := range markTexts {
		if bytes.Contains(line, text) {
			return true
		}
	}
	return false
}

// cutMark returns what stands before and behind the last occurrence of a mark in a line that begins a word. Behind is never
// empty.
func cutMark(line []byte, mark int) (before, behind []byte, found bool) {
	at := bytes.LastIndex(line, markTexts[mark])
	if at < 0 || at+len(markTexts[mark]) == len(line) || !endsOutsideWord(line[:at]) {
		return nil, nil, false
	}
	return line[:at], line[at+len(markTexts[mark]):], true
}

// endsOutsideWord reports whether what follows text begins a word. Behind an escape sequence as repr and JSON write it, it does.
func endsOutsideWord(text []byte) bool {
	if n := len(text); n >= 2 && text[n-2] == '\\' && (text[n-1] == 'n' || text[n-1] == 'r' || text[n-1] == 't') {
		return true
	}
	r, _ := utf8.DecodeLastRune(text)
	return !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// parseProgress reads the line that Scrapy's LogStats extension writes at an interval.
func parseProgress(line []byte) (Counts, bool) {
	if !bytes.Contains(line, markTexts[markProgress]) {
		return Counts{}, false
	}
	start := bytes.LastIndex(line, []byte("Crawled "))
	if start < 0 || !endsOutsideWord(line[:start]) {
		return Counts{}, false
	}
	rest := phrase{text: line[start:]}
	rest.expect("Crawled ")
	pages := rest.count()
	rest.expect(" pages (at ")
	rest.rate()
	rest.expect(" pages/min), scraped ")
	items := rest.count()
	rest.expect(" items (at ")
	rest.rate()
	rest.expect(" items/min)")
	if rest.failed {
		return Counts{}, false
	}
	return Counts{Items: items, Responses: &pages, Origin: v1alpha1.OriginScrapyLog}, true
}

// phrase is text that is read from its start, piece by piece, until a piece is not what it should be.
type phrase struct {
	text   []byte
	failed bool
}

func (p *phrase) expect(words string) {
	rest, found := bytes.CutPrefix(p.text, []byte(words))
	p.text, p.failed = rest, p.failed || !found
}

// count takes digits.
func (p *phrase) count() int64 {
	n, ok := parseCount(string(p.take("0123456789")))
	p.failed = p.failed || !ok
	return n
}

// rate takes a number that may have a fraction, a sign or an exponent, or be "inf" or "nan".
func (p *phrase) rate() {
	p.failed = len(p.take("0123456789.+-einfa")) == 0 || p.failed
}

// take takes the longest run of the given ASCII characters, of at most 32.
func (p *phrase) take(characters string) []byte {
	end := 0
	for end < min(len(p.text), 32) && bytes.IndexByte([]byte(characters), p.text[end]) >= 0 {
		end++
	}
	taken := p.text[:end]
	p.text = p.text[end:]
	return taken
}
