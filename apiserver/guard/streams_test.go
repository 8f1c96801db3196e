package guard

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"
)

// timed is an answer that remembers how long it has for the next write.
type timed struct {
	*httptest.ResponseRecorder
	deadline time.Time
	// written are the deadlines that there were at each write.
	written []time.Time
}

func (t *timed) SetWriteDeadline(deadline time.Time) error {
	t.deadline = deadline
	return nil
}

func (t *timed) Write(p []byte) (int, error) {
	t.written = append(t.written, t.deadline)
	return t.ResponseRecorder.Write(p)
}

// A reader may be slow for as long as any answer's, and a stream silent for as long as it likes.
func TestStreamHasTimeForEachWriteAndNoneBetween(t *testing.T) {
	const writeTime = 30 * time.Second
	answer := &timed{ResponseRecorder: httptest.NewRecorder()}
	s := StreamTo(t.Context(), answer, writeTime, func(context.Context) error { return nil })
	for range 2 {
		begun := time.Now()
		if _, err := s.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if left := answer.written[len(answer.written)-1].Sub(begun); left < writeTime {
			t.Errorf("a write has %s, want %s", left, writeTime)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if !answer.deadline.IsZero() {
			t.Errorf("between two writes the stream has until %s", answer.deadline)
		}
	}
}
