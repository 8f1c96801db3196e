package podlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// line is a line as a runtime writes it down.
type line struct {
	at   time.Time
	text string // with its end
}

// stamped is a log whose lines begin with their times, as of a second.
func stamped(lines []line, since time.Time) *bytes.Buffer {
	log := &bytes.Buffer{}
	for _, l := range lines {
		if !l.at.Before(since) {
			log.WriteString(l.at.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + l.text)
		}
	}
	return log
}

// taken is a Sink that keeps all that it is given.
type taken struct {
	text  strings.Builder
	last  Position
	gaps  int
	idle  int
	err   error
	times []time.Time
}

func (s *taken) Take(piece Piece) error {
	s.text.Write(piece.Text)
	s.last = piece.After
	if piece.Ends() {
		s.times = append(s.times, piece.Time)
	}
	return s.err
}

func (s *taken) Gap() error {
	s.gaps++
	return nil
}

func (s *taken) Idle() error {
	s.idle++
	return nil
}

// drawLines are lines of which many have the same time, and some an earlier one than those before them.
func drawLines(t *rapid.T) []line {
	at := time.Unix(1_700_000_000, 0).UTC()
	var lines []line
	for i := range rapid.IntRange(0, 20).Draw(t, "lines") {
		at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 999_999_999, 1_500_000_000}).Draw(t, "later")))
		size := rapid.SampledFrom([]int{0, 1, 5, pieceSize, 2 * pieceSize}).Draw(t, "size")
		text := fmt.Sprint(i, strings.Repeat(rapid.SampledFrom([]string{"a", " ", "é"}).Draw(t, "text"), size), "\n")
		back := rapid.SampledFrom([]int{0, 0, 0, 1, 500_000_000, 999_999_999}).Draw(t, "back")
		lines = append(lines, line{at.Add(-time.Duration(back)), text})
	}
	return lines
}

func textOf(lines []line) string {
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.text)
	}
	return text.String()
}

// TestPositionInALog cuts a log anywhere, again and again, and reads on each time, from the position kept as text:
// all of it is handed on, and nothing twice.
func TestPositionInALog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		sink, position := &taken{}, Position{}
		for cuts := rapid.IntRange(0, 6).Draw(t, "cuts"); cuts >= 0; cuts-- {
			since := time.Time{}
			if options := position.behind(podLogOptions); options.SinceTime != nil {
				since = options.SinceTime.Time
			}
			log := stamped(lines, since)
			if cuts > 0 {
				log.Truncate(rapid.IntRange(0, log.Len()).Draw(t, "cut"))
			}
			if err := position.copy(sink, log); err != nil {
				t.Fatal(err)
			}
			kept, err := ParsePosition(position.String())
			if err != nil || kept != position {
				t.Fatalf("%+v as text is %s, and read again %+v, %v", position, position, kept, err)
			}
			position = kept
		}
		if got, want := sink.text.String(), textOf(lines); got != want || sink.gaps > 0 {
			t.Fatalf("handed on %d bytes %.200q and %d gaps, want %d bytes %.200q", len(got), got, sink.gaps, len(want), want)
		}
	})
}

// TestPositionBehindEachPiece goes on behind any piece, or some bytes before its end.
func TestPositionBehindEachPiece(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		whole := textOf(lines)
		pieces := &collected{}
		var position Position
		if err := position.copy(pieces, stamped(lines, time.Time{})); err != nil || len(pieces.all) == 0 {
			return
		}
		n := rapid.IntRange(0, len(pieces.all)-1).Draw(t, "piece")
		handedOn := 0
		for _, piece := range pieces.all[:n+1] {
			handedOn += len(piece.Text)
		}
		after := pieces.all[n].After
		if !pieces.all[n].Ends() {
			back := rapid.IntRange(0, min(3, len(pieces.all[n].Text))).Draw(t, "bytes before")
			after, handedOn = after.Before(back), handedOn-back
		}
		sink := &taken{}
		if err := after.copy(sink, stamped(lines, time.Time{})); err != nil || sink.text.String() != whole[handedOn:] || sink.gaps > 0 {
			t.Fatalf("behind piece %d, at %s: %d bytes and %d gaps, want %d bytes, %v",
				n, pieces.all[n].After, sink.text.Len(), sink.gaps, len(whole)-handedOn, err)
		}
	})
}

