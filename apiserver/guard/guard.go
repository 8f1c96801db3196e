// Package guard stands before the face of the server: it names and logs each request, finds out who is calling with which rights, and
// holds callers to their limits: of rates, of connections, of what they keep open, and of time. It knows neither what the calls do
// nor how a failure is written; both are told to it.
package guard

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// Limits are the rates that callers are held to.
type Limits struct {
	// RequestsPerSecond and Burst are of each key.
	RequestsPerSecond float64
	Burst             int
	// FailuresPerMinute is how many authentications from one address may fail.
	FailuresPerMinute int
	// StreamsPerCaller is how many waits, logs and event streams each caller may have open at once.
	StreamsPerCaller int
}

// DefaultLimits are the documented ones.
var DefaultLimits = Limits{RequestsPerSecond: 50, Burst: 100, FailuresPerMinute: 30, StreamsPerCaller: 100}

func (l Limits) check() error {
	if !(l.RequestsPerSecond > 0) || l.Burst < 1 || l.FailuresPerMinute < 1 || l.StreamsPerCaller < 1 {
		return fmt.Errorf("every limit on callers must be more than nothing, or it shuts everyone out: %+v", l)
	}
	return nil
}

// Timeouts bound how long a caller may take. The zero value stands for DefaultTimeouts.
type Timeouts struct {
	// Header is how long a request's headers may take, and Read its body. A TLS handshake may take as long as the headers.
	Header, Read time.Duration
	// Write is how long an answer may take, where it does not wait on purpose.
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
		return fmt.Errorf("every time-out must be longer than nothing: %+v", t)
	}
	return nil
}

// Health tells how the pictures of the cluster are kept.
type Health interface {
	// Synced reports whether all of them have been complete at least once.
	Synced() bool
	// Age returns for how long nothing has been heard from Kubernetes: 0 while connected.
	Age() time.Duration
}

// Config is what a Guard is made of.
type Config struct {
	Health        Health
	Authenticator auth.Authenticator
	// Authorizer is asked about service accounts. It is needed only where the Authenticator knows any.
	Authorizer auth.Authorizer
	// Accesses tell what right each call needs, by method and route. A call that is not listed is refused to service accounts.
	Accesses map[string]auth.Access
	Limits   Limits
	Timeouts Timeouts
	// MaxConnections bounds the connections that are open at once; 0 stands for DefaultMaxConnections.
	MaxConnections int
	// Abort answers a request with a failure, and ends it.
	Abort    func(*gin.Context, *failure.Error)
	Registry prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time
}

// Guard lets requests pass, or not. Its middleware is used in the order of its methods.
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
	metrics       *metrics
	log           *slog.Logger
	now           func() time.Time

	leaving atomic.Bool
	// stopping ends when those who wait on purpose are to be answered; stop ends it.
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
	if config.MaxConnections < 0 {
		return nil, fmt.Errorf("there can be no less than one connection: %d", config.MaxConnections)
	}
	stopping, stop := context.WithCancel(context.Background())
	g := &Guard{
		health:        config.Health,
		authenticator: config.Authenticator,
		authorizer:    config.Authorizer,
		accesses:      config.Accesses,
		abort:         config.Abort,
		limits:        config.Limits,
		timeouts:      timeouts,
		connections:   newConnections(cmp.Or(config.MaxConnections, DefaultMaxConnections)),
		rates:         newRates(config.Limits.RequestsPerSecond, config.Limits.Burst),
		failures:      newFailures(config.Limits.FailuresPerMinute),
		streams:       newStreams(config.Limits.StreamsPerCaller),
		metrics:       newMetrics(config.Registry),
		log:           slog.New(redacting{config.Log.Handler()}),
		now:           config.Now,
		stopping:      stopping,
		stop:          stop,
	}
	config.Registry.MustRegister(g.connections.metrics()...)
	return g, nil
}

// Limits are those that callers are held to.
func (g *Guard) Limits() Limits { return g.limits }

// Timeouts are those that callers are held to.
func (g *Guard) Timeouts() Timeouts { return g.timeouts }

// Connections are those that are open.
func (g *Guard) Connections() *Connections { return g.connections }

// Unready makes the server say that it is about to stop. Requests are served as before.
func (g *Guard) Unready() { g.leaving.Store(true) }

// Stop makes the server not ready, answers whoever waits on purpose and ends streams. Requests are served as before.
func (g *Guard) Stop() {
	g.Unready()
	g.stop()
}

// Stopping is the context that Stop ends.
func (g *Guard) Stopping() context.Context { return g.stopping }
