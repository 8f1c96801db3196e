package restapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/test/integration/running"
)

// service distributes connections to replicas in turn, as a Service does: to those that report ready, without looking at the
// requests. A connection stays with its replica.
type service struct {
	mu    sync.Mutex
	ready []string
	next  int
}

// probeInterval is how often a replica is probed.
const probeInterval = 50 * time.Millisecond

// follow adds a replica, which is ready, until the test ends.
func (s *service) follow(t *testing.T, r *running.Replica) {
	t.Helper()
	s.set(r.Address, true)
	prober := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	ctx, stop := context.WithCancel(context.Background())
	var probing sync.WaitGroup
	probing.Go(func() {
		for ticks := time.NewTicker(probeInterval); ctx.Err() == nil; {
			ready, err := running.Ready(ctx, prober, r.Address)
			s.set(r.Address, ready && err == nil)
			select {
			case <-ticks.C:
			case <-ctx.Done():
				ticks.Stop()
			}
		}
	})
	t.Cleanup(func() {
		stop()
		probing.Wait()
	})
}

func (s *service) set(address string, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, known := range s.ready {
		if known == address {
			if !ready {
				s.ready = append(s.ready[:i:i], s.ready[i+1:]...)
			}
			return
		}
	}
	if ready {
		s.ready = append(s.ready, address)
	}
}

// dial connects to the replica whose turn it is, whatever the address.
func (s *service) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	s.mu.Lock()
	if len(s.ready) == 0 {
		s.mu.Unlock()
		return nil, errors.New("no replica is ready")
	}
	s.next++
	address := s.ready[s.next%len(s.ready)]
	s.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(address, "http://"))
}
