package jobs

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// passedOn gathers what is passed on of a log.
type passedOn struct{ bytes.Buffer }

func (*passedOn) Flush() error { return nil }
func (*passedOn) Check() error { return nil }

// TestPositionInALog cuts a log anywhere, again and again, and reads on each time: all of it is passed on, and nothing twice.
func TestPositionInALog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_700_000_000, 0).UTC()
		at := start
		type line struct {
			at   time.Time
			text string
		}
		var lines []line
		var whole strings.Builder
		for range rapid.IntRange(0, 20).Draw(t, "lines") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 999_999_999, 1_500_000_000}).Draw(t, "later")))
			size := rapid.SampledFrom([]int{0, 1, 5, LogBuffer, 2 * LogBuffer}).Draw(t, "size")
			lines = append(lines, line{at, strings.Repeat(rapid.SampledFrom([]string{"a", " ", "é"}).Draw(t, "text"), size) + "\n"})
			whole.WriteString(lines[len(lines)-1].text)
		}
		var passed passedOn
		var position logPosition
		for cuts := rapid.IntRange(0, 6).Draw(t, "cuts"); cuts >= 0; cuts-- {
			var log bytes.Buffer
			for _, l := range lines {
				if !l.at.Before(position.at.Truncate(time.Second)) {
					log.WriteString(l.at.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + l.text)
				}
			}
			if cuts > 0 {
				log.Truncate(rapid.IntRange(0, log.Len()).Draw(t, "cut"))
			}
			if err := position.copy(&passed, io.NopCloser(&log)); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := passed.String(), whole.String(); got != want {
			t.Fatalf("passed on %d bytes %.200q, want %d bytes %.200q", len(got), got, len(want), want)
		}
	})
}
