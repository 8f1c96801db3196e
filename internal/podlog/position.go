package podlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Position is a place in a log: everything before it was passed on. The zero Position is the beginning of what Options ask for.
type Position struct {
	// at is the latest time of all lines before the position. lines is the number of complete lines from the first line of that
	// time on: others of the same time, since some runtimes give one time to all that they read at once, and some of an earlier
	// time, since the two outputs of a process may be recorded a little out of order.
	at    time.Time
	lines int
	// part is how many bytes of the line after those also lie before the position.
	part int64
}

// IsZero reports whether nothing was passed on.
func (p Position) IsZero() bool { return p.at.IsZero() }

// String returns the position as opaque text for ParsePosition.
func (p Position) String() string {
	if p.IsZero() {
		return "0-0-0"
	}
	return fmt.Sprintf("%d-%d-%d", p.at.UnixNano(), p.lines, p.part)
}

// ParsePosition parses the result of Position.String.
func ParsePosition(text string) (Position, error) {
	var numbers [3]int64
	parts := strings.Split(text, "-")
	for i := range numbers {
		var err error
		if len(parts) == len(numbers) {
			numbers[i], err = strconv.ParseInt(parts[i], 10, 64)
		}
		if len(parts) != len(numbers) || err != nil || numbers[i] < 0 || parts[i] != strconv.FormatInt(numbers[i], 10) {
			return Position{}, fmt.Errorf("%q is not a position in a log", text)
		}
	}
	switch {
	case numbers == [3]int64{}:
		return Position{}, nil
	case numbers[0] == 0 || int64(int(numbers[1])) != numbers[1]:
		return Position{}, fmt.Errorf("%q is not a position in a log", text)
	}
	return Position{at: time.Unix(0, numbers[0]).UTC(), lines: int(numbers[1]), part: numbers[2]}, nil
}

// Before returns the position this many bytes of the current line before this one.
func (p Position) Before(n int) Position {
	p.part = max(0, p.part-int64(n))
	return p
}

// disorder is longer than lines can be out of order.
const disorder = time.Second

// behind returns the options that open a log shortly before the position. Kubernetes accepts whole seconds.
func (p *Position) behind(options corev1.PodLogOptions) *corev1.PodLogOptions {
	options.Timestamps = true
	if !p.IsZero() {
		options.TailLines, options.SinceSeconds = nil, nil
		options.SinceTime = &metav1.Time{Time: p.at.Add(-disorder).Truncate(time.Second)}
	}
	return &options
}

// Piece is a piece of a log's line: usually the whole line.
type Piece struct {
	// Time is when the runtime has read the line, zero if the log does not say.
	Time time.Time
	// Text ends with the line's end if the line ends here.
	Text []byte
	// After is the position after the piece.
	After Position
}

// Ends reports whether the line ends with this piece.
func (p Piece) Ends() bool { return len(p.Text) > 0 && p.Text[len(p.Text)-1] == '\n' }

// Sink receives the pieces of a log. Any of its errors ends the reading.
type Sink interface {
	// Take takes a piece. Its text is only valid during the call.
	Take(piece Piece) error
	// Gap reports that lines may be missing here: the log does not reach back any more to the position at which it was opened.
	Gap() error
	// Idle reports that there is nothing more for now.
	Idle() error
}

// errSink is the error of a Sink.
type errSink struct{ error }

// Unwrap returns the Sink's own.
func (e errSink) Unwrap() error { return e.error }

// pieceSize bounds a piece, in bytes, and is the memory that reading one log takes.
const pieceSize = 16 << 10

// space separates a line from its time.
var space = []byte(" ")

// copy passes on what follows the position in a log whose lines begin with their times, and advances the position. It returns
// nil when it has reached the end of what was opened.
func (p *Position) copy(sink Sink, log io.Reader) error {
	in := bufio.NewReaderSize(log, pieceSize)
	lines := lineReader{to: p, start: *p, resuming: !p.IsZero()}
	fresh := true
	for {
		text, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return err
		}
		ended := errors.Is(err, io.EOF)
		switch {
		case !fresh:
		case ended && !bytes.Contains(text, space):
			text = nil // cut off before the line's own beginning
		default:
			text = lines.begin(text)
		}
		fresh = err == nil
		if lines.lost {
			lines.lost = false
			if err := sink.Gap(); err != nil {
				return errSink{err}
			}
		}
		if err := lines.take(sink, text); err != nil {
			return errSink{err}
		}
		if in.Buffered() == 0 || ended {
			if err := sink.Idle(); err != nil {
				return errSink{err}
			}
		}
		if ended {
			return nil
		}
	}
}

// passed moves the position after a piece of a line.
func (p *Position) passed(piece []byte) {
	if piece[len(piece)-1] == '\n' {
		p.lines++
		p.part = 0
		return
	}
	p.part += int64(len(piece))
}

// lineReader leaves out what precedes the position at which a log was opened.
type lineReader struct {
	to    *Position
	start Position
	// resuming says that start was not reached yet: its first line has not been found, or not all of its lines have been seen.
	resuming, found bool
	seen            int
	// lost says that start will not be found any more, since later lines were.
	lost bool

	// The current line: its time, and how many of its bytes still have to be left out, all of them if negative.
	at   time.Time
	drop int64
}

// begin parses the beginning of a line, moves the position there, and returns it without its time.
func (r *lineReader) begin(text []byte) []byte {
	r.drop, r.at = 0, time.Time{}
	stamp, rest, _ := bytes.Cut(text, space)
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return text // not part of the log, but about it
	}
	r.at = at
	if r.resuming {
		r.resume()
	}
	if at.After(r.to.at) {
		*r.to = Position{at: at}
	}
	return rest
}

// resume decides which part of a line lies before the position.
func (r *lineReader) resume() {
	switch {
	case r.at.After(r.start.at):
		r.resuming = false
		r.lost = !r.found || r.seen < r.start.lines || r.start.part > 0
	case !r.found && r.at.Before(r.start.at):
		r.drop = -1
	case r.seen < r.start.lines:
		r.found, r.seen, r.drop = true, r.seen+1, -1
	default:
		r.resuming, r.drop = false, r.start.part
	}
}

// take passes on the wanted part of a piece of the current line.
func (r *lineReader) take(sink Sink, text []byte) error {
	if r.drop < 0 {
		return nil
	}
	n := min(r.drop, int64(len(text)))
	r.drop -= n
	if text = text[n:]; len(text) == 0 {
		return nil
	}
	if !r.at.IsZero() {
		r.to.passed(text)
	}
	return sink.Take(Piece{Time: r.at, Text: text, After: *r.to})
}
