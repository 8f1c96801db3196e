package guard

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The documented bounds. If callers wait on all connections that may wait, they fit into the memory limit of the chart.
const (
	DefaultMaxConnections           = 8_000
	DefaultMaxConnectionsPerAddress = 1_000
)

// Connections bounds the number of open connections, and with them the memory that idle callers can hold. It never refuses a
// new one, which may be an honest one: others make room, by class. Within a class the address or namespace with the most
// connections loses its oldest: addresses count among those without a key, namespaces among those with one. It is safe for
// concurrent use.
type Connections struct {
	most, perAddress int
	// trusted reports whether an address is a proxy's, whose connections are those of many callers.
	trusted func(netip.Addr) bool

	mu      sync.Mutex
	open    map[net.Conn]*connection
	classes [lasting + 1]*ranking[*connection]
	// closed counts the connections that had to make room.
	closed map[Cause]int
}

// class is the value of a connection. Those of the lowest class make room first, unless they are new; lasting ones do not,
// since their number has its own bound.
type class int

const (
	// keyless are connections on which no credential has been accepted: they sent nothing, too little, or only calls that need no
	// key.
	keyless class = iota
	// proxied are those from trusted proxies: the silent caller is behind the proxy.
	proxied
	// idle are those of known callers between two requests.
	idle
	// busy are those of known callers whose request is being answered.
	busy
	// lasting are intentionally open: waits, logs and events.
	lasting
)

// Cause is why a connection had to make room.
type Cause string

// The causes, as the metrics name them.
const (
	CauseAddress Cause = "address"
	CauseTotal   Cause = "total"
)

// connection is what is known of one.
type connection struct {
	net.Conn
	address string
	trusted bool
	opened  time.Time
	// namespace is the namespace of the caller whose credential was last accepted on the connection; empty for none.
	namespace string
	active    bool
	// lasting counts the intentionally open requests on it: with HTTP/2 there may be several.
	lasting int

	class class
	place *place[*connection]
}

// NewConnections bounds the connections in total, and those without a key from one address, unless the address is trusted. A
// nil function trusts none.
func NewConnections(most, perAddress int, trusted func(netip.Addr) bool) *Connections {
	c := &Connections{
		most: most, perAddress: perAddress, trusted: trusted, open: map[net.Conn]*connection{},
		closed: map[Cause]int{CauseAddress: 0, CauseTotal: 0},
	}
	for i := range c.classes {
		c.classes[i] = newRanking[*connection]()
	}
	return c
}

// Install makes a server report its connections.
func (c *Connections) Install(server *http.Server) {
	server.ConnState = c.follow
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, conn)
	}
}

type connectionKey struct{}

// follow handles every change of a connection, as http.Server.ConnState.
func (c *Connections) follow(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.enter(conn)
	case http.StateActive:
		c.change(conn, func(known *connection) { known.active = true })
	case http.StateIdle:
		c.change(conn, func(known *connection) { known.active = false })
	case http.StateClosed, http.StateHijacked:
		if known := c.open[conn]; known != nil {
			c.forget(known)
		}
	}
}

// enter adds a new connection, for which others make room.
func (c *Connections) enter(conn net.Conn) {
	address := addressOf(conn)
	fresh := &connection{
		Conn: conn, address: network(address), trusted: c.trusted != nil && c.trusted(address), opened: time.Now(),
	}
	if len(c.open) >= c.most && !c.makeRoom() {
		c.close(fresh, CauseTotal)
		return
	}
	if strangers := c.classes[keyless]; !fresh.trusted && strangers.count(fresh.address) >= c.perAddress {
		c.turnAway(strangers.oldestOf(fresh.address).thing, CauseAddress)
	}
	c.open[conn] = fresh
	c.rank(fresh)
}

// courtesy is how long a new connection has to present a key before it makes room like one without. Honest callers need
// milliseconds, even if callers wait on all other connections.
const courtesy = time.Second

// makeRoom closes a connection of the lowest class, and reports whether there was one that may be closed. New ones are spared
// as long as there is one whose caller does not need it at the moment.
func (c *Connections) makeRoom() bool {
	now := time.Now()
	for _, rule := range []struct {
		class class
		older time.Duration
	}{{keyless, courtesy}, {proxied, courtesy}, {idle, 0}, {keyless, 0}, {proxied, 0}, {busy, 0}} {
		if _, oldest := c.classes[rule.class].most(); oldest != nil && now.Sub(oldest.thing.opened) >= rule.older {
			c.turnAway(oldest.thing, CauseTotal)
			return true
		}
	}
	return false
}

func (c *Connections) turnAway(known *connection, why Cause) {
	c.forget(known)
	c.close(known, why)
}

// close closes a connection in the background: with TLS that may take a moment.
func (c *Connections) close(known *connection, why Cause) {
	c.closed[why]++
	go func() { _ = known.Close() }()
}

func (c *Connections) forget(known *connection) {
	c.classes[known.class].remove(known.place)
	delete(c.open, known.Conn)
}

// change changes what is known of an open connection, and with it perhaps its class.
func (c *Connections) change(conn net.Conn, change func(*connection)) {
	known := c.open[conn]
	if known == nil {
		return
	}
	namespace := known.namespace
	change(known)
	if known.wantedClass() != known.class || known.namespace != namespace {
		c.classes[known.class].remove(known.place)
		c.rank(known)
	}
}

func (c *Connections) rank(known *connection) {
	known.class = known.wantedClass()
	owner := known.namespace
	if known.class == keyless || known.class == proxied {
		owner = known.address
	}
	known.place = c.classes[known.class].add(owner, known)
}

func (k *connection) wantedClass() class {
	switch {
	case k.lasting > 0:
		return lasting
	case k.namespace != "" && k.active:
		return busy
	case k.namespace != "":
		return idle
	case k.trusted:
		return proxied
	default:
		return keyless
	}
}

// accepted records that a credential of the namespace was accepted on the connection of a request, given by its context.
func (c *Connections) accepted(ctx context.Context, namespace string) {
	if conn, ok := ctx.Value(connectionKey{}).(net.Conn); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.change(conn, func(known *connection) { known.namespace = namespace })
	}
}

// lasts marks a request as intentionally open, until the function that it returns is called.
func (c *Connections) lasts(ctx context.Context) (over func()) {
	conn, ok := ctx.Value(connectionKey{}).(net.Conn)
	if !ok {
		return func() {}
	}
	add := func(number int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.change(conn, func(known *connection) { known.lasting += number })
	}
	add(1)
	return func() { add(-1) }
}

// Count returns how many connections are open, how many of them intentionally, and how many had to make room, by cause.
func (c *Connections) Count() (open, onPurpose int, closed map[Cause]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	closed = make(map[Cause]int, len(c.closed))
	for cause, number := range c.closed {
		closed[cause] = number
	}
	return len(c.open), c.classes[lasting].total, closed
}

// addressOf returns the address that a connection comes from; the zero value if it has none.
func addressOf(conn net.Conn) netip.Addr {
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return remote.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// network is the unit in which addresses are counted: one IPv4 address, or the 64 bits of an IPv6 address that one customer
// usually has to themselves.
func network(address netip.Addr) string {
	if !address.IsValid() || address.Unmap().Is4() {
		return address.Unmap().String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}
