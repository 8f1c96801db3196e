// Package running runs the operator's own processes inside tests that need one beside a control plane.
package running

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

// FacadeOptions are what a test's facade is run with, for the test to change.
func FacadeOptions(t testing.TB) apiserver.Options {
	t.Helper()
	return apiserver.Options{Listen: FreeAddress(t), Limits: apiserver.DefaultLimits, DrainTimeout: 10 * time.Second}
}

// Facade runs a facade on a control plane until the test ends, and returns its address once it is ready. A failed test shows its
// log.
func Facade(t testing.TB, config *rest.Config, options apiserver.Options) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var log bytes.Buffer
	go func() { ended <- apiserver.Run(ctx, config, options, slog.New(slog.NewJSONHandler(&log, nil))) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the facade ended with %v", err)
		}
		if t.Failed() {
			t.Logf("its log:\n%s", log.String())
		}
	})
	address := "http://" + options.Listen
	controlplane.Eventually(t, "the facade is ready", func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // not listening yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
	return address
}

// FreeAddress is one of the loopback's on which nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
