package apiserver

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/docs"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Config is what a Server is made of.
type Config struct {
	Jobs       *view.Jobs
	Spiders    *view.Spiders
	Kubernetes SpiderJobs
	// KubernetesSpiders reads and writes Spiders, live.
	KubernetesSpiders Spiders
	// Pods reads Pods and the logs of spiders, live.
	Pods          Pods
	Health        guard.Health
	Authenticator auth.Authenticator
	// Authorizer is asked about service accounts. It is needed only where the Authenticator knows any.
	Authorizer auth.Authorizer
	Limits     guard.Limits
	Timeouts   guard.Timeouts
	// MaxConnections bounds the connections that are open at once; 0 stands for guard.DefaultMaxConnections.
	MaxConnections int
	// TrustedProxies are the addresses or CIDRs whose X-Forwarded-For is believed; none by default.
	TrustedProxies []string
	Registry       prometheus.Registerer
	Log            *slog.Logger
	Now            func() time.Time
}

// Server answers HTTP requests.
type Server struct {
	engine *gin.Engine
	guard  *guard.Guard
}

// New makes a Server.
func New(config Config) (*Server, error) {
	g, err := guard.New(guard.Config{
		Health:         config.Health,
		Authenticator:  config.Authenticator,
		Authorizer:     config.Authorizer,
		Accesses:       accesses,
		Limits:         config.Limits,
		Timeouts:       config.Timeouts,
		MaxConnections: config.MaxConnections,
		Abort:          abort,
		Registry:       config.Registry,
		Log:            config.Log,
		Now:            config.Now,
	})
	if err != nil {
		return nil, err
	}
	config.Registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "spider_operator_api_view_jobs",
			Help: "SpiderJobs in the view that reads are served from.",
		}, func() float64 { return float64(config.Jobs.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "spider_operator_api_view_age_seconds",
			Help: "For how long nothing has been heard from Kubernetes; 0 while connected.",
		}, func() float64 { return config.Health.Age().Seconds() }),
	)
	s := &Server{guard: g}
	if err := s.route(config); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Unready makes the server say that it is about to stop. Requests are served as before.
func (s *Server) Unready() { s.guard.Unready() }

// Stop makes the server not ready, answers whoever waits on purpose and ends streams. Requests are served as before.
func (s *Server) Stop() { s.guard.Stop() }

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

	engine.Use(s.guard.Observe, s.guard.Bound)
	engine.NoRoute(func(c *gin.Context) {
		abort(c, &failure.Error{Kind: failure.KindNotFound, Code: "not_found", Message: "There is no such address."})
	})
	engine.NoMethod(func(c *gin.Context) {
		abort(c, methodNotAllowed(c))
	})
	public := withHead{engine}
	public.GET("/livez", s.guard.Livez)
	public.GET("/readyz", s.guard.Readyz)
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
	api := engine.Group(
		"", s.guard.RequireSync, s.guard.Authenticate, s.guard.LimitRate, s.guard.Authorize, queries.hold, jsonBody)
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

		health: config.Health,
		guard:  s.guard,
		now:    config.Now,
		pods:   config.Pods,
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
