package apiserver

import (
	_ "embed"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/rest"
	"github.com/scrapethis/spider-operator/apiserver/schedules"
	"github.com/scrapethis/spider-operator/apiserver/spiders"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// openAPI is the contract.
//
//go:embed openapi.yaml
var openAPI []byte

// Config is what a Server is made of.
type Config struct {
	Jobs      *view.Jobs
	Spiders   *view.Spiders
	Schedules *view.Schedules
	Quotas    *view.Quotas
	// Kubernetes reads and writes SpiderJobs, KubernetesSpiders Spiders, and KubernetesSchedules SpiderSchedules, live.
	Kubernetes          jobs.Kubernetes
	KubernetesSpiders   spiders.Kubernetes
	KubernetesSchedules schedules.Kubernetes
	// Pods reads Pods and the logs of spiders, live.
	Pods          jobs.Pods
	Health        guard.Health
	Authenticator auth.Authenticator
	// Authorizer decides about service accounts. It is needed only if the Authenticator accepts any.
	Authorizer auth.Authorizer
	Limits     guard.Limits
	Timeouts   guard.Timeouts
	// Caps bound the jobs of each namespace. The zero value bounds nothing.
	Caps view.Caps
	// MaxSchedules bounds the schedules of each user; 0 for any number.
	MaxSchedules int
	// MaxConnections bounds the connections that are open at once; 0 stands for guard.DefaultMaxConnections.
	MaxConnections int
	// MaxConnectionsPerAddress bounds those from one address on which no credential has been accepted; 0 stands for
	// guard.DefaultMaxConnectionsPerAddress.
	MaxConnectionsPerAddress int
	// TrustedProxies are the addresses or CIDRs whose X-Forwarded-For is believed; none by default.
	TrustedProxies []string
	// SpidersReadOnly says that no caller may make, change or delete Spiders.
	SpidersReadOnly bool
	Registry        prometheus.Registerer
	Log             *slog.Logger
	Now             func() time.Time
}

// Server answers HTTP requests.
type Server struct {
	engine *gin.Engine
	guard  *guard.Guard
}

// New makes a Server.
func New(config Config) (*Server, error) {
	if err := config.Caps.Check(); err != nil {
		return nil, err
	}
	g, err := guard.New(guard.Config{
		Health:         config.Health,
		Authenticator:  config.Authenticator,
		Authorizer:     config.Authorizer,
		Accesses:       rest.Accesses,
		Limits:         config.Limits,
		Timeouts:       config.Timeouts,
		MaxConnections: config.MaxConnections,
		Abort:          rest.Abort,
		Registry:       config.Registry,
		Log:            config.Log,
		Now:            config.Now,

		MaxConnectionsPerAddress: config.MaxConnectionsPerAddress,
		TrustedProxies:           config.TrustedProxies,
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
		}, func() float64 { return oldest(config.Health).Seconds() }),
		refusals{config.Health},
	)
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	if err := engine.SetTrustedProxies(config.TrustedProxies); err != nil {
		return nil, fmt.Errorf("reading the trusted proxies: %w", err)
	}
	engine.RemoteIPHeaders = []string{"X-Forwarded-For"}
	engine.Use(g.Observe, g.Bound)
	found := spiders.New(config.Spiders, config.KubernetesSpiders)
	started := jobs.New(jobs.Config{
		View: config.Jobs, Kubernetes: config.Kubernetes, Pods: config.Pods, Spiders: found,
		Quotas: config.Quotas, Groups: config.Spiders.Group, Caps: config.Caps, Now: config.Now,
	})
	err = rest.Serve(engine, rest.Config{
		Jobs:    started,
		Spiders: found,
		Schedules: schedules.New(schedules.Config{
			View: config.Schedules, Kubernetes: config.KubernetesSchedules, Spiders: found, Jobs: started,
			SpiderNames: config.Spiders, JobView: config.Jobs, Most: config.MaxSchedules, Now: config.Now,
		}),
		Guard:    g,
		Age:      func(namespace string) time.Duration { return config.Health.Of(namespace).Age },
		Contract: openAPI,

		SpidersReadOnly: config.SpidersReadOnly,
	})
	if err != nil {
		return nil, err
	}
	return &Server{engine: engine, guard: g}, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Unready makes the server report that it is about to stop. It still serves requests.
func (s *Server) Unready() { s.guard.Unready() }

// Stop makes the server not ready, answers all intended waits and ends streams. It still serves requests.
func (s *Server) Stop() { s.guard.Stop() }
