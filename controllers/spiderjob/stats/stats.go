// Package stats reads what a spider says of itself: a JSON termination message, or the end of a Scrapy log.
//
// All of it is untrusted input. The functions here are pure, look at a bounded number of bytes in time linear in them,
// and answer "unknown" where the text is not unmistakably what it claims to be: a wrong count is worse than none.
package stats

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

const (
	// MaxCount is the largest count that is believed: the largest integer that every JSON reader keeps exact.
	MaxCount = int64(allowed.MaxCount)

	// MaxFinishReason is the most bytes of a finish reason that are kept.
	MaxFinishReason = allowed.MaxFinishReason

	// maxFailure is the most bytes of a failure that are kept.
	maxFailure = 512
)

// Counts is what a spider says of itself.
type Counts struct {
	// Items is the number of items scraped, at most MaxCount as all counts.
	Items int64
	// Responses is the number of responses received; nil when the spider did not say.
	Responses *int64
	// Requests is the number of requests sent; nil when the spider did not say.
	Requests *int64
	// Errors is the number of errors logged; nil when the spider did not say.
	Errors *int64
	// FinishReason is why the spider closed, in its own word: printable UTF-8, at most MaxFinishReason bytes.
	FinishReason string
	// RequestRetries, FailedRequests (downloads that ended in an error), ItemsDropped, FeedFailures, PeakMemoryBytes and
	// ElapsedSeconds (rounded down) are what their names say; nil when the spider did not say.
	RequestRetries, FailedRequests, ItemsDropped, FeedFailures, PeakMemoryBytes, ElapsedSeconds *int64
	// ResponsesByClass are the responses by class of their status: 2xx first, 5xx last; nil when the spider did not say.
	ResponsesByClass [4]*int64
	// FeedError is what the log says of a feed that could not be opened or written: the error, with the path or address in it.
	// Printable UTF-8, at most maxFailure bytes; "" when it says nothing.
	FeedError string
	// Crawls is how many crawls of the process the counts are the sum of; 0 where no dump was read.
	Crawls int
	// Signalled says that a signal asked the process to shut down: Scrapy logs "Received SIG…" then.
	Signalled bool
	// Closed says that every crawl that the log shows to have begun has also ended ("Spider closed").
	Closed bool
	// Failure is what went wrong, as a termination message says it: printable UTF-8, at most maxFailure bytes.
	Failure string
	// Origin says what the counts were read from. It is OriginNone where the spider gave a reason but no count.
	Origin v1alpha1.StatsOrigin
	// Final says that these are the counts with which the spider closed.
	Final bool
}

// shortText returns text as one line of printable UTF-8 of at most limit bytes. What cannot be printed becomes a space,
// line breaks and direction marks among it; escape sequences of terminals are left out.
func shortText(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, WithoutEscapes(text))
	text = strings.TrimSpace(text)
	if len(text) > limit {
		text = text[:limit]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
		text = strings.TrimSpace(text)
	}
	return text
}
