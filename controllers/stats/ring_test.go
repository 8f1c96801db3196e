package stats

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestRingKeepsTheLastBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 40).Draw(t, "size")
		ring := NewRing(size)
		for range 2 {
			var all []byte
			for _, piece := range rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 100)).Draw(t, "pieces") {
				if n, err := ring.Write(piece); n != len(piece) || err != nil {
					t.Fatalf("Write returned %d, %v for %d bytes", n, err, len(piece))
				}
				all = append(all, piece...)
				if want := all[max(0, len(all)-size):]; !bytes.Equal(ring.Bytes(), want) {
					t.Fatalf("kept %v, want %v", ring.Bytes(), want)
				}
			}
			ring.Reset()
		}
	})
}

func TestRingTakesNoMoreMemoryThanItKeeps(t *testing.T) {
	ring := NewRing(MaxLog)
	piece := bytes.Repeat([]byte("0123456789"), 1000)
	for range 2 * MaxLog / len(piece) {
		_, _ = ring.Write(piece)
	}
	allocated := testing.AllocsPerRun(100, func() { _, _ = ring.Write(piece) })
	if allocated != 0 || cap(ring.kept) > 2*MaxLog {
		t.Errorf("a full ring holds %d bytes and allocates %v times for each further piece", cap(ring.kept), allocated)
	}
}
