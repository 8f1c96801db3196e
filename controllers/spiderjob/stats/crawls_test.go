package stats

import (
	"strings"
	"testing"
)

// closing is the end of a crawl.
func closing(dump, reason string) string {
	return lines(crawl(dump, reason)[4:], stamp)
}

func opening() string { return lines(crawl("", "")[1:3], stamp) }

// dumpOf is a dump of a crawl that began and ended at these minutes.
func dumpOf(items, begun, ended, reason string) string {
	return "{'downloader/request_count': 2,\n 'finish_reason': '" + reason + "',\n 'finish_time': datetime.datetime(2026, 11, 26, 11, " + ended +
		", 29),\n 'item_scraped_count': " + items + ",\n 'log_count/ERROR': 3,\n 'memusage/max': " + items + "00,\n 'response_received_count': 2,\n" +
		" 'start_time': datetime.datetime(2026, 11, 26, 11, " + begun + ", 27)}"
}

func TestCrawlsOfOneProcessAreSummedUp(t *testing.T) {
	first, second := dumpOf("5", "1", "2", "finished"), dumpOf("7", "3", "4", "closespider_errorcount")
	atOnce := dumpOf("7", "1", "4", "shutdown")
	const both = `12 items, 4 responses, 4 requests, 6 errors, final, "closespider_errorcount", 2 crawls, ScrapyStats`
	for name, test := range map[string]struct{ log, want string }{
		"one after the other": {opening() + closing(first, "finished") + opening() + closing(second, "closespider_errorcount"), both},
		"the worse one first": {opening() + closing(second, "closespider_errorcount") + opening() + closing(first, "finished"), both},
		"at once, which log the same errors": {
			opening() + opening() + closing(first, "finished") + closing(atOnce, "shutdown"),
			`12 items, 4 responses, 4 requests, 3 errors, final, "shutdown", 2 crawls, ScrapyStats`,
		},
		"each dump written by two handlers": {
			strings.Repeat(opening(), 2) + strings.Repeat(closing(first, "finished"), 2) + strings.Repeat(opening(), 2) +
				strings.Repeat(closing(second, "closespider_errorcount"), 2), both,
		},
		"a dump of equal times in another order": {
			closing(first, "finished") + closing(strings.Replace(first, "5", "6", 1), "finished"),
			`5 items, 2 responses, 2 requests, 3 errors, final, "finished", 1 crawls, ScrapyStats`,
		},
		"the second has only opened": {
			opening() + closing(first, "finished") + lines(crawl("", "")[1:2], stamp),
			`5 items, 2 responses, 2 requests, 3 errors, not final, "", 1 crawls, ScrapyStats`,
		},
		"the second does not dump": {
			opening() + opening() + closing(first, "finished") + lines(crawl("", "shutdown")[6:], stamp),
			`5 items, 2 responses, 2 requests, 3 errors, not final, "shutdown", 1 crawls, ScrapyStats`,
		},
		"a project's middleware says that it opened": {
			opening() + "2026 [shop.middlewares] INFO: Spider opened: shop\n" + closing(first, "finished"),
			`5 items, 2 responses, 2 requests, 3 errors, final, "finished", 1 crawls, ScrapyStats`,
		},
		"so does a spider, in the engine's words": {
			"2026 [shop] INFO: Spider opened\n" + opening() + closing(first, "finished"),
			`5 items, 2 responses, 2 requests, 3 errors, final, "finished", 1 crawls, ScrapyStats`,
		},
		"totals of a fleet": {
			strings.ReplaceAll(opening(), "Crawled 0", "Crawled 5000") + closing(first, "finished"),
			`5 items, 2 responses, 2 requests, 3 errors, not final, "finished", 1 crawls, ScrapyStats`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := brief(parseLog([]byte(test.log))); got != test.want {
				t.Errorf("got:  %s\nwant: %s\n%s", got, test.want, test.log)
			}
		})
	}
}

func TestCountsOfADump(t *testing.T) {
	got, _ := parseLog([]byte(lines(crawl(dumps["no items"].text, "finished"), stamp)))
	for what, n := range map[string]struct {
		got  *int64
		want int64
	}{
		"retries": {got.RequestRetries, 2}, "failed": {got.FailedRequests, 3}, "dropped": {got.ItemsDropped, 3}, "feeds": {got.FeedFailures, 0},
		"memory": {got.PeakMemoryBytes, 76832768}, "elapsed": {got.ElapsedSeconds, 61}, "2xx": {got.ResponsesByClass[0], 11},
		"3xx": {got.ResponsesByClass[1], 0}, "4xx": {got.ResponsesByClass[2], 0}, "5xx": {got.ResponsesByClass[3], 1},
	} {
		if n.got == nil || *n.got != n.want {
			t.Errorf("%s: %s, want %d", what, number(n.got), n.want)
		}
	}
	if !got.Closed || got.Signalled {
		t.Errorf("closed %v, signalled %v", got.Closed, got.Signalled)
	}
}

func TestFeedErrors(t *testing.T) {
	const (
		caught = "Error caught on signal handler: <bound method FeedExporter.open_spider of <x.FeedExporter object at 0x7f>>"
		trace  = "\nTraceback (most recent call last):\n  File \"x.py\", line 7, in open\n    raise Error\nPermissionError: [Errno 13] Permission denied: 'out'"
		want   = "PermissionError: [Errno 13] Permission denied: 'out'"
		stored = "Error storing csv feed (12 items) in: s3://key:se/cret@bucket/x.csv"
		why    = "\nTraceback (most recent call last):\n  File \"x.py\", line 7\nbotocore.exceptions.NoCredentialsError: Unable to locate credentials"
	)
	for name, show := range looksOfLines {
		if name == "rich" || name == "a console" || name == "lines trimmed" || name == "trimmed, prefixed" {
			continue
		}
		for text, want := range map[string]string{
			caught + trace: want,
			stored + why:   "csv feed (12 items) in: s3://…@bucket/x.csv: botocore.exceptions.NoCredentialsError: Unable to locate credentials",
			"Error caught on signal handler: <bound method Other.opened of <x>>" + trace: "",
		} {
			log := show([]record{{"[scrapy.utils.signal] ERROR: ", text}, {"[scrapy.core.engine] INFO: ", "Closing spider (finished)"}})
			// What a look puts behind the text may be shown with it.
			if got, _ := parseLog([]byte(log)); !strings.HasPrefix(got.FeedError, want) || want == "" && got.FeedError != "" ||
				strings.Contains(got.FeedError, "se/cret") {
				t.Errorf("%s: %q, want %q of\n%s", name, got.FeedError, want, log)
			}
		}
	}
}
