package view

import (
	"encoding/binary"
	"slices"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Stats are the counts of a job. Unknown counts are -1, except for Items, which is then 0.
type Stats struct {
	Items, Responses, Requests, Errors int64
	ObservedAt                         int64
	FinishReason                       Text
	// More are counts that usually only a job with final counts has.
	More   PackedCounts
	Source Source
	Final  bool
}

// Source says where counts come from, in a byte.
type Source uint8

// sources are all origins; the zero Source is none of them.
var sources = [...]v1alpha1.StatsOrigin{
	"", v1alpha1.OriginTerminationMessage, v1alpha1.OriginScrapyStats, v1alpha1.OriginScrapyLog, v1alpha1.OriginNone,
}

// SourceOf returns the Source of an origin, and the zero Source of an unknown one.
func SourceOf(origin v1alpha1.StatsOrigin) Source {
	return Source(max(0, slices.Index(sources[:], origin))) //nolint:gosec // There are five.
}

// Origin returns the origin; empty for the zero Source.
func (s Source) Origin() v1alpha1.StatsOrigin { return sources[s] }

// MoreCounts are the less common counts: -1 if unknown.
type MoreCounts struct {
	RequestRetries, FailedRequests                         int64
	Responses2xx, Responses3xx, Responses4xx, Responses5xx int64
	ItemsDropped, FeedFailures                             int64
	PeakMemoryBytes, ElapsedSeconds                        int64
}

// all lists the counts in the order in which they are packed.
func (c *MoreCounts) all() [10]*int64 {
	return [...]*int64{
		&c.RequestRetries, &c.FailedRequests, &c.Responses2xx, &c.Responses3xx, &c.Responses4xx, &c.Responses5xx,
		&c.ItemsDropped, &c.FeedFailures, &c.PeakMemoryBytes, &c.ElapsedSeconds,
	}
}

// PackedCounts are MoreCounts in a tenth of their memory: each as a varint of one more than its value, 0 if unknown. Empty text
// means none at all. The format exists in memory only.
type PackedCounts string

// Pack packs the counts.
func (c MoreCounts) Pack() PackedCounts {
	packed := make([]byte, 0, 32)
	known := false
	for _, count := range c.all() {
		if *count < 0 {
			packed = append(packed, 0)
			continue
		}
		known = true
		packed = binary.AppendUvarint(packed, uint64(*count)+1)
	}
	if !known {
		return ""
	}
	return PackedCounts(packed)
}

// Unpack returns the counts that were packed.
func (p PackedCounts) Unpack() MoreCounts {
	var counts MoreCounts
	for _, count := range counts.all() {
		value, size := uvarint(p)
		*count, p = int64(value-1), p[size:] //nolint:gosec // One less than what Pack made of an int64, so that 0 is -1.
	}
	return counts
}

// uvarint is binary.Uvarint for a string, which would otherwise have to be copied. For an empty one it is 0.
func uvarint(text PackedCounts) (value uint64, size int) {
	for ; size < len(text); size++ {
		value |= uint64(text[size]&0x7f) << (7 * size)
		if text[size] < 0x80 {
			return value, size + 1
		}
	}
	return value, size
}

func compactStats(s *v1alpha1.Stats) Stats {
	if s == nil {
		return Stats{Responses: -1, Requests: -1, Errors: -1}
	}
	more := MoreCounts{
		RequestRetries:  orUnknown(s.RequestRetries),
		FailedRequests:  orUnknown(s.FailedRequests),
		Responses2xx:    orUnknown(s.Responses2xx),
		Responses3xx:    orUnknown(s.Responses3xx),
		Responses4xx:    orUnknown(s.Responses4xx),
		Responses5xx:    orUnknown(s.Responses5xx),
		ItemsDropped:    orUnknown(s.ItemsDropped),
		FeedFailures:    orUnknown(s.FeedFailures),
		PeakMemoryBytes: orUnknown(s.PeakMemoryBytes),
		ElapsedSeconds:  orUnknown(s.ElapsedSeconds),
	}
	return Stats{
		Items:        s.ItemsScraped,
		Responses:    orUnknown(s.Responses),
		Requests:     orUnknown(s.Requests),
		Errors:       orUnknown(s.Errors),
		ObservedAt:   seconds(s.ObservedAt),
		FinishReason: TextOf(s.FinishReason),
		Source:       SourceOf(s.Source),
		More:         more.Pack(),
		Final:        s.Final,
	}
}

func orUnknown(count *int64) int64 {
	if count == nil {
		return -1
	}
	return *count
}
