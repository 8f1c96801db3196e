package controllers

import (
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/scrapethis/spider-operator/controllers/podlog"
)

// Options are the settings of the controller process.
type Options struct {
	// Defaults are for what Spiders leave open.
	Defaults Defaults
	// Logs bounds the reading of spiders' logs.
	Logs podlog.Options
	// Namespaces are the namespaces to serve, all of them when empty.
	Namespaces []string
	// Workers is how many SpiderJobs are reconciled at once, and so the most writes that are under way.
	Workers int
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

// DefaultOptions are the settings of a controller that is told nothing else.
func DefaultOptions() Options {
	return Options{
		Defaults: Defaults{
			GracePeriod:      30 * time.Second,
			PodRetention:     time.Hour,
			TTL:              7 * 24 * time.Hour,
			MaxInterruptions: 3,
			ImagePatience:    5 * time.Minute,
			Pods:             PodDefaults{Security: PodSecurityRestricted, TmpSize: resource.MustParse("10Gi")},
		},
		Logs:           podlog.Options{Interval: 10 * time.Second, Budget: 10},
		Workers:        64,
		MetricsAddress: ":8080",
		ProbeAddress:   ":8081",
		Lease:          defaultLease,
		LeaseDuration:  13 * time.Second,
		RenewDeadline:  10 * time.Second,
		RetryPeriod:    time.Second,
	}
}
