package view

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPackedCountsAreThoseThatWerePacked(t *testing.T) {
	anyCount := rapid.OneOf(rapid.Just(int64(-1)), rapid.Just(int64(0)), rapid.Int64Min(-1))
	rapid.Check(t, func(t *rapid.T) {
		var counts MoreCounts
		known := false
		for _, count := range counts.all() {
			*count = anyCount.Draw(t, "count")
			known = known || *count >= 0
		}
		packed := counts.Pack()
		if got := packed.Unpack(); got != counts {
			t.Errorf("unpacked %+v, want %+v", got, counts)
		}
		if known == (packed == "") {
			t.Errorf("%+v is packed as %q", counts, packed)
		}
	})
}

func TestNoCountsTakeNoMemory(t *testing.T) {
	unknown := MoreCounts{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}
	if got := PackedCounts("").Unpack(); got != unknown {
		t.Errorf("nothing is unpacked as %+v", got)
	}
	usual := MoreCounts{FailedRequests: 3, Responses2xx: 15_000, Responses4xx: 12, PeakMemoryBytes: 200 << 20, ElapsedSeconds: 3600}
	if size := len(usual.Pack()); size > 16 {
		t.Errorf("the counts of a usual run take %d bytes, more than one of the smallest allocations", size)
	}
}
