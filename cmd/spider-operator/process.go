package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// process has the flags of the controller and of the REST API that the rest of the program does not need.
type process struct {
	kubeconfig, config  string
	logLevel, logFormat string
}

// addFlags adds the flags that both processes have.
func (p *process) addFlags(flags *pflag.FlagSet, namespaces *[]string, metricsListen *string, profiling *bool) {
	flags.StringVar(&p.config, "config", "", "configuration file, apiVersion config.scrapethis.app/v1alpha1; flags override it")
	flags.StringVar(&p.kubeconfig, "kubeconfig", "", "kubeconfig file; default: $KUBECONFIG, or in a Pod its service account")
	flags.StringSliceVar(namespaces, "namespaces", nil, "namespaces to serve; default: all")
	flags.StringVar(metricsListen, "metrics-listen", ":8081",
		"address of the metrics and of the kubelet's probes, /livez and /readyz; empty: not served")
	flags.BoolVar(profiling, "profiling", false, "serve /debug/pprof, at the address of the metrics")
	flags.StringVar(&p.logLevel, "log-level", "info", "lowest level to log: debug, info, warn or error")
	flags.StringVar(&p.logFormat, "log-format", "json", "format of log lines: json or text")
}

// newLogger makes the process log to standard error, libraries included.
func (p *process) newLogger() (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	var least slog.Level
	if err := least.UnmarshalText([]byte(p.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", p.logLevel)
	}
	options.Level = least
	var handler slog.Handler
	switch p.logFormat {
	case "json":
		handler = slog.NewJSONHandler(os.Stderr, options)
	case "text":
		handler = slog.NewTextHandler(os.Stderr, options)
	default:
		return nil, fmt.Errorf("--log-format %q: want json or text", p.logFormat)
	}
	log := slog.New(handler)
	klog.SetSlogLogger(log)
	ctrl.SetLogger(logr.FromSlogHandler(handler))
	return log, nil
}
