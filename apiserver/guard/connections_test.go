package guard

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// played is a connection that a test plays.
type played struct {
	net.Conn
	from string

	mu     sync.Mutex
	closed bool
}

func (p *played) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(p.from), 1024))
}

func (p *played) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

// server plays net/http to Connections.
type server struct {
	t *testing.T
	*Connections
}

func (s server) connect(from string) *played {
	p := &played{from: from}
	s.follow(p, http.StateNew)
	return p
}

// request plays a request on a connection, with the key of a namespace where one is named.
func (s server) request(p *played, namespace string) context.Context {
	ctx := context.WithValue(s.t.Context(), connectionKey{}, net.Conn(p))
	s.follow(p, http.StateActive)
	if namespace != "" {
		s.accepted(ctx, namespace)
	}
	return ctx
}

func (s server) wantClosed(when string, connections ...*played) {
	s.t.Helper()
	s.wantEach(when, true, connections)
}

func (s server) wantOpen(when string, connections ...*played) {
	s.t.Helper()
	s.wantEach(when, false, connections)
}

func (s server) wantEach(when string, closed bool, connections []*played) {
	s.t.Helper()
	synctest.Wait()
	for i, p := range connections {
		p.mu.Lock()
		if p.closed != closed {
			s.t.Errorf("%s: connection %d from %s is closed: %t", when, i, p.from, p.closed)
		}
		p.mu.Unlock()
	}
}

func playing(t *testing.T, most, perAddress int, play func(server)) {
	t.Helper()
	proxies := func(address netip.Addr) bool { return address == netip.MustParseAddr("10.0.0.1") }
	synctest.Test(t, func(t *testing.T) { play(server{t, NewConnections(most, perAddress, proxies)}) })
}

func TestAnAddressThatHasTooManyLosesItsOldestWithoutAKey(t *testing.T) {
	playing(t, 100, 3, func(s server) {
		keyed := s.connect("192.0.2.1")
		s.request(keyed, "team")
		silent := []*played{s.connect("192.0.2.1"), s.connect("192.0.2.1"), s.connect("192.0.2.1")}
		other := s.connect("192.0.2.2")
		body := silent[1]
		s.request(body, "") // Its body never comes.
		s.wantOpen("none is too many yet", silent...)
		s.connect("192.0.2.1")
		s.wantClosed("one too many", silent[0])
		s.connect("192.0.2.1")
		s.wantClosed("another one", body)
		s.wantOpen("others stay", silent[2], keyed, other)

		var proxied []*played
		for range 10 {
			proxied = append(proxied, s.connect("10.0.0.1"))
		}
		s.wantOpen("a proxy has many callers", proxied...)

		six := s.connect("2001:db8:1:2::1")
		for i := range 3 {
			s.connect(fmt.Sprintf("2001:db8:1:2::%d", i+2))
		}
		s.wantClosed("the same customer's", six)
		if _, _, closed := s.Count(); closed[CauseAddress] != 3 || closed[CauseTotal] != 0 {
			t.Errorf("counted as closed: %v", closed)
		}
	})
}

// In the order in which they make room, each before all that follow.
func TestConnectionsMakeRoomByTheirClass(t *testing.T) {
	playing(t, 9, 100, func(s server) {
		waiting := s.connect("192.0.2.1")
		over := s.lasts(s.request(waiting, "team"))
		busyOfOne, busyOfTwo := s.connect("192.0.2.1"), []*played{s.connect("192.0.2.1"), s.connect("192.0.2.1")}
		s.request(busyOfOne, "team")
		s.request(busyOfTwo[0], "greedy")
		s.request(busyOfTwo[1], "greedy")
		idle := s.connect("192.0.2.1")
		s.request(idle, "team")
		s.follow(idle, http.StateIdle)
		proxied := s.connect("10.0.0.1")
		lone := s.connect("192.0.2.1")
		many := []*played{s.connect("192.0.2.2"), s.connect("192.0.2.2")}
		time.Sleep(courtesy)

		for i, next := range []*played{many[0], lone, many[1], proxied, idle, busyOfTwo[0], busyOfOne} {
			newcomer := s.connect("192.0.2.3")
			s.wantClosed(fmt.Sprintf("newcomer %d", i), next)
			s.wantOpen(fmt.Sprintf("newcomer %d", i), newcomer)
			s.request(newcomer, fmt.Sprintf("fresh-%d", i)) // It shows a key and waits.
			s.lasts(context.WithValue(t.Context(), connectionKey{}, net.Conn(newcomer)))
		}
		s.wantOpen("all this time", waiting, busyOfTwo[1])
		last := s.connect("192.0.2.3")
		s.wantClosed("the last one that is busy", busyOfTwo[1])
		s.wantOpen("the last newcomer", last)
		over()
		s.wantOpen("its wait is over, and there is room", waiting)
	})
}

// Where all others wait, or have a connection that they will use again, whoever is new has time to show a key.
func TestNewConnectionsAreSparedForAWhile(t *testing.T) {
	playing(t, 4, 100, func(s server) {
		for range 2 {
			s.lasts(s.request(s.connect("192.0.2.1"), "team"))
		}
		unused := s.connect("192.0.2.1")
		s.request(unused, "team")
		s.follow(unused, http.StateIdle)
		first := s.connect("192.0.2.2")
		time.Sleep(courtesy / 2)
		second := s.connect("192.0.2.3")
		s.wantClosed("a second newcomer", unused)
		s.wantOpen("a second newcomer", first, second)
		third := s.connect("192.0.2.4")
		s.wantClosed("a third one, and nothing is unused", first)
		time.Sleep(courtesy)
		s.request(third, "team")
		s.follow(third, http.StateIdle)
		s.connect("192.0.2.5")
		s.wantClosed("the second one has shown no key for a second", second)
		s.wantOpen("the third one has", third)
	})
}

// A wait that is over is a connection like any other, and one that is closed makes room for nobody twice.
func TestConnectionsThatLastNoMore(t *testing.T) {
	playing(t, 2, 100, func(s server) {
		one, two := s.connect("192.0.2.1"), s.connect("192.0.2.1")
		overOne, overTwo := s.lasts(s.request(one, "team")), s.lasts(s.request(two, "team"))
		again := s.lasts(s.request(one, "team"))
		late := s.connect("192.0.2.1")
		s.wantClosed("there is no room", late)
		s.follow(late, http.StateClosed)
		overOne()
		overTwo()
		s.connect("192.0.2.1")
		s.wantClosed("the one whose waits are over", two)
		s.wantOpen("the one that has another wait", one)
		s.follow(two, http.StateClosed)
		s.accepted(s.request(two, "team"), "team")
		again()
		s.follow(one, http.StateClosed)
		if open, lasting, _ := s.Count(); open != 1 || lasting != 0 {
			t.Errorf("%d are open, of which %d last; want 1, 0", open, lasting)
		}
	})
}

func TestAddressesAreCountedByTheirOwner(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
	unnamed, _ := net.Pipe()
	if got := network(addressOf(unnamed)); !slices.Contains([]string{"invalid IP"}, got) {
		t.Errorf("what has no address counts as %s", got)
	}
}
