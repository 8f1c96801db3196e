package controllers

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// NewScheme returns a scheme of the kinds the controller works with.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register Kubernetes' kinds: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register %s: %w", v1alpha1.GroupVersion, err)
	}
	return scheme, nil
}

// Run runs the controller until ctx ends.
func Run(ctx context.Context, config *rest.Config, opts Options) error {
	scheme, err := NewScheme()
	if err != nil {
		return err
	}
	config = rest.CopyConfig(config)
	config.QPS = -1                  // kube-apiserver's own fairness bounds the requests
	config.DisableCompression = true // otherwise watches are compressed, which costs both ends more than it spares the network
	cacheOptions, err := cacheOptions(opts.Namespaces)
	if err != nil {
		return err
	}
	election := opts.Config.LeaderElection
	options := ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cacheOptions,
		Metrics:                       metricsserver.Options{BindAddress: orNowhere(opts.MetricsListen), ExtraHandlers: private(opts.Profiling)},
		HealthProbeBindAddress:        orNowhere(opts.ProbesListen),
		LeaderElection:                opts.LeaderElection,
		LeaderElectionID:              opts.Lease, // which its metric is called after
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &election.LeaseDuration.Duration,
		RenewDeadline:                 &election.RenewDeadline.Duration,
		RetryPeriod:                   &election.RetryPeriod.Duration,
		Logger:                        logr.FromSlogHandler(opts.Log.Handler()),
	}
	if opts.LeaderElection {
		lock, stop, err := newLeaseLock(config, opts)
		if err != nil {
			return err
		}
		defer stop()
		options.LeaderElectionResourceLockInterface = lock
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	if err := spiderjob.Setup(ctx, mgr, spiderjob.NewOptions(&opts.Config, opts.Namespaces)); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the readiness check: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the controller: %w", err)
	}
	return nil
}

// private answers the kubelet's probes, and profiles, beside the metrics.
func private(profiling bool) map[string]http.Handler {
	alive := healthz.CheckHandler{Checker: healthz.Ping}
	handlers := map[string]http.Handler{"/livez": alive, "/readyz": alive}
	if profiling {
		handlers["/debug/pprof/"] = http.HandlerFunc(pprof.Index)
		handlers["/debug/pprof/cmdline"] = http.HandlerFunc(pprof.Cmdline)
		handlers["/debug/pprof/profile"] = http.HandlerFunc(pprof.Profile)
		handlers["/debug/pprof/symbol"] = http.HandlerFunc(pprof.Symbol)
		handlers["/debug/pprof/trace"] = http.HandlerFunc(pprof.Trace)
	}
	return handlers
}

// orNowhere is an address as controller-runtime takes it: where none is given it would choose one.
func orNowhere(address string) string { return cmp.Or(address, "0") }
