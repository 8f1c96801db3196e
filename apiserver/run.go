package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/private"
)

// Options say how the REST API is run.
type Options struct {
	// Listen and MetricsListen are addresses as in ":8080". The latter serves metrics, and the kubelet's probes; if it is empty,
	// nothing does.
	Listen, MetricsListen string
	// Profiling serves net/http/pprof beside the metrics.
	Profiling bool
	// Namespaces are the ones served; all when empty.
	Namespaces []string
	// TLS is the certificate of the REST API. Metrics are always served without TLS.
	TLS TLS
	// KubernetesTokens says whether tokens of service accounts are accepted, and how.
	KubernetesTokens KubernetesTokens
	// Config is what all replicas have in common: limits, caps, timeouts.
	Config configv1alpha1.APIServerConfiguration
	// SpidersReadOnly says that no caller may make, change or delete Spiders.
	SpidersReadOnly bool
}

// KubernetesTokens configures tokens of service accounts, beside API keys.
type KubernetesTokens struct {
	Enabled bool
	// Audience is the audience for which a token must have been issued.
	Audience string
}

// DefaultTokenAudience is the default audience of tokens.
const DefaultTokenAudience = "spider-operator.scrapethis.app"

// Run serves the REST API until the context ends, and then ends all requests in order. config says where Kubernetes is.
func Run(ctx context.Context, config *rest.Config, options Options, log *slog.Logger) error {
	kubernetes, err := newClient(config)
	if err != nil {
		return err
	}
	spiders := view.NewSpiders()
	jobs := view.NewJobs(spiders)
	spiders.OnChange(jobs.RefreshSpider)
	schedules, quotas := view.NewSchedules(), view.NewQuotas()
	keys := auth.NewKeys(time.Now)
	feeds := newFeeds(kubernetes, options.Namespaces, spiders, jobs, schedules, quotas, keys, log)

	pods, err := kube.NewPods(config)
	if err != nil {
		return err
	}

	registry := prometheus.NewRegistry()
	serverConfig := Config{
		Jobs:                jobs,
		Spiders:             spiders,
		Schedules:           schedules,
		Quotas:              quotas,
		Kubernetes:          kube.Jobs{Client: kubernetes},
		KubernetesSpiders:   kube.Spiders{Client: kubernetes},
		KubernetesSchedules: kube.Schedules{Client: kubernetes},
		Pods:                pods,
		Health:              feeds,
		Authenticator:       keys,
		Limits:              limits(&options.Config),
		Timeouts:            timeouts(&options.Config),
		Caps:                caps(&options.Config),
		MaxSchedules:        options.Config.MaxSchedules,
		MaxConnections:      connectionsWithinFiles(options.Config.MaxConnections, log),
		TrustedProxies:      options.Config.TrustedProxies,
		Registry:            registry,
		Log:                 log,
		Now:                 time.Now,
		SpidersReadOnly:     options.SpidersReadOnly,

		MaxConnectionsPerAddress: options.Config.MaxConnectionsPerAddress,
	}
	if options.KubernetesTokens.Enabled {
		if options.KubernetesTokens.Audience == "" {
			return errors.New("accepting Kubernetes tokens needs an audience")
		}
		tokens := auth.NewTokens(
			kube.Reviews{Client: kubernetes}, options.KubernetesTokens.Audience, options.Namespaces, time.Now)
		serverConfig.Authenticator, serverConfig.Authorizer = auth.ByForm{Keys: keys, Tokens: tokens}, tokens
	}
	server, err := New(serverConfig) //nolint:contextcheck // A request has its own context.
	if err != nil {
		return err
	}

	// The feeds outlive the requests: requests that are ending still read and wait.
	feeding, stopFeeding := context.WithCancel(context.WithoutCancel(ctx))
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		feeds.Run(feeding)
	}()
	defer func() {
		stopFeeding()
		<-fed
	}()
	return serve(ctx, server, registry, options, log)
}

func caps(config *configv1alpha1.APIServerConfiguration) view.Caps {
	return view.Caps{UnfinishedJobs: config.MaxUnfinishedJobs, ArgumentBytes: config.MaxArgumentBytes}
}

func limits(config *configv1alpha1.APIServerConfiguration) guard.Limits {
	return guard.Limits{
		RequestsPerSecond:          config.Rate,
		Burst:                      config.Burst,
		NamespaceRequestsPerSecond: config.NamespaceRate,
		FailuresPerMinute:          config.FailedAuthentications,
		StreamsPerCaller:           config.MaxStreams,
	}
}

func timeouts(config *configv1alpha1.APIServerConfiguration) guard.Timeouts {
	return guard.Timeouts{
		Header: config.Timeouts.Header.Duration,
		Read:   config.Timeouts.Read.Duration,
		Write:  config.Timeouts.Write.Duration,
		Idle:   config.Timeouts.Idle.Duration,
	}
}

// newClient makes a client without a rate limit: kube-apiserver's own fairness decides.
func newClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(v1alpha1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the API types: %w", err)
	}
	config = kube.WithPings(config)
	config.QPS = -1
	kubernetes, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	return kubernetes, nil
}

