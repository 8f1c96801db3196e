package guard

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
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

// counted is an answer that tells when something was written to it.
type counted struct {
	*httptest.ResponseRecorder
	begun time.Time
	at    []time.Duration
}

func (c *counted) Write(p []byte) (int, error) {
	c.at = append(c.at, time.Since(c.begun))
	return c.ResponseRecorder.Write(p)
}

func TestStreamIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := &counted{ResponseRecorder: httptest.NewRecorder(), begun: time.Now()}
		reviews := 0
		s := StreamTo(t.Context(), answer, time.Minute, func(context.Context) error {
			reviews++
			return nil
		})
		stop := s.KeepAlive([]byte(":\n\n"))
		time.Sleep(time.Minute)
		if _, err := s.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		stop()
		time.Sleep(time.Hour)
		last := time.Duration(0)
		for _, at := range append(answer.at, 80*time.Second) {
			if at-last > heartbeatInterval {
				t.Errorf("nothing was written from %v to %v", last, at)
			}
			last = at
		}
		if len(answer.at) > 7 || reviews < 20 || reviews > 27 {
			t.Errorf("in 80 s it was written at %v, and the caller reviewed %d times", answer.at, reviews)
		}
	})
}

// A caller that is not accepted any more is found out though nothing is told to it.
func TestStreamOfARefusedCallerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, answer := time.Now(), httptest.NewRecorder()
		s := StreamTo(t.Context(), answer, time.Minute, func(context.Context) error {
			if time.Since(begun) > 10*time.Second {
				return errors.New("revoked")
			}
			return nil
		})
		defer s.KeepAlive(nil)()
		<-s.Context().Done()
		if took := time.Since(begun); took > 10*time.Second+reviewInterval {
			t.Errorf("it ended after %v", took)
		}
		if _, err := s.Write(
			[]byte("secret"),
		); !errors.Is(err, ErrCallerRefused) ||
			!errors.Is(context.Cause(s.Context()), ErrCallerRefused) {
			t.Errorf("written to it afterwards: %v", err)
		}
		if answer.Body.Len() > 0 {
			t.Errorf("it was told %q", answer.Body)
		}
	})
}
