package controllers

import (
	"time"

	"github.com/go-logr/logr"

	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// Options are the settings of the controller process.
type Options struct {
	// SpiderJobs are the settings of the controller of SpiderJobs.
	SpiderJobs spiderjob.Options
	// MetricsAddress and ProbeAddress are where metrics and health are served, as host:port; "0" for nowhere.
	MetricsAddress, ProbeAddress string
	// LeaderElection lets several replicas run, of which one leads. Its Lease is in LeaderElectionNamespace, by default the
	// one the process runs in.
	LeaderElection          bool
	LeaderElectionNamespace string
	// Lease is the name of that Lease: one for each release, so that several may run in one namespace.
	Lease string
	// LeaseDuration is how long a leader is believed to lead without a sign of it; RenewDeadline, shorter, how long it keeps
	// trying to give one; RetryPeriod, shorter still, the time between two tries.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// Log is where log lines go.
	Log logr.Logger
}

// DefaultOptions returns the settings of a controller that was given none.
func DefaultOptions() Options {
	return Options{
		SpiderJobs:     spiderjob.DefaultOptions(),
		MetricsAddress: ":8080",
		ProbeAddress:   ":8081",
		Lease:          defaultLease,
		LeaseDuration:  13 * time.Second,
		RenewDeadline:  10 * time.Second,
		RetryPeriod:    time.Second,
	}
}
