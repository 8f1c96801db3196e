package stats

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// MaxLog is how many bytes of a log's end are looked at.
const MaxLog = 64 << 10

// ParseLog reads the end of a Scrapy log: the last complete dump of its stats, else its last progress line.
//
//	2026-11-23 12:30:22 [scrapy.extensions.logstats] INFO: Crawled 58 pages (at 240 pages/min), scraped 58 items (at 240 items/min)
//	2026-11-23 12:30:32 [scrapy.statscollectors] INFO: Dumping Scrapy stats:
//	{'downloader/request_count': 61,
//	 'finish_reason': 'finished',
//	 'item_scraped_count': 60}
//
// What stands before (and after) the message is a setting of Scrapy's, LOG_FORMAT, and is not looked at. Of several
// dumps, from several crawls in one process, the last wins.
//
// Counts are Final when they come from a dump that no progress line follows. One that does follow says that another crawl
// has begun in the process: its end is not known, so what is then returned is the greater of the two counts, without the
// reason for which the earlier crawl finished.
//
// The tail may begin and end anywhere. It returns false when neither is in its last MaxLog bytes.
func ParseLog(tail []byte) (Counts, bool) {
	if len(tail) > MaxLog {
		tail = tail[len(tail)-MaxLog:]
	}
	var (
		open           *dump // the dump whose lines are being read
		closed         *Counts
		progress       *Counts
		progressIsLast bool
	)
	for line := range bytes.Lines(tail) {
		line = bytes.TrimRight(line, "\r\n")
		if isDumpHeader(line) {
			open = &dump{}
			continue
		}
		if open != nil {
			switch open.read(line) {
			case dumpContinues:
				continue
			case dumpComplete:
				closed, progressIsLast, open = open.counts(), false, nil
				continue
			case dumpBroken:
				open = nil
			case dumpSkipped:
			}
		}
		if counts, ok := parseProgress(line); ok {
			progress, progressIsLast = &counts, true
		}
	}

	switch {
	case closed == nil && progress == nil:
		return Counts{}, false
	case closed == nil:
		return *progress, true
	case !progressIsLast:
		closed.Final = true
		return *closed, true
	case progress.Items > closed.Items:
		return *progress, true
	default:
		closed.FinishReason = ""
		return *closed, true
	}
}

// isDumpHeader reports whether the line announces a dump of the stats.
func isDumpHeader(line []byte) bool {
	before, found := bytes.CutSuffix(bytes.TrimRight(line, " "), []byte("Dumping Scrapy stats:"))
	return found && endsOutsideWord(before)
}

// endsOutsideWord reports whether what follows text begins a word.
func endsOutsideWord(text []byte) bool {
	r, _ := utf8.DecodeLastRune(text)
	return !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// parseProgress reads the line that Scrapy's LogStats extension writes at an interval.
func parseProgress(line []byte) (Counts, bool) {
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