type collected struct{ all []Piece }

func (c *collected) Take(piece Piece) error {
	piece.Text = bytes.Clone(piece.Text)
	c.all = append(c.all, piece)
	return nil
}

func (c *collected) Gap() error  { return nil }
func (c *collected) Idle() error { return nil }

func TestALogThatDoesNotGoBackToThePositionHasAGap(t *testing.T) {
	second := func(n int) time.Time { return time.Unix(1_700_000_000+int64(n), 0).UTC() }
	lines := []line{{second(0), "a\n"}, {second(1), "b\n"}, {second(1), "c\n"}, {second(2), "d\n"}}
	for name, test := range map[string]struct {
		handedOn, there []line
		cut             int // bytes of what was handed on that are missing at its end
		want            string
		gaps            int
	}{
		"nothing is missing":       {handedOn: lines[:2], there: lines, want: "c\nd\n"},
		"rotated away":             {handedOn: lines[:2], there: lines[3:], want: "d\n", gaps: 1},
		"rotated within a moment":  {handedOn: lines[:3], there: lines[2:], want: "d\n", gaps: 1},
		"rotated within a line":    {handedOn: lines[:2], cut: 1, there: lines[3:], want: "d\n", gaps: 1},
		"everything rotated away":  {handedOn: lines[:2]},
		"nothing was handed on":    {there: lines, want: "a\nb\nc\nd\n"},
		"nothing is new":           {handedOn: lines, there: lines},
		"cut off, and still there": {handedOn: lines[:2], cut: 1, there: lines, want: "\nc\nd\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var position Position
			before := stamped(test.handedOn, time.Time{})
			before.Truncate(before.Len() - test.cut)
			if err := position.copy(&taken{}, before); err != nil {
				t.Fatal(err)
			}
			sink := &taken{}
			if err := position.copy(
				sink,
				stamped(test.there, time.Time{}),
			); err != nil || sink.text.String() != test.want ||
				sink.gaps != test.gaps {
				t.Errorf("%q with %d gaps, %v, want %q with %d", sink.text.String(), sink.gaps, err, test.want, test.gaps)
			}
		})
	}
}

func TestWhatIsNoPosition(t *testing.T) {
	for _, text := range []string{
		"", "x", "1", "1-2", "1-2-3-4", "-1-2-3", "1--2", "01-2-3", "1-+2-3", "0-1-0", "0-0-1", "99999999999999999999-0-0", " 1-2-3", "1-2-3 ",
	} {
		if position, err := ParsePosition(text); err == nil {
			t.Errorf("%q is read as %+v", text, position)
		}
	}
	if position, err := ParsePosition(Position{}.String()); err != nil || !position.IsZero() {
		t.Errorf("the beginning is read as %+v, %v", position, err)
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("1700000000000000000-2-3")
	f.Fuzz(func(t *testing.T, text string) {
		if position, err := ParsePosition(text); err == nil && position.String() != text {
			t.Errorf("%q is read as %s", text, position)
		}
	})
}

func TestLinesHaveTheirTimes(t *testing.T) {
	at := time.Unix(1_700_000_000, 5).UTC()
	sink, position := &taken{}, Position{}
	log := stamped([]line{{at, "one\n"}}, time.Time{})
	log.WriteString("rpc error: no such container\n")
	if err := position.copy(sink, log); err != nil || sink.text.String() != "one\nrpc error: no such container\n" {
		t.Fatalf("%q, %v", sink.text.String(), err)
	}
	if len(sink.times) != 2 || !sink.times[0].Equal(at) || !sink.times[1].IsZero() || sink.idle == 0 {
		t.Errorf("times %v, idle %d times", sink.times, sink.idle)
	}
}
