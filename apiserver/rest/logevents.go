package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/internal/podlog"
)

// comment is not an event, and shows that the server is there.
var comment = []byte(":\n\n")

// The names of a log's events.
const (
	eventLine = "line"
	eventGap  = "gap"
)

// logID is the id of the event after which a position lies.
func logID(at jobs.LogPosition) string { return string(at.Pod) + "." + at.Position.String() }

// parseLogID parses the id of the last event that a caller has received; empty for none.
func parseLogID(text string) (jobs.LogPosition, error) {
	if text == "" {
		return jobs.LogPosition{}, nil
	}
	const longest = 128
	i := strings.LastIndexByte(text, '.')
	position, err := podlog.ParsePosition(text[i+1:])
	if i < 1 || err != nil || len(text) > longest {
		return jobs.LogPosition{}, failure.Invalid("Last-Event-ID", "is not the id of an event of a log")
	}
	return jobs.LogPosition{Pod: types.UID(text[:i]), Position: position}, nil
}

// tellLog sends a log line by line, and in the last event why it ends.
func tellLog(stream *guard.Stream, log *jobs.Log) error {
	lines := &logEvents{stream: stream, log: log}
	_, err := stream.Write(comment) // Proxies may wait for the first bytes.
	if err == nil {
		err = stream.Flush()
	}
	if err == nil {
		err = log.Read(stream.Context(), lines)
	}
	if err == nil {
		err = lines.release()
	}
	if err == nil {
		stream.Last(frame("", eventEnd, contract.StreamEnd{Reason: "finished"}))
		return nil
	}
	return tellEnd(stream, err)
}

// logEvents writes the lines of a log as events.
type logEvents struct {
	stream *guard.Stream
	log    *jobs.Log
	// part is the beginning of a character whose end is in the next piece, and last the position before it.
	part []byte
	last podlog.Piece
}

var _ podlog.Sink = &logEvents{}

// Take implements podlog.Sink.
func (w *logEvents) Take(piece podlog.Piece) error {
	text := slices.Concat(w.part, piece.Text)
	w.part, w.last = nil, piece
	if !piece.Ends() {
		whole := len(text) - beginning(text)
		text, w.part = text[:whole], text[whole:]
	}
	if len(text) == 0 {
		return nil
	}
	return w.write(piece, text, piece.After.Before(len(w.part)))
}

func (w *logEvents) write(piece podlog.Piece, text []byte, after podlog.Position) error {
	line := contract.LogLine{Line: string(bytes.TrimSuffix(text, []byte("\n")))}
	if !piece.Time.IsZero() {
		at := piece.Time.UTC()
		line.Time = &at
	}
	if text[len(text)-1] != '\n' {
		line.Continues = new(true)
	}
	data, err := encodeLine(line)
	if err != nil {
		return err
	}
	event := append(append(eventHead(logID(w.log.Position(after)), eventLine), data...), '\n')
	_, err = w.stream.Write(event)
	return err
}

// encodeLine returns the data of an event, on its own line. Invalid UTF-8 is replaced by U+FFFD.
func encodeLine(line contract.LogLine) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return nil, fmt.Errorf("encoding a line of a log: %w", err)
	}
	return text.Bytes(), nil
}

// release sends what was held back, since the rest of it will not come.
func (w *logEvents) release() error {
	if len(w.part) == 0 {
		return nil
	}
	text := w.part
	w.part = nil
	return w.write(w.last, text, w.last.After)
}

// Gap implements podlog.Sink.
func (w *logEvents) Gap() error {
	if err := w.release(); err != nil {
		return err
	}
	_, err := w.stream.Write(frame("", eventGap, struct{}{}))
	return err
}

// Idle implements podlog.Sink.
func (w *logEvents) Idle() error { return w.stream.Flush() }

// beginning returns how many bytes at the end of a text are an incomplete character.
func beginning(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if b := text[len(text)-n:]; utf8.RuneStart(b[0]) {
			if utf8.FullRune(b) {
				return 0
			}
			return n
		}
	}
	return 0
}
