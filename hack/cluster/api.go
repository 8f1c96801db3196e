package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/fetch"
)

// client speaks to kube-apiserver, as the administrator, and to the components' health endpoints.
type client struct {
	http *http.Client
}

func newClient(l layout) (*client, error) {
	ca, err := os.ReadFile(l.pki().Certificate(authority))
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	certificate, err := tls.LoadX509KeyPair(l.pki().Certificate(admin), l.pki().Key(admin))
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	const patience = 2 * time.Second
	return &client{http: &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			// No proxy, whatever the environment says: everything is on this machine.
			Proxy:           nil,
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}},
		},
	}}, nil
}

// get reads a URL, and decodes the answer if into is not nil. Any status but 200 is an error.
func (c *client) get(ctx context.Context, url string, into any) error {
	answer, err := fetch.Get(ctx, c.http, url)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return nil
}

// serves asks a component's readiness: an absolute path is that of a container runtime's socket, everything else a URL.
func (c *client) serves(ctx context.Context, ready string) error {
	if strings.HasPrefix(ready, "/") {
		return runtimeServes(ctx, ready)
	}
	return c.get(ctx, ready, nil)
}

// runtimeServes asks a container runtime for its version, as a kubelet does that starts, and ends where that fails. containerd
// listens for a while before it answers: after a restart it first finds what runs. It is one call of gRPC, and so one request of
// HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) with an empty message.
func runtimeServes(ctx context.Context, socket string) error {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	var dialer net.Dialer
	transport := &http.Transport{Protocols: &protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	emptyMessage := make([]byte, 5) // it is not compressed, and has 0 bytes
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/runtime.v1.RuntimeService/Version",
		bytes.NewReader(emptyMessage))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err // it names the socket
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("read what the container runtime says: %w", err)
	}
	said := response.Trailer
	if said.Get("Grpc-Status") == "" {
		said = response.Header // an answer without a message has no trailer
	}
	if status := said.Get("Grpc-Status"); status != "0" {
		return fmt.Errorf("the container runtime answers %s: status %q, %s", response.Status, status, said.Get("Grpc-Message"))
	}
	return nil
}

// nodeReady returns nil when the node is Ready, or else why it is not. What was said before since, by a kubelet that has ended,
// does not count.
func (c *client) nodeReady(ctx context.Context, since time.Time) error {
	var node struct {
		Status struct {
			Conditions []struct {
				Type, Status, Message string
				LastHeartbeatTime     time.Time
			}
		}
	}
	if err := c.get(ctx, apiServer+"/api/v1/nodes/"+nodeName, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			// Kubernetes' times are whole seconds.
			if condition.LastHeartbeatTime.Before(since.Truncate(time.Second)) {
				return fmt.Errorf("node %s has said nothing since its kubelet was started", nodeName)
			}
			if condition.Status == "True" {
				return nil
			}
			return fmt.Errorf("node %s is not ready: %s", nodeName, condition.Message)
		}
	}
	return fmt.Errorf("node %s has no Ready condition yet", nodeName)
}

// podsAdmitted returns nil when Pods can be made: the default service account exists.
func (c *client) podsAdmitted(ctx context.Context) error {
	return c.get(ctx, apiServer+"/api/v1/namespaces/default/serviceaccounts/default", nil)
}

// namesResolve asks the cluster's DNS, by the address of its Service: it proves kube-proxy's rules as well.
func namesResolve(ctx context.Context) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, net.JoinHostPort(dnsAddress.String(), "53"))
	}}
	const patience = time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const name = "kubernetes.default.svc.cluster.local."
	addresses, err := resolver.LookupHost(ctx, name)
	if err != nil {
		return err // it names what was asked
	}
	if len(addresses) != 1 || addresses[0] != kubernetesAddress.String() {
		return fmt.Errorf("the cluster's DNS says that %s is %v, not %s", name, addresses, kubernetesAddress)
	}
	return nil
}

// eventually repeats ask until it succeeds, gives up after patience with its last error, and earlier if failed says so.
func eventually(ctx context.Context, patience time.Duration, ask func(context.Context) error, failed func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failure := failed(); failure != nil {
			return failure
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", patience, err)
		}
		const interval = 50 * time.Millisecond
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(interval):
		}
	}
}
