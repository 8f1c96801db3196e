package stats

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestParseTerminationMessage(t *testing.T) {
	said := func(change func(*Counts)) *Counts {
		counts := &Counts{Origin: v1alpha1.OriginTerminationMessage, Final: true}
		change(counts)
		return counts
	}
	items := func(n int64) *Counts { return said(func(c *Counts) { c.Items = n }) }
	failed := func(failure string) *Counts { return &Counts{Origin: v1alpha1.OriginNone, Failure: failure} }
	one, two, three := int64(1), int64(2), int64(3)
	all := said(func(c *Counts) {
		c.Items, c.Responses, c.Requests, c.Errors, c.FinishReason, c.Failure = 12, &three, &two, &one, "finished", "no"
	})

	further := said(func(c *Counts) {
		c.RequestRetries, c.FailedRequests, c.ItemsDropped, c.FeedFailures = &one, &two, &one, &two
		c.PeakMemoryBytes, c.ElapsedSeconds = &three, &two
		c.ResponsesByClass = [4]*int64{0: &three, 3: &one}
	})

	tests := map[string]struct {
		message string
		want    *Counts
	}{
		"all keys": {
			`{"items_scraped": 12, "responses": 3, "requests": 2, "errors": 1, "finish_reason": "finished", "error": "no"}`, all,
		},
		"Scrapy's names": {
			`{"item_scraped_count": 12, "response_received_count": 3, "downloader/request_count": 2, "log_count/ERROR": 1,
			  "finish_reason": "finished", "error": "no", "dupefilter/filtered": 1.5}` + "\n", all,
		},
		"the further counts": {
			`{"request_retries": 1, "failed_requests": 2, "responses_2xx": 3, "responses_5xx": 1, "items_dropped": 1, "feed_failures": 2,
			  "peak_memory_bytes": 3, "elapsed_seconds": 2.9}`, further,
		},
		"Scrapy's names of them": {
			`{"retry/count": 1, "downloader/exception_count": 2, "downloader/response_status_count/200": 2,
			  "downloader/response_status_count/204": 1, "downloader/response_status_count/503": 1, "item_dropped_count": 1,
			  "feedexport/failed_count/S3FeedStorage": 1, "feedexport/failed_count/FileFeedStorage": 1, "memusage/max": 3,
			  "elapsed_time_seconds": 2.0}`, further,
		},
		"only memory and time": {
			`{"peak_memory_bytes": 3, "elapsed_seconds": 2}`,
			&Counts{PeakMemoryBytes: &three, ElapsedSeconds: &two, Origin: v1alpha1.OriginNone},
		},
		"a further count of no sense": {`{"items_scraped": 1, "responses_2xx": -1}`, nil},
		"both names":                  {`{"item_scraped_count": 1, "items_scraped": 2}`, items(2)},
		"none":                        {`{"items_scraped": 0}`, items(0)},
		"no items, but a count":       {`{"errors": 1}`, said(func(c *Counts) { c.Errors = &one })},
		"the greatest count":          {`{"items_scraped": 9007199254740992}`, items(MaxCount)},
		"unknown keys":                {`{"items_scraped": 1, "Items_Scraped": "x", "a": {"b": [1.5, null]}}`, items(1)},
		"null is absent":              {`{"items_scraped": 1, "errors": null, "error": null, "finish_reason": null}`, items(1)},
		"a key given twice":           {`{"items_scraped": 1, "items_scraped": 2}`, items(2)},
		"only a failure":              {`{"error": "no such shop"}`, failed("no such shop")},
		"only a reason": {
			`{"finish_reason": "shutdown"}`,
			&Counts{Origin: v1alpha1.OriginNone, FinishReason: "shutdown"},
		},
		"a failure of several lines":   {`{"error": "Traceback:\n\u001b[31m\u202ex\u0000"}`, failed("Traceback:  x")},
		"a failure that is too long":   {`{"error": "` + strings.Repeat("é", 600) + `"}`, failed(strings.Repeat("é", 256))},
		"a failure that is not UTF-8":  {"{\"error\": \"a\xff\xfeb\"}", failed("a  b")},
		"a half surrogate":             {`{"error": "a\ud800b"}`, failed("a b")},
		"the longest message":          {`{"items_scraped": 1` + strings.Repeat(" ", maxTerminationMessage-20) + `}`, items(1)},
		"a message that is too long":   {`{"items_scraped": 1` + strings.Repeat(" ", maxTerminationMessage-19) + `}`, nil},
		"nothing":                      {``, nil},
		"an empty object":              {`{}`, nil},
		"no known key":                 {`{"items": 1}`, nil},
		"only null":                    {`{"items_scraped": null}`, nil},
		"another case":                 {`{"ITEMS_SCRAPED": 1}`, nil},
		"null":                         {`null`, nil},
		"a list":                       {`[{"items_scraped": 1}]`, nil},
		"a text":                       {`"items_scraped"`, nil},
		"a log":                        {"2026-11-23 [x] INFO: y\n{\"items_scraped\": 1}", nil},
		"two objects":                  {`{"items_scraped": 1}{"items_scraped": 2}`, nil},
		"something after it":           {`{"items_scraped": 1} ok`, nil},
		"a message that is cut":        {`{"items_scraped": 1`, nil},
		"single quotes":                {`{'items_scraped': 1}`, nil},
		"a count that is negative":     {`{"items_scraped": -1}`, nil},
		"a count that is negative 0":   {`{"items_scraped": -0}`, nil},
		"a count with a fraction":      {`{"items_scraped": 1.0}`, nil},
		"a count with an exponent":     {`{"items_scraped": 1e3}`, nil},
		"a count that is a text":       {`{"items_scraped": "1"}`, nil},
		"a count that is true":         {`{"items_scraped": true}`, nil},
		"a count that is an object":    {`{"items_scraped": {}}`, nil},
		"a count too great":            {`{"items_scraped": 9007199254740993}`, nil},
		"a count out of all bounds":    {`{"items_scraped": ` + strings.Repeat("9", 3000) + `}`, nil},
		"another count of no sense":    {`{"items_scraped": 1, "errors": -1}`, nil},
		"a reason that is a number":    {`{"items_scraped": 1, "finish_reason": 7}`, nil},
		"a failure that is an object":  {`{"items_scraped": 1, "error": {"code": 7}}`, nil},
		"a message of nothing but {":   {strings.Repeat(`{"a":`, 800), nil},
		"a message of nothing but [":   {strings.Repeat("[", 4096), nil},
		"a message of nothing but NUL": {strings.Repeat("\x00", 4096), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseTerminationMessage(test.message)
			if ok != (test.want != nil) {
				t.Fatalf("understood: %v", ok)
			}
			if diff := cmp.Diff(test.want, &got); ok && diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseTerminationMessage(f *testing.F) {
	for _, message := range []string{
		`{"items_scraped": 12, "responses": 3, "requests": 2, "errors": 1, "finish_reason": "finished", "error": "no"}`,
		`{"item_scraped_count": 12, "log_count/ERROR": 0}`, `{"error": "\ud800\u202e"}`, `{}`, `[]`, `{"items_scraped": 1e999}`,
	} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		counts, ok := ParseTerminationMessage(message)
		assertBounded(t, counts, ok)
	})
}

// assertBounded checks what holds for all counts, whatever they were read from.
func assertBounded(t *testing.T, counts Counts, ok bool) {
	t.Helper()
	for _, n := range append(counts.ResponsesByClass[:], &counts.Items, counts.Responses, counts.Requests, counts.Errors, counts.RequestRetries,
		counts.FailedRequests, counts.ItemsDropped, counts.FeedFailures, counts.PeakMemoryBytes, counts.ElapsedSeconds) {
		if n != nil && (*n < 0 || *n > MaxCount) {
			t.Errorf("count %d", *n)
		}
	}
	assertPrintable(t, counts.FinishReason, MaxFinishReason)
	assertPrintable(t, counts.Failure, maxFailure)
	assertPrintable(t, counts.FeedError, maxFailure)
	if !ok && (counts != Counts{}) {
		t.Errorf("counts of what is refused: %+v", counts)
	}
}

func assertPrintable(t *testing.T, text string, limit int) {
	t.Helper()
	if len(text) > limit || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("not printable within %d bytes: %q", limit, text)
	}
}
