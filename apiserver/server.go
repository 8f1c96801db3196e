package apiserver

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/docs"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
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

// degradedAfter is for how long Kubernetes may be silent before the server calls itself degraded. Watches are renewed now and
// then, which takes a moment.
const degradedAfter = 2 * time.Second

// Config is what a Server is made of.
type Config struct {
	Jobs       *view.Jobs
	Spiders    *view.Spiders
	Kubernetes SpiderJobs
	// KubernetesSpiders reads and writes Spiders, live.
	KubernetesSpiders Spiders
	// Pods reads Pods and the logs of spiders, live.
	Pods          Pods
	Health        Health
	Authenticator auth.Authenticator
	// Authorizer is asked about service accounts. It is needed only where the Authenticator knows any.
	Authorizer auth.Authorizer
	Limits     Limits
	Timeouts   Timeouts
	// MaxConnections bounds the connections that are open at once; 0 stands for DefaultMaxConnections.
	MaxConnections int
	// TrustedProxies are the addresses or CIDRs whose X-Forwarded-For is believed; none by default.
	TrustedProxies []string
	Registry       prometheus.Registerer
	Log            *slog.Logger
	Now            func() time.Time
}

// Server answers HTTP requests.
type Server struct {
	engine        *gin.Engine
	health        Health
	authenticator auth.Authenticator
	authorizer    auth.Authorizer
	timeouts      Timeouts
	connections   *connections
	rates         *rates
	failures      *failures
	metrics       *metrics
	log           *slog.Logger
	now           func() time.Time

	leaving atomic.Bool
	// stopping ends when those who wait on purpose are to be answered; stop ends it.
	stopping context.Context
	stop     context.CancelFunc
}

// New makes a Server.
func New(config Config) (*Server, error) {
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
	s := &Server{
		health:        config.Health,
		authenticator: config.Authenticator,
		authorizer:    config.Authorizer,
		timeouts:      timeouts,
		connections:   newConnections(cmp.Or(config.MaxConnections, DefaultMaxConnections)),
		rates:         newRates(config.Limits.RequestsPerSecond, config.Limits.Burst),
		failures:      newFailures(config.Limits.FailuresPerMinute),
		metrics:       newMetrics(config.Registry, config.Jobs.Len, config.Health),
		log:           slog.New(redacting{config.Log.Handler()}),
		now:           config.Now,
		stopping:      stopping,
		stop:          stop,
	}
	config.Registry.MustRegister(s.connections.metrics()...)
	if err := s.route(config); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Unready makes the server say that it is about to stop. Requests are served as before.
func (s *Server) Unready() { s.leaving.Store(true) }

// Stop makes the server not ready, answers whoever waits on purpose and ends streams. Requests are served as before.
func (s *Server) Stop() {
	s.Unready()
	s.stop()
}

func (s *Server) route(config Config) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.ContextWithFallback = true
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	if err := engine.SetTrustedProxies(config.TrustedProxies); err != nil {
		return fmt.Errorf("reading the trusted proxies: %w", err)
	}
	engine.RemoteIPHeaders = []string{"X-Forwarded-For"}
	s.engine = engine

	engine.Use(s.observe, s.bound)
	engine.NoRoute(func(c *gin.Context) {
		abort(c, &failure.Error{Kind: failure.KindNotFound, Code: "not_found", Message: "There is no such address."})
	})
	engine.NoMethod(func(c *gin.Context) {
		abort(c, methodNotAllowed(c))
	})
	public := withHead{engine}
	public.GET("/livez", s.livez)
	public.GET("/readyz", s.readyz)
	openAPI, err := openAPIJSON()
	if err != nil {
		return err
	}
	serveOpenAPI(public, openAPI)
	if err := docs.Serve(public); err != nil {
		return err
	}

	queries, err := readQueryRules(openAPI)
	if err != nil {
		return err
	}
	api := engine.Group("", s.requireSync, s.authenticate, s.limitRate, s.authorize, queries.hold, jsonBody)
	contract.RegisterHandlersWithOptions(withHead{api}, s.strictHandlers(config), contract.GinServerOptions{ErrorHandler: badParameter})
	return nil
}

func (s *Server) strictHandlers(config Config) contract.ServerInterface {
	implementation := &handlers{
		jobs:       config.Jobs,
		spiders:    config.Spiders,
		kubernetes: config.Kubernetes,

		kubernetesSpiders: config.KubernetesSpiders,
		names:             nameClaims{claims: map[nameClaim]struct{}{}},

		health:   config.Health,
		limits:   config.Limits,
		now:      config.Now,
		stopping: s.stopping,

		pods:          config.Pods,
		writeTime:     s.timeouts.Write,
		streams:       newStreams(config.Limits.StreamsPerCaller),
		authenticator: config.Authenticator,
		authorizer:    config.Authorizer,
	}
	fail := func(c *gin.Context, err error) { abort(c, failure.Of(err)) }
	return contract.NewStrictHandlerWithOptions(implementation, nil, contract.StrictGinServerOptions{
		RequestErrorHandlerFunc:  fail,
		HandlerErrorFunc:         fail,
		ResponseErrorHandlerFunc: fail,
	})
}

// badParameter answers where the generated bindings could not read a parameter at all: one that may be given once was given
// twice, say. Its value is the handlers' concern.
func badParameter(c *gin.Context, err error, _ int) {
	if id := c.Param("id"); id != "" {
		if _, ok := parseID(id); !ok {
			what := "This job"
			if strings.HasPrefix(c.FullPath(), "/api/v1/spiders") {
				what = "This spider"
			}
			abort(c, failure.NotFound(what))
			return
		}
	}
	abort(c, &failure.Error{
		Kind:    failure.KindInvalid,
		Code:    "invalid_request",
		Message: "A parameter cannot be read: " + err.Error() + ".",
		Cause:   err,
	})
}
