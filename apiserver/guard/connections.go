package guard

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// DefaultMaxConnections is the documented one: callers that wait on all of them fit into the memory that the chart gives.
const DefaultMaxConnections = 8_000

// Connections bounds how many connections are open at once, and with them the memory that callers can take who do nothing else.
// Where one too many comes, the one that has been without a request for longest makes room: idle ones, and those that are still
// sending the headers of a request or shaking hands. Where there is none of them either, the new one is closed.
type Connections struct {
	most int

	mu sync.Mutex
	// open are all connections. Those without a request have an element in idle, longest first; the others have nil.
	open map[net.Conn]*list.Element
	idle *list.List
	// turnedAway counts the connections that were closed to keep to the bound.
	turnedAway int
}

func newConnections(most int) *Connections {
	return &Connections{most: most, open: map[net.Conn]*list.Element{}, idle: list.New()}
}

// Follow is told of every change of a connection, as http.Server.ConnState is.
func (c *Connections) Follow(connection net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, isOpen := c.open[connection]
	switch state {
	case http.StateNew:
		if len(c.open) >= c.most && !c.makeRoom() {
			c.turnAway(connection)
			return
		}
		c.open[connection] = c.idle.PushBack(connection)
	case http.StateActive:
		if known != nil {
			c.idle.Remove(known)
			c.open[connection] = nil
		}
	case http.StateIdle:
		if isOpen && known == nil {
			c.open[connection] = c.idle.PushBack(connection)
		}
	case http.StateClosed, http.StateHijacked:
		c.forget(connection)
	}
}

// makeRoom closes the connection that has been without a request for longest, and reports whether there was one.
func (c *Connections) makeRoom() bool {
	oldest := c.idle.Front()
	if oldest == nil {
		return false
	}
	connection := oldest.Value.(net.Conn)
	c.forget(connection)
	c.turnAway(connection)
	return true
}

// turnAway closes a connection in its own time: with TLS that may take a moment.
func (c *Connections) turnAway(connection net.Conn) {
	c.turnedAway++
	go func() { _ = connection.Close() }()
}

func (c *Connections) forget(connection net.Conn) {
	if element := c.open[connection]; element != nil {
		c.idle.Remove(element)
	}
	delete(c.open, connection)
}

// Count returns how many connections are open, how many of those have a request, and how many were closed to keep to the bound.
func (c *Connections) Count() (open, active, turnedAway int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open), len(c.open) - c.idle.Len(), c.turnedAway
}