// newFeeds makes the feeds of all views, for each served namespace.
func newFeeds(
	kubernetes client.WithWatch, namespaces []string, spiders *view.Spiders, jobs *view.Jobs, schedules *view.Schedules,
	quotas *view.Quotas, keys *auth.Keys, log *slog.Logger,
) kube.Feeds {
	report := func(err error) { log.Warn("following Kubernetes", "error", err.Error()) }
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	var feeds kube.Feeds
	for _, namespace := range namespaces {
		feeds = append(feeds,
			&kube.Feed[*v1alpha1.Spider, *view.Spider]{
				Client: kubernetes, Scope: namespace, Sink: spiders, Compact: view.FromSpider, Report: report,
				NewList: func() client.ObjectList { return &v1alpha1.SpiderList{} },
			},
			&kube.Feed[*v1alpha1.SpiderJob, *view.Job]{
				Client: kubernetes, Scope: namespace, Sink: jobs, Compact: view.FromSpiderJob, Report: report,
				NewList: func() client.ObjectList { return &v1alpha1.SpiderJobList{} },
			},
			&kube.Feed[*v1alpha1.SpiderSchedule, *view.Schedule]{
				Client: kubernetes, Scope: namespace, Sink: schedules, Compact: view.FromSpiderSchedule, Report: report,
				NewList: func() client.ObjectList { return &v1alpha1.SpiderScheduleList{} },
			},
			&kube.Feed[*v1alpha1.SpiderQuota, *view.Quota]{
				Client: kubernetes, Scope: namespace, Sink: quotas, Compact: view.FromSpiderQuota, Report: report,
				NewList: func() client.ObjectList { return &v1alpha1.SpiderQuotaList{} },
			},
			&kube.Feed[*v1alpha1.APIKey, *auth.APIKey]{
				Client: kubernetes, Scope: namespace, Sink: keys, Compact: auth.FromAPIKey, Report: report,
				NewList: func() client.ObjectList { return &v1alpha1.APIKeyList{} },
			},
		)
	}
	return feeds
}

// serve answers requests until the context ends or a listener fails.
func serve(ctx context.Context, server *Server, registry *prometheus.Registry, options Options, log *slog.Logger) error {
	certificates, err := options.TLS.certificates()
	if err != nil {
		return err
	}
	timeouts := server.guard.Timeouts()
	// There is no time limit on whole requests: some wait intentionally. The middleware limits the others.
	public := &http.Server{
		Handler:           server,
		ReadHeaderTimeout: timeouts.Header,
		IdleTimeout:       timeouts.Idle,
		MaxHeaderBytes:    guard.MaxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// HTTP/2 connections are bounded like those of HTTP/1.1, and one whose caller is gone is noticed.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100, MaxReceiveBufferPerConnection: 256 << 10, MaxReceiveBufferPerStream: 64 << 10,
			SendPingTimeout: 30 * time.Second,
		},
	}
	server.guard.Connections().Install(public)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.Listen)
	if err != nil {
		return fmt.Errorf("listening for requests on %s: %w", options.Listen, err)
	}
	accepting := guard.NewAcceptor(listener, time.Now)
	privateServer := &http.Server{
		Handler:           private.Handler(server.guard.Probes(accepting.Check), registry, options.Profiling),
		ReadHeaderTimeout: timeouts.Header,
		ReadTimeout:       timeouts.Header,
		IdleTimeout:       timeouts.Idle,
		MaxHeaderBytes:    guard.MaxHeader,
	}
	// Others that reach this port, perhaps Pods, cannot keep the kubelet from it: the oldest connections make room.
	guard.NewConnections(privateConnections, privateConnections, nil).Install(privateServer)

	failed := make(chan error, 3)
	start := func(s *http.Server, l net.Listener, what string) {
		log.Info("listening", "for", what, "address", l.Addr().String(), "tls", s.TLSConfig != nil)
		answer := s.Serve
		if s.TLSConfig != nil {
			answer = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
		}
		if err := answer(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serving %s: %w", what, err)
		}
	}
	if certificates != nil {
		public.TLSConfig = tlsConfig(certificates)
		following, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		go func() {
			if err := certificates.Start(following); err != nil {
				failed <- fmt.Errorf("following the TLS certificate: %w", err)
			}
		}()
	}
	if options.MetricsListen != "" {
		metricsListener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.MetricsListen)
		if err != nil {
			_ = listener.Close()
			return fmt.Errorf("listening for probes and metrics requests on %s: %w", options.MetricsListen, err)
		}
		go start(privateServer, metricsListener, "probes and metrics")
	}
	go start(public, accepting, "requests")

	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info("shutting down", "delay", options.Config.ShutdownDelay.Duration.String())
		server.Unready()
		time.Sleep(options.Config.ShutdownDelay.Duration)
	}
	server.Stop()
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), options.Config.DrainTimeout.Duration)
	defer cancel()
	err = errors.Join(err, shutdown(draining, public, "requests"))
	// Last, so that the kubelet gets answers as long as callers do.
	closing, cancelClosing := context.WithTimeout(context.WithoutCancel(ctx), privateDrain)
	defer cancelClosing()
	return errors.Join(err, shutdown(closing, privateServer, "probes and metrics"))
}

const (
	// privateConnections bounds the connections to the port of probes and metrics.
	privateConnections = 256
	// privateDrain is how long requests there have to end.
	privateDrain = 2 * time.Second
)

func shutdown(ctx context.Context, server *http.Server, what string) error {
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("waiting for %s to end: %w", what, err), server.Close())
	}
	return nil
}
