package stats

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// maxTerminationMessage is the most bytes of a container's termination message that the kubelet passes on.
const maxTerminationMessage = 4096

// ParseTerminationMessage reads the message that a container left in /dev/termination-log, which for a spider in any
// language is one JSON object:
//
//	{"items_scraped": 12, "responses": 15, "requests": 15, "errors": 0, "finish_reason": "finished", "error": "…"}
//
// Further counts are request_retries, failed_requests, responses_2xx, responses_3xx, responses_4xx, responses_5xx, items_dropped,
// feed_failures, peak_memory_bytes and elapsed_seconds. Scrapy's names of the stats are understood as well: item_scraped_count,
// response_received_count, downloader/request_count, log_count/ERROR, retry/count, downloader/exception_count,
// item_dropped_count, memusage/max and elapsed_time_seconds; the sums of downloader/response_status_count/… and of
// feedexport/failed_count/….
//
// Every key is optional, null is the same as absent, and unknown keys are ignored. Counts are JSON integers from 0 to MaxCount,
// without fraction or exponent, but for the two of elapsed time, which are rounded down; finish_reason and error are strings. A
// value of another kind spoils the whole message.
//
// A message with any count says how many items there were, and none when it leaves items out, just as Scrapy does. One without,
// with only finish_reason, error, memory or time, says nothing of counts: its Origin is OriginNone, and it is not Final.
//
// It returns false for what is no such message: too long, not one JSON object, or without any known key.
func ParseTerminationMessage(message string) (Counts, bool) {
	if len(message) > maxTerminationMessage {
		return Counts{}, false
	}
	var object messageObject
	if err := json.Unmarshal([]byte(message), &object); err != nil {
		return Counts{}, false
	}

	items := object.count("items_scraped", names[keyItems])
	counts := Counts{
		Responses:       object.count("responses", names[keyResponses]),
		Requests:        object.count("requests", names[keyRequests]),
		Errors:          object.count("errors", names[keyErrors]),
		RequestRetries:  object.count("request_retries", names[keyRetries]),
		FailedRequests:  object.count("failed_requests", names[keyExceptions]),
		ItemsDropped:    object.count("items_dropped", names[keyDropped]),
		PeakMemoryBytes: object.measure(parseCount, "peak_memory_bytes", names[keyMemory]),
		ElapsedSeconds:  object.measure(parseWhole, "elapsed_seconds", names[keyElapsed]),
		FeedFailures:    object.count("feed_failures"),
		FinishReason:    shortText(object.text(names[keyFinishReason]), MaxFinishReason),
		Failure:         shortText(object.text("error"), maxFailure),
		Origin:          v1alpha1.OriginNone,
	}
	if counts.FeedFailures == nil {
		counts.FeedFailures = object.sum(feedPrefix)
	}
	for i := range counts.ResponsesByClass {
		class := strconv.Itoa(i + 2)
		n := object.count("responses_" + class + "xx")
		if n == nil {
			n = object.sum(statusPrefix + class)
		}
		counts.ResponsesByClass[i] = n
	}
	if object.spoilt || !object.known {
		return Counts{}, false
	}
	if object.counted {
		counts.Origin, counts.Final = v1alpha1.OriginTerminationMessage, true
	}
	if items != nil {
		counts.Items = *items
	}
	return counts, true
}

// messageObject is a JSON object of which known keys are read one by one.
type messageObject struct {
	fields  map[string]json.RawMessage
	known   bool // a known key was there
	counted bool // one of them was a count, and not only a measure
	spoilt  bool // the value of a known key was of the wrong kind
}

// UnmarshalJSON takes any JSON object. Keys differ by case, which decoding into a struct ignores.
func (o *messageObject) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &o.fields)
}

// field returns the value of a key, or false when it is absent or null.
func (o *messageObject) field(key string) (json.RawMessage, bool) {
	value, ok := o.fields[key]
	if !ok || string(value) == "null" {
		return nil, false
	}
	o.known = true
	return value, true
}

// count returns the value of the first of the keys that is there, or nil.
func (o *messageObject) count(keys ...string) *int64 {
	n := o.measure(parseCount, keys...)
	o.counted = o.counted || n != nil
	return n
}

// measure returns the value of the first of the keys that is there, or nil. Measures say nothing of items, as counts do.
func (o *messageObject) measure(parse func(string) (int64, bool), keys ...string) *int64 {
	for _, key := range keys {
		value, ok := o.field(key)
		if !ok {
			continue
		}
		n, ok := parse(string(value))
		if !ok {
			o.spoilt = true
			return nil
		}
		return &n
	}
	return nil
}

// sum returns the sum of the values of all keys that begin with a prefix, or nil where there are none.
func (o *messageObject) sum(prefix string) *int64 {
	var total *int64
	for key := range o.fields {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if n := o.count(key); n != nil {
			if total == nil {
				total = new(int64)
			}
			*total = plus(*total, *n)
		}
	}
	return total
}

// text returns the string value of a key, or "".
func (o *messageObject) text(key string) string {
	value, ok := o.field(key)
	if !ok {
		return ""
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		o.spoilt = true
	}
	return text
}

// parseWhole reads a number, rounded down.
func parseWhole(text string) (int64, bool) { return parseSeconds([]byte(text)) }

// parseCount reads a count: decimal digits only, from 0 to MaxCount.
func parseCount(digits string) (int64, bool) {
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n <= MaxCount
}
