package controllers

import (
	"log/slog"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
)

// Options are the settings of the controller process.
type Options struct {
	// Config is what all replicas have in common.
	Config configv1alpha1.ControllerConfiguration
	// Namespaces are the namespaces to serve, all of them when empty.
	Namespaces []string
	// MetricsListen is where metrics and probes are served, as host:port; empty for nowhere.
	MetricsListen string
	// ProbesListen is where the probes are served besides, as they were until version 0.1; empty for nowhere.
	ProbesListen string
	// Profiling serves net/http/pprof beside the metrics.
	Profiling bool
	// LeaderElection lets several replicas run, of which one leads. The Lease is in LeaderElectionNamespace, by default the
	// namespace in which the process runs.
	LeaderElection          bool
	LeaderElectionNamespace string
	// Lease is the name of that Lease: each release has its own, so that several may run in one namespace.
	Lease string
	// Log receives the log.
	Log *slog.Logger
}

// DefaultOptions returns the default settings.
func DefaultOptions() Options {
	return Options{
		Config:        configv1alpha1.DefaultController(),
		MetricsListen: ":8081",
		Lease:         defaultLease,
		Log:           slog.New(slog.DiscardHandler),
	}
}
