package guard

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a listener that answers as a test says.
type scripted struct {
	net.Listener
	answers chan error
}

func (s scripted) Accept() (net.Conn, error) { return nil, <-s.answers }

func TestAcceptorKnowsWhetherConnectionsAreAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan error)
		a := NewAcceptor(scripted{answers: answers}, time.Now)
		check := func(when string, parts ...string) {
			t.Helper()
			synctest.Wait()
			err := a.Check()
			if (err == nil) != (len(parts) == 0) {
				t.Errorf("%s: %v", when, err)
			}
			for _, part := range parts {
				if err != nil && !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %v, want it to say %q", when, err, part)
				}
			}
		}
		accept := func() { go func() { _, _ = a.Accept() }() }

		check("just made")
		time.Sleep(acceptPatience)
		check("nobody asks", "asked")
		accept()
		check("somebody asks")
		time.Sleep(time.Hour)
		check("nobody connects")
		answers <- errors.New("too many open files")
		check("it fails once")
		for range 4 {
			accept()
			time.Sleep(time.Second)
			answers <- errors.New("another failure")
		}
		check("it fails for four seconds")
		accept()
		time.Sleep(time.Second)
		check("it fails for longer", "5s", "too many open files")
		answers <- nil
		check("it has recovered")
		time.Sleep(acceptPatience)
		check("the server hangs with what it got", "asked")
		accept()
		answers <- net.ErrClosed
		check("it is closed", "any more")
	})
}
