package stats

import (
	"bytes"
	"time"
)

// key is a statistic of Scrapy's that is read.
type key int

const (
	keyItems key = iota
	keyResponses
	keyRequests
	keyErrors
	keyRetries
	keyExceptions
	keyDropped
	keyMemory
	keyElapsed
	keyStartTime
	keyFinishTime
	keyFinishReason
	keys int = iota
)

// names are the statistics' names, as Scrapy calls them.
var names = [keys]string{
	keyItems:        "item_scraped_count",
	keyResponses:    "response_received_count",
	keyRequests:     "downloader/request_count",
	keyErrors:       "log_count/ERROR",
	keyRetries:      "retry/count",
	keyExceptions:   "downloader/exception_count",
	keyDropped:      "item_dropped_count",
	keyMemory:       "memusage/max",
	keyElapsed:      "elapsed_time_seconds",
	keyStartTime:    "start_time",
	keyFinishTime:   "finish_time",
	keyFinishReason: "finish_reason",
}

// Statistics of which there is one for each status, or for each kind of storage.
const (
	statusPrefix = "downloader/response_status_count/"
	feedPrefix   = "feedexport/failed_count/"
)

// entries are the statistics of one dump that are read.
type entries struct {
	found, bad keySet // those that were there, and those of them that cannot be believed
	lost       keySet // those that may have been there, where they are not found
	counts     [keys]int64
	times      [2]time.Time // start and finish
	reason     string
	classes    [4]int64 // responses by the first digit of their status, from 2
	feeds      int64
	byStatus   bool // there was a count of responses of a status
}

type keySet uint16

func (s keySet) has(k key) bool { return s&(1<<k) != 0 }

func (s *keySet) add(k key) { *s |= 1 << k }

const allKeys = keySet(1<<keys - 1)

// lookUp returns the statistic of a name.
func lookUp(name []byte) (key, bool) {
	for k := range names {
		if string(name) == names[k] {
			return key(k), true
		}
	}
	return 0, false
}

// isRead reports whether a statistic of the name is read.
func isRead(name []byte) bool {
	_, found := lookUp(name)
	return found || bytes.HasPrefix(name, []byte(statusPrefix)) || bytes.HasPrefix(name, []byte(feedPrefix))
}

// mentions returns the statistics whose names are in a text.
func mentions(text []byte) (set keySet) {
	for k := range names {
		if bytes.Contains(text, []byte(names[k])) {
			set.add(key(k))
		}
	}
	return set
}

// add takes an entry: the literals of its key and its value, the latter perhaps cut short.
func (e *entries) add(literal, value []byte, cut bool) {
	if len(literal) < 2 || !isQuote(literal[0]) || literal[len(literal)-1] != literal[0] {
		return
	}
	name := literal[1 : len(literal)-1]
	if k, found := lookUp(name); found {
		if e.found.has(k) {
			e.bad.add(k) // one dict has no key twice
		}
		e.found.add(k)
		if !e.read(k, value, cut) {
			e.bad.add(k)
		}
		return
	}
	if status, found := bytes.CutPrefix(name, []byte(statusPrefix)); found && len(status) == 3 {
		if n, ok := parseNumber(value); ok && status[0] >= '2' && status[0] <= '5' {
			class := &e.classes[status[0]-'2']
			*class = plus(*class, n)
			e.byStatus = true
		}
	} else if bytes.HasPrefix(name, []byte(feedPrefix)) {
		if n, ok := parseNumber(value); ok {
			e.feeds = plus(e.feeds, n)
		}
	}
}

// read takes the value of a statistic, and reports whether it is what it should be.
func (e *entries) read(k key, value []byte, cut bool) (ok bool) {
	switch k {
	case keyStartTime, keyFinishTime:
		e.times[k-keyStartTime], ok = parseTime(value)
		return ok
	case keyFinishReason:
		text, ok := parseString(value, cut)
		e.reason = shortText(text, MaxFinishReason)
		return ok
	case keyElapsed:
		e.counts[k], ok = parseSeconds(value)
		return ok
	default:
		e.counts[k], ok = parseNumber(value)
		return ok && !cut
	}
}

// uncounted reports whether the dict is a dump of Scrapy's in which items are not counted: its extension CoreStats is switched
// off, or its DummyStatsCollector keeps no statistic at all.
func (e *entries) uncounted(number int) bool {
	return number == 0 || !e.credible() && (e.found.has(keyRequests) || e.found.has(keyErrors) || e.found.has(keyMemory))
}

// credible reports whether the dict is a dump of Scrapy's: it has an entry that others do not.
func (e *entries) credible() bool {
	return e.found&(1<<keyItems|1<<keyStartTime|1<<keyFinishTime|1<<keyFinishReason) != 0
}

// count returns a statistic, or nil where it is not known. Scrapy has no statistic for what never happened, so what is absent is
// zero: where nothing was lost, and where what would have counted was at work.
func (e *entries) count(k key, counted bool) *int64 {
	if e.found.has(k) {
		if e.bad.has(k) {
			return nil
		}
		n := e.counts[k]
		return &n
	}
	if !counted || e.lost.has(k) {
		return nil
	}
	return new(int64)
}

// items returns the number of items. Scrapy's extension CoreStats counts them, and leaves start and finish behind.
func (e *entries) items() *int64 {
	return e.count(keyItems, e.found.has(keyStartTime) || e.found.has(keyFinishReason))
}

// known is what the entries say.
func (e *entries) known() Counts {
	downloads := e.found.has(keyRequests) || e.byStatus // Scrapy's middleware DownloaderStats was at work
	counts := Counts{
		Responses:       e.count(keyResponses, true),
		Requests:        e.count(keyRequests, false),
		Errors:          e.count(keyErrors, true),
		RequestRetries:  e.count(keyRetries, true),
		FailedRequests:  e.count(keyExceptions, downloads),
		ItemsDropped:    e.count(keyDropped, true),
		PeakMemoryBytes: e.count(keyMemory, false),
		ElapsedSeconds:  e.elapsed(),
		FinishReason:    e.reason,
	}
	if items := e.items(); items != nil {
		counts.Items = *items
	}
	if e.lost == 0 || e.feeds > 0 {
		feeds := e.feeds
		counts.FeedFailures = &feeds
	}
	if downloads && (e.lost == 0 || e.byStatus) {
		for i, n := range e.classes {
			counts.ResponsesByClass[i] = &n
		}
	}
	return counts
}

func (e *entries) elapsed() *int64 {
	if elapsed := e.count(keyElapsed, false); elapsed != nil {
		return elapsed
	}
	if e.timed() {
		seconds := max(int64(e.times[1].Sub(e.times[0])/time.Second), 0)
		return &seconds
	}
	return nil
}

// timed reports whether both times of the crawl are known.
func (e *entries) timed() bool { return !e.times[0].IsZero() && !e.times[1].IsZero() }

// plus adds counts, up to MaxCount.
func plus(a, b int64) int64 { return min(a+b, MaxCount) }
