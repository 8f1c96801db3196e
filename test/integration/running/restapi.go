// Package running runs the operator's own processes inside tests that need one beside a control plane.
package running

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/process"
)

// RESTAPIOptions returns options for a test's REST API, which the test may change.
func RESTAPIOptions(t testing.TB) apiserver.Options {
	t.Helper()
	options := apiserver.Options{Listen: FreeAddress(t), Config: configv1alpha1.DefaultAPIServer()}
	options.Config.ShutdownDelay.Duration, options.Config.DrainTimeout.Duration = 0, 10*time.Second
	return options
}

// RESTAPI runs a REST API on a control plane until the test ends, and returns its address once it is ready. A failed test shows
// its log.
func RESTAPI(t testing.TB, config *rest.Config, options apiserver.Options) string {
	t.Helper()
	return StartRESTAPI(t, config, options).Address
}

// Replica is a running REST API.
type Replica struct {
	// Address is its address, as in http://127.0.0.1:8080.
	Address string

	stop func()
}

// Stop ends the REST API as a signal would, and waits for its end. Further calls do nothing.
func (r *Replica) Stop() { r.stop() }

// StartRESTAPI runs a REST API on a control plane until it is stopped or the test ends, and returns once it is ready. A failed
// test shows its log.
func StartRESTAPI(t testing.TB, config *rest.Config, options apiserver.Options) *Replica {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var log bytes.Buffer
	go func() { ended <- apiserver.Run(ctx, config, options, slog.New(slog.NewJSONHandler(&log, nil))) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the REST API ended with %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("its log:\n%s", log.String())
		}
	})
	address := "http://" + options.Listen
	controlplane.Eventually(t, "the REST API is ready", func(ctx context.Context) (bool, error) {
		return Ready(ctx, http.DefaultClient, address)
	})
	return &Replica{Address: address, stop: stop}
}

// Ready reports whether a REST API is ready for requests. One that does not listen is not ready.
func Ready(ctx context.Context, client *http.Client, address string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", http.NoBody)
	if err != nil {
		return false, err
	}
	response, err := client.Do(request)
	if err != nil {
		return false, nil //nolint:nilerr // not listening yet, or any more
	}
	return response.StatusCode == http.StatusOK, response.Body.Close()
}

// FreeAddress returns an address of the loopback on which nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := process.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}
