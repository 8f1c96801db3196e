package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

func newAPIServerCommand() *cobra.Command {
	options := apiserver.Options{Limits: guard.DefaultLimits, Caps: view.DefaultCaps, Timeouts: guard.DefaultTimeouts}
	var kubeconfig, level string
	cmd := &cobra.Command{
		Use:   "apiserver",
		Short: "Run the REST facade",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(level)
			if err != nil {
				return err
			}
			limitMemory(cmd.Context(), memlimit.FromCgroup, log)
			config, err := restConfig(kubeconfig, "")
			if err != nil {
				return err
			}
			config.UserAgent = "spider-operator-apiserver/" + version
			return apiserver.Run(cmd.Context(), config, options, log)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file; default: $KUBECONFIG, else the Pod's own service account")
	flags.StringVar(&options.Listen, "listen", ":8080", "where the API is served")
	flags.StringVar(&options.MetricsListen, "metrics-listen", ":8081",
		"where metrics are served, and the kubelet's probes, /livez and /readyz, apart from callers; empty for nowhere")
	flags.BoolVar(&options.Profiling, "profiling", false, "serve /debug/pprof beside the metrics")
	flags.StringSliceVar(&options.Namespaces, "namespaces", nil, "namespaces to serve; default: all")
	flags.StringVar(&options.TLS.CertFile, "tls-cert-file", "",
		"PEM file of the certificate to serve the API with, read again when it changes; default: no TLS")
	flags.StringVar(&options.TLS.KeyFile, "tls-key-file", "", "PEM file of that certificate's key")
	flags.BoolVar(&options.KubernetesTokens.Enabled, "kubernetes-tokens", false,
		"accept tokens of service accounts beside API keys; needs the right to create TokenReviews and SubjectAccessReviews")
	flags.StringVar(&options.KubernetesTokens.Audience, "kubernetes-token-audience", apiserver.DefaultTokenAudience,
		"audience that such tokens must have been issued for")
	flags.Float64Var(&options.Limits.RequestsPerSecond, "rate", options.Limits.RequestsPerSecond, "requests per second that a caller may make")
	flags.IntVar(&options.Limits.Burst, "burst", options.Limits.Burst, "requests that a caller may make at once")
	flags.Float64Var(&options.Limits.NamespaceRequestsPerSecond, "namespace-rate", options.Limits.NamespaceRequestsPerSecond,
		"requests per second that all callers of a namespace together may make; those of two seconds at once")
	flags.IntVar(&options.Limits.FailuresPerMinute, "failed-authentications", options.Limits.FailuresPerMinute,
		"authentications from one address that may fail per minute, with keys and with tokens each; keys that are valid are always let in")
	flags.IntVar(&options.Limits.StreamsPerCaller, "max-streams", options.Limits.StreamsPerCaller,
		"waits, logs and event streams that a caller may have open at once")
	flags.IntVar(&options.Caps.UnfinishedJobs, "max-unfinished-jobs", options.Caps.UnfinishedJobs,
		"jobs that a namespace may have that have not ended, where callers start more; 0 for any number")
	flags.Int64Var(&options.Caps.ArgumentBytes, "max-argument-bytes", options.Caps.ArgumentBytes,
		"bytes that the arguments of all jobs of a namespace may have, where callers start more; 0 for any number")
	flags.DurationVar(&options.Timeouts.Header, "header-timeout", options.Timeouts.Header,
		"how long a TLS handshake, and the headers of a request, may take")
	flags.DurationVar(&options.Timeouts.Read, "read-timeout", options.Timeouts.Read, "how long the body of a request may take")
	flags.DurationVar(&options.Timeouts.Write, "write-timeout", options.Timeouts.Write,
		"how long an answer may take, not counting what waits on purpose")
	flags.DurationVar(&options.Timeouts.Idle, "idle-timeout", options.Timeouts.Idle,
		"how long a connection may be kept open between requests")
	flags.IntVar(&options.MaxConnections, "max-connections", guard.DefaultMaxConnections,
		"connections that may be open at once; beyond that, those without a key make room first. Three quarters may wait or stream")
	flags.IntVar(&options.MaxConnectionsPerAddress, "max-connections-per-address", guard.DefaultMaxConnectionsPerAddress,
		"of these, connections from one address on which no key was accepted; beyond that the oldest makes room. "+
			"Trusted proxies may have any number")
	flags.StringSliceVar(&options.TrustedProxies, "trusted-proxies", nil,
		"addresses or CIDRs of proxies whose X-Forwarded-For is believed; default: none")
	flags.Var((*onOff)(&options.SpidersReadOnly), "rest-spiders",
		"on: callers may make, change and delete Spiders, whose settings are code; off: they may only run those that there are")
	flags.DurationVar(&options.ShutdownDelay, "shutdown-delay", 5*time.Second,
		"for how long requests are still accepted after /readyz has begun to fail")
	flags.DurationVar(&options.DrainTimeout, "drain-timeout", 20*time.Second, "how long running requests have to end after that")
	flags.StringVar(&level, "log-level", "info", "least severe messages to log: debug, info, warn or error")
	return cmd
}

// newLogger makes the process log JSON lines to standard error, libraries included.
func newLogger(level string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("reading --log-level: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: least}))
	klog.SetSlogLogger(log)
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	return log, nil
}

// onOff is a flag that is on or off, and holds whether it is off.
type onOff bool

// String implements pflag.Value.
func (o *onOff) String() string {
	if *o {
		return "off"
	}
	return "on"
}

// Set implements pflag.Value.
func (o *onOff) Set(text string) error {
	if text != "on" && text != "off" {
		return fmt.Errorf("%q is neither on nor off", text)
	}
	*o = text == "off"
	return nil
}

// Type implements pflag.Value.
func (*onOff) Type() string { return "on|off" }
