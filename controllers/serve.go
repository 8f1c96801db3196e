package controllers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/scrapethis/spider-operator/internal/private"
)

const (
	// headerTimeout is how long a request for metrics or a probe may take to arrive, and idleTimeout how long a connection may be
	// kept.
	headerTimeout, idleTimeout = 10 * time.Second, 90 * time.Second
	// shutdownTimeout is how long such requests have to end.
	shutdownTimeout = 2 * time.Second
)

// serve has the manager serve metrics and probes. The metrics are those of the registry and controller-runtime's own, which are
// in a registry that is global there.
func serve(ctx context.Context, mgr ctrl.Manager, registry *prometheus.Registry, opts Options) error {
	handler := private.Handler(probes(), prometheus.Gatherers{registry, metrics.Registry}, opts.Profiling)
	if err := serveAt(ctx, mgr, opts.MetricsListen, "metrics and probes", handler); err != nil {
		return err
	}
	if opts.ProbesListen == opts.MetricsListen {
		return nil
	}
	return serveAt(ctx, mgr, opts.ProbesListen, "probes", probes())
}

// serveAt has the manager serve at an address, if one is given. The address is taken at once.
func serveAt(ctx context.Context, mgr ctrl.Manager, address, what string, handler http.Handler) error {
	if address == "" {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for %s on %s: %w", what, address, err)
	}
	wait := shutdownTimeout
	err = mgr.Add(&manager.Server{
		Name:            what,
		Server:          &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout},
		Listener:        listener,
		ShutdownTimeout: &wait,
	})
	if err != nil {
		return fmt.Errorf("serve %s on %s: %w", what, address, err)
	}
	return nil
}

// probes answers the kubelet. A process that can answer is alive and ready: candidates wait for the lead without being less so.
// /healthz is /livez as it was called until version 0.1.
func probes() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("ok")) // The kubelet finds out by itself.
		})
	}
	return mux
}
