package kube

import (
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// pingIdle is how long a connection to Kubernetes may be silent before it is pinged, and pingTimeout how long the answer may
// take. Otherwise a kube-apiserver that hangs, or a network that swallows packets, would be noticed after 45 s.
const (
	pingIdle    = 2 * time.Second
	pingTimeout = 2 * time.Second
)

// WithPings returns the configuration with pings on its HTTP/2 connections. Its clients have connections of their own.
func WithPings(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	if config.Proxy == nil {
		// client-go shares a transport between configurations that it can compare, and functions cannot be compared.
		config.Proxy = http.ProxyFromEnvironment
	}
	others := config.WrapTransport
	config.WrapTransport = func(transport http.RoundTripper) http.RoundTripper {
		if t := plainTransport(transport); t != nil {
			t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingIdle, PingTimeout: pingTimeout}
		}
		if others != nil {
			transport = others(transport)
		}
		return transport
	}
	return config
}

// plainTransport returns the transport that others wrap, or nil if it is not one of net/http.
func plainTransport(transport http.RoundTripper) *http.Transport {
	for {
		switch t := transport.(type) {
		case *http.Transport:
			return t
		case utilnet.RoundTripperWrapper:
			transport = t.WrappedRoundTripper()
		default:
			return nil
		}
	}
}
