// Package guard is in front of package rest: it names and logs each request, finds out who is calling with which rights, and
// enforces the limits of callers: rates, connections, streams and time. It knows neither what the calls do nor how a failure is
// written; both are passed in.
package guard

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
)

// Limits are the rates of callers.
type Limits struct {
	// RequestsPerSecond and Burst are of each key.
	RequestsPerSecond float64
	Burst             int
	// NamespaceRequestsPerSecond is of all callers of a namespace together, who may make those of two seconds at once.
	NamespaceRequestsPerSecond float64
	// FailuresPerMinute is how many authentications from one address may fail, counted separately for API keys, tokens and
	// everything else.
	FailuresPerMinute int
	// StreamsPerCaller is how many waits, logs and event streams each caller may have open at once.
	StreamsPerCaller int
}

func (l Limits) check() error {
	if !(l.RequestsPerSecond > 0) || l.Burst < 1 || !(l.NamespaceRequestsPerSecond > 0) || l.FailuresPerMinute < 1 ||
		l.StreamsPerCaller < 1 {
		return fmt.Errorf("every limit on callers must be positive: %+v", l)
	}
	return nil
}

// Timeouts bound how long a caller may take. The zero value stands for DefaultTimeouts.
type Timeouts struct {
	// Header is how long a request's headers may take, and Read its body. A TLS handshake may take as long as the headers.
	Header, Read time.Duration
	// Write bounds how long an answer may take, without any intended wait.
	Write time.Duration
	// Idle is how long a connection may be kept open between requests.
	Idle time.Duration
}

// DefaultTimeouts are the documented ones.
var DefaultTimeouts = Timeouts{
	Header: 10 * time.Second, Read: 30 * time.Second, Write: 30 * time.Second, Idle: 2 * time.Minute,
}

func (t Timeouts) check() error {
	if t.Header <= 0 || t.Read <= 0 || t.Write <= 0 || t.Idle <= 0 {
		return fmt.Errorf("every time-out must be positive: %+v", t)
	}
	return nil
}

// Health reports how up to date the views of the cluster are.
type Health interface {
	// Of reports on the views that show a namespace.
	Of(namespace string) kube.State
	// Scopes reports on all: by namespace, or under "" for all namespaces.
	Scopes() map[string]kube.State
}

// Config is what a Guard is made of.
type Config struct {
	Health        Health
	Authenticator auth.Authenticator
	// Authorizer decides about service accounts. It is needed only if the Authenticator accepts any.
	Authorizer auth.Authorizer
	// Accesses is which right each call needs, by method and route. A call that is not listed is refused to service accounts.
	Accesses map[string]auth.Access
	Limits   Limits
	Timeouts Timeouts
	// MaxConnections bounds the connections that are open at once; 0 stands for DefaultMaxConnections.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those from one address on which no credential has been accepted; 0 stands for
	// DefaultMaxConnectionsPerAddress.
	MaxConnectionsPerAddress int
	// TrustedProxies are the addresses or CIDRs without that bound.
	TrustedProxies []string
	// Abort answers a request with a failure, and ends it.
	Abort    func(*gin.Context, *failure.Error)
	Registry prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time
}

// Guard lets requests pass, or refuses them. Use its middleware in the order of its methods.
type Guard struct {
	health        Health
	authenticator auth.Authenticator
	authorizer    auth.Authorizer
	accesses      map[string]auth.Access
	abort         func(*gin.Context, *failure.Error)
	limits        Limits
	timeouts      Timeouts
	connections   *Connections
	rates         *rates
	failures      *failures
	streams       *streams
	bodies        *shares
	metrics       *metrics
	log           *slog.Logger
	now           func() time.Time
	started       time.Time

	leaving atomic.Bool
	// stopping ends when intended waits have to be answered; stop ends it.
	stopping context.Context
	stop     context.CancelFunc
}

// New makes a Guard.
func New(config Config) (*Guard, error) {
	timeouts := cmp.Or(config.Timeouts, DefaultTimeouts)
	if err := timeouts.check(); err != nil {
		return nil, err
	}
	if err := config.Limits.check(); err != nil {
		return nil, err
	}
	if config.MaxConnections < 0 || config.MaxConnectionsPerAddress < 0 {
		return nil, fmt.Errorf("the limits on connections must be positive: %d, %d for one address",
			config.MaxConnections, config.MaxConnectionsPerAddress)
	}
	trusted, err := proxies(config.TrustedProxies)
	if err != nil {
		return nil, err
	}
	most := cmp.Or(config.MaxConnections, DefaultMaxConnections)
	perAddress := cmp.Or(config.MaxConnectionsPerAddress, DefaultMaxConnectionsPerAddress)
	stopping, stop := context.WithCancel(context.Background())
	g := &Guard{
		health:        config.Health,
		authenticator: config.Authenticator,
		authorizer:    config.Authorizer,
		accesses:      config.Accesses,
		abort:         config.Abort,
		limits:        config.Limits,
		timeouts:      timeouts,
		connections:   NewConnections(most, perAddress, trusted),
		rates:         newRates(config.Limits),
		failures:      newFailures(config.Limits.FailuresPerMinute),
		streams:       newStreams(config.Limits.StreamsPerCaller, mostStreams(most)),
		bodies:        newShares(mostBodies),
		metrics:       newMetrics(config.Registry),
		log:           slog.New(redacting{config.Log.Handler()}),
		now:           config.Now,
		started:       config.Now(),
		stopping:      stopping,
		stop:          stop,
	}
	config.Registry.MustRegister(g.measures()...)
	return g, nil
}

// mostBodies is how many bodies may be read at once, of 128 KiB each at most.
const mostBodies = 256

// mostStreams is how many of the connections may be intentionally open: the others are left to calls that are answered at once.
func mostStreams(connections int) int { return max(1, connections/4*3) }

// proxies returns a function that recognises the addresses of trusted proxies.
func proxies(texts []string) (func(netip.Addr) bool, error) {
	prefixes := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(text); err == nil {
				prefix = netip.PrefixFrom(address, address.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading the trusted proxies: %q is neither an address nor a CIDR: %w", text, err)
		}
		prefixes = append(prefixes, prefix)
	}
	return func(address netip.Addr) bool {
		return slices.ContainsFunc(prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
	}, nil
}

// Limits returns the limits of callers.
func (g *Guard) Limits() Limits { return g.limits }

// Timeouts returns the timeouts of callers.
func (g *Guard) Timeouts() Timeouts { return g.timeouts }

// Connections returns the open connections.
func (g *Guard) Connections() *Connections { return g.connections }

// Unready makes the server report that it is about to stop. It still serves requests.
func (g *Guard) Unready() { g.leaving.Store(true) }

// Stop makes the server not ready, answers all intended waits and ends streams. It still serves requests.
func (g *Guard) Stop() {
	g.Unready()
	g.stop()
}
