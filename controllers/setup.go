package controllers

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/schedule"
	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// newScheme returns a scheme of the kinds that the controllers work with.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register Kubernetes' kinds: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register %s: %w", v1alpha1.GroupVersion, err)
	}
	return scheme, nil
}

// Run runs the controllers until ctx ends.
func Run(ctx context.Context, config *rest.Config, opts Options) error {
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	config = rest.CopyConfig(config)
	config.QPS = -1                  // kube-apiserver's own fairness limits the requests
	config.DisableCompression = true // otherwise watches are compressed, which costs both ends more than it spares the network
	cacheOptions, err := cacheOptions(opts.Namespaces)
	if err != nil {
		return err
	}
	election := opts.Config.LeaderElection
	options := ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cacheOptions,
		Metrics:                       metricsserver.Options{BindAddress: "0"}, // serve.go has them
		LeaderElection:                opts.LeaderElection,
		LeaderElectionID:              opts.Lease, // its metric is named after it
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
	registry := prometheus.NewRegistry()
	if err := spiderjob.Setup(ctx, mgr, registry, spiderjob.NewOptions(&opts.Config, opts.Namespaces)); err != nil {
		return err
	}
	if err := schedule.Setup(ctx, mgr, registry); err != nil {
		return err
	}
	if err := serve(ctx, mgr, registry, opts); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the controller: %w", err)
	}
	return nil
}
