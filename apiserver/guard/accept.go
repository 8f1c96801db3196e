package guard

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// acceptPatience is how long a listener may fail, or not be asked for connections, before it counts as broken. net/http itself
// tries again within a second.
const acceptPatience = 5 * time.Second

// Acceptor is a listener that knows whether its connections are accepted. It observes instead of connecting, since a connection
// of our own would wait behind those of a flood, and the kubelet would stop the server when it is needed most.
type Acceptor struct {
	net.Listener
	now func() time.Time

	mu sync.Mutex
	// waiting says that the server asks for a connection.
	waiting bool
	// idleSince is when the server last left with what it got. failingSince and failure are of the first failure after the last
	// success; nil for none.
	idleSince, failingSince time.Time
	failure                 error
}

// NewAcceptor wraps a listener. now is the clock.
func NewAcceptor(listener net.Listener, now func() time.Time) *Acceptor {
	return &Acceptor{Listener: listener, now: now, idleSince: now()}
}

// Accept implements net.Listener.
func (a *Acceptor) Accept() (net.Conn, error) {
	a.mu.Lock()
	a.waiting = true
	a.mu.Unlock()
	connection, err := a.Listener.Accept()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting, a.idleSince = false, a.now()
	switch {
	case err == nil:
		a.failure = nil
	case a.failure == nil:
		a.failure, a.failingSince = err, a.idleSince
	}
	return connection, err //nolint:wrapcheck // The listener's own error, which net/http inspects.
}

// Check returns an error once connections have not been accepted for acceptPatience.
func (a *Acceptor) Check() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	switch {
	case a.failure != nil && errors.Is(a.failure, net.ErrClosed):
		return fmt.Errorf("no connections are accepted any more: %w", a.failure)
	case a.failure != nil && now.Sub(a.failingSince) >= acceptPatience:
		return fmt.Errorf("no connection has been accepted for %s: %w", now.Sub(a.failingSince).Round(time.Second), a.failure)
	case !a.waiting && now.Sub(a.idleSince) >= acceptPatience:
		return fmt.Errorf("the server has not asked for connections for %s", now.Sub(a.idleSince).Round(time.Second))
	}
	return nil
}
