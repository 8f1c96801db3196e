package stats

import (
	"maps"
	"strings"
	"time"
)

// maxCrawls is the most crawls of one process that are distinguished. Counts of more are not final.
const maxCrawls = 1024

// crawls is the sum of the dumps that a log holds: one for every crawl of the process.
type crawls struct {
	sum    Counts
	number int // of crawls that sum holds
	dumps  int // that were read: a dump that several handlers have written is one crawl
	lost   int // dumps of which the items could not be read
	spans  bool
	from   time.Time // when the first began and the last finished, where all say it
	to     time.Time
	seen   map[dumpID]struct{}
}

// dumpID distinguishes dumps: by the crawl's times, or by the dump's text where it has none.
type dumpID struct {
	start, finish time.Time
	text          uint64
}

// add takes a dump.
func (c *crawls) add(e *entries, text uint64) {
	id := dumpID{text: text}
	if e.timed() {
		id = dumpID{start: e.times[0], finish: e.times[1]}
	}
	c.dumps++
	if _, twice := c.seen[id]; twice {
		return
	}
	if c.seen == nil {
		c.seen = map[dumpID]struct{}{}
	}
	if len(c.seen) < maxCrawls {
		c.seen[id] = struct{}{}
	} else {
		c.lost++ // it may be one more crawl, or a dump that was read before
	}
	counts := e.known()
	if e.items() == nil {
		c.lost++
	}
	c.include(counts, e)
}

// include adds a crawl's counts to the sum.
func (c *crawls) include(counts Counts, e *entries) {
	c.number++
	if c.number == 1 {
		c.sum, c.spans, c.from, c.to = counts, e.timed(), e.times[0], e.times[1]
		return
	}
	// Every crawl counts the errors that the process logs while it lasts: those of crawls at once are the same.
	errors := sum(c.sum.Errors, counts.Errors)
	if c.spans && e.timed() && e.times[0].Before(c.to) && e.times[1].After(c.from) {
		errors = most(c.sum.Errors, counts.Errors)
	}
	elapsed := most(c.sum.ElapsedSeconds, counts.ElapsedSeconds)
	if c.spans = c.spans && e.timed(); c.spans {
		if e.times[0].Before(c.from) {
			c.from = e.times[0]
		}
		if e.times[1].After(c.to) {
			c.to = e.times[1]
		}
		seconds := max(int64(c.to.Sub(c.from)/time.Second), 0)
		elapsed = &seconds
	}
	peak := most(c.sum.PeakMemoryBytes, counts.PeakMemoryBytes)
	c.sum = addUp(c.sum, counts)
	c.sum.Errors, c.sum.ElapsedSeconds, c.sum.PeakMemoryBytes = errors, elapsed, peak
}

// copied returns crawls that can be added to without changing c.
func (c *crawls) copied() crawls {
	other := *c
	other.seen = maps.Clone(c.seen)
	return other
}

// addUp adds up the counts of crawls that followed each other: what one of them does not know is not known of both. The worse
// finish reason stands, and the greater use of memory.
func addUp(a, b Counts) Counts {
	both := a
	both.Items = plus(a.Items, b.Items)
	for _, f := range []struct{ into, a, b **int64 }{
		{&both.Responses, &a.Responses, &b.Responses},
		{&both.Requests, &a.Requests, &b.Requests},
		{&both.Errors, &a.Errors, &b.Errors},
		{&both.RequestRetries, &a.RequestRetries, &b.RequestRetries},
		{&both.FailedRequests, &a.FailedRequests, &b.FailedRequests},
		{&both.ItemsDropped, &a.ItemsDropped, &b.ItemsDropped},
		{&both.FeedFailures, &a.FeedFailures, &b.FeedFailures},
		{&both.ElapsedSeconds, &a.ElapsedSeconds, &b.ElapsedSeconds},
		{&both.ResponsesByClass[0], &a.ResponsesByClass[0], &b.ResponsesByClass[0]},
		{&both.ResponsesByClass[1], &a.ResponsesByClass[1], &b.ResponsesByClass[1]},
		{&both.ResponsesByClass[2], &a.ResponsesByClass[2], &b.ResponsesByClass[2]},
		{&both.ResponsesByClass[3], &a.ResponsesByClass[3], &b.ResponsesByClass[3]},
	} {
		*f.into = sum(*f.a, *f.b)
	}
	both.PeakMemoryBytes = most(a.PeakMemoryBytes, b.PeakMemoryBytes)
	both.FinishReason = worseReason(a.FinishReason, b.FinishReason)
	return both
}

// sum adds two counts, of which nil is unknown.
func sum(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	n := plus(*a, *b)
	return &n
}

// most returns the greater of two counts that may be unknown.
func most(a, b *int64) *int64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// worseReason returns the worse of two finish reasons: finished is the best, then come limits that the spider kept to, its own
// words, shutdown, and what says that something went wrong. Of two that are as bad the first stands.
func worseReason(a, b string) string {
	if badness(b) > badness(a) {
		return b
	}
	return a
}

func badness(reason string) int {
	switch reason {
	case "":
		return 0
	case "finished":
		return 1
	case "closespider_itemcount", "closespider_pagecount", "closespider_timeout":
		return 2
	case "shutdown":
		return 4
	case "closespider_errorcount", "memusage_exceeded", "start_error", "closed_by_spidermon":
		return 5
	}
	if strings.HasSuffix(reason, "_no_item") {
		return 5
	}
	return 3
}
