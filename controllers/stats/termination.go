package stats

import (
	"encoding/json"
	"strconv"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// MaxTerminationMessage is the most bytes of a container's termination message that the kubelet passes on.
const MaxTerminationMessage = 4096

// ParseTerminationMessage reads the message that a container left in /dev/termination-log, which for a spider in any
// language is one JSON object:
//
//	{"items_scraped": 12, "responses": 15, "requests": 15, "errors": 0, "finish_reason": "finished", "error": "…"}
//
// Every key is optional, null is the same as absent, unknown keys are ignored, and Scrapy's names of the stats
// (item_scraped_count …) are understood as well. Counts are JSON integers from 0 to MaxCount, without fraction or
// exponent; the two others are strings. A value of another kind spoils the whole message.
//
// A message with any count says how many items there were, and none when it leaves items out, just as Scrapy does. One
// with only finish_reason or error says nothing of counts: its Origin is OriginNone, and it is not Final.
//
// It returns false for what is no such message: too long, not one JSON object, or without any known key.
func ParseTerminationMessage(message string) (Counts, bool) {
	if len(message) > MaxTerminationMessage {
		return Counts{}, false
	}
	var object messageObject
	if err := json.Unmarshal([]byte(message), &object); err != nil {
		return Counts{}, false
	}

	items := object.count("items_scraped", keyItems)
	counts := Counts{
		Responses:    object.count("responses", keyResponses),
		Requests:     object.count("requests", keyRequests),
		Errors:       object.count("errors", keyErrors),
		FinishReason: printable(object.text(keyFinishReason), MaxFinishReason),
		Failure:      printable(object.text("error"), MaxFailure),
		Origin:       v1alpha1.OriginNone,
	}
	if object.spoilt || !object.known {
		return Counts{}, false
	}
	if items != nil || counts.Responses != nil || counts.Requests != nil || counts.Errors != nil {
		counts.Origin, counts.Final = v1alpha1.OriginTerminationMessage, true
	}
	if items != nil {
		counts.Items = *items
	}
	return counts, true
}

// messageObject is a JSON object of which known keys are read one by one.
type messageObject struct {
	fields map[string]json.RawMessage
	known  bool // a known key was there
	spoilt bool // the value of a known key was of the wrong kind
}

// UnmarshalJSON takes any JSON object. Keys are told apart by case, which decoding into a struct does not do.
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
	for _, key := range keys {
		value, ok := o.field(key)
		if !ok {
			continue
		}
		n, ok := parseCount(string(value))
		if !ok {
			o.spoilt = true
			return nil
		}
		return &n
	}
	return nil
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
