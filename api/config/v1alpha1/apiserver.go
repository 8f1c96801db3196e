package v1alpha1

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// KindAPIServer is the kind of the REST API's file.
const KindAPIServer = "APIServerConfiguration"

// APIServerConfiguration configures `spider-operator apiserver`, the REST API. Limits on callers are of each replica.
//
// +kubebuilder:object:root=true
type APIServerConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// rate is how many requests per second an API key, or a service account, may make. More than 0; by default 50.
	Rate float64 `json:"rate,omitempty"`
	// burst is how many requests it may make at once. At least 1; by default 100.
	Burst int `json:"burst,omitempty"`
	// namespaceRate is how many requests per second all callers of a namespace together may make; those of two seconds at once. More
	// than 0; by default 500.
	NamespaceRate float64 `json:"namespaceRate,omitempty"`
	// failedAuthentications is how many authentications from one address may fail per minute, with keys and with tokens each. Valid
	// keys are always accepted. At least 1; by default 30.
	FailedAuthentications int `json:"failedAuthentications,omitempty"`
	// maxStreams is how many waits, logs and event streams a caller may have open at once. At least 1; by default 100.
	MaxStreams int `json:"maxStreams,omitempty"`
	// maxUnfinishedJobs is how many jobs that have not ended a namespace may have while callers start more. 0 for any number; by
	// default 20000.
	MaxUnfinishedJobs int `json:"maxUnfinishedJobs,omitempty"`
	// maxArgumentBytes is how many bytes the arguments of all jobs of a namespace may have while callers start more. 0 for any
	// number; by default 268435456.
	MaxArgumentBytes int64 `json:"maxArgumentBytes,omitempty"`
	// maxSchedules is how many schedules a user may have while callers make more. 0 for any number; by default 100.
	MaxSchedules int `json:"maxSchedules,omitempty"`
	// maxConnections is how many connections may be open at once; beyond that, those without a key make room first. Three quarters
	// may wait or stream; one that does takes about 32 KiB of memory. At least 1; by default 8000.
	MaxConnections int `json:"maxConnections,omitempty"`
	// maxConnectionsPerAddress is how many of these may come from one address on which no key was accepted; beyond that the oldest
	// makes room. Trusted proxies may have any number. At least 1; by default 1000.
	MaxConnectionsPerAddress int `json:"maxConnectionsPerAddress,omitempty"`
	// trustedProxies are addresses or CIDRs of proxies whose X-Forwarded-For is believed. By default there are none.
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// timeouts bound how long a caller may take.
	Timeouts Timeouts `json:"timeouts,omitempty"`
	// shutdownDelay is how long requests are still accepted after /readyz has begun to fail. By default 5s.
	ShutdownDelay metav1.Duration `json:"shutdownDelay,omitempty"`
	// drainTimeout is how long running requests have to end after that. By default 20s.
	DrainTimeout metav1.Duration `json:"drainTimeout,omitempty"`
}

// Timeouts bound how long a caller may take. Each is more than 0.
type Timeouts struct {
	// header is how long a TLS handshake, and the headers of a request, may take. By default 10s.
	Header metav1.Duration `json:"header,omitempty"`
	// read is how long the body of a request may take. By default 30s.
	Read metav1.Duration `json:"read,omitempty"`
	// write is how long an answer may take, not counting what waits on purpose. By default 30s.
	Write metav1.Duration `json:"write,omitempty"`
	// idle is how long a connection may be kept open between requests. By default 2m.
	Idle metav1.Duration `json:"idle,omitempty"`
}

// DefaultAPIServer returns the configuration of a REST API that is given none.
func DefaultAPIServer() APIServerConfiguration {
	return APIServerConfiguration{
		TypeMeta:                 metav1.TypeMeta{APIVersion: APIVersion, Kind: KindAPIServer},
		Rate:                     50,
		Burst:                    100,
		NamespaceRate:            500,
		FailedAuthentications:    30,
		MaxStreams:               100,
		MaxUnfinishedJobs:        20_000,
		MaxArgumentBytes:         256 << 20,
		MaxSchedules:             100,
		MaxConnections:           8_000,
		MaxConnectionsPerAddress: 1_000,
		Timeouts: Timeouts{
			Header: duration(10 * time.Second),
			Read:   duration(30 * time.Second),
			Write:  duration(30 * time.Second),
			Idle:   duration(2 * time.Minute),
		},
		ShutdownDelay: duration(5 * time.Second),
		DrainTimeout:  duration(20 * time.Second),
	}
}

// Validate returns everything that is wrong with the configuration.
func (c *APIServerConfiguration) Validate() field.ErrorList {
	var all field.ErrorList
	all = append(all, positiveNumber(field.NewPath("rate"), c.Rate)...)
	all = append(all, atLeastOne(field.NewPath("burst"), c.Burst)...)
	all = append(all, positiveNumber(field.NewPath("namespaceRate"), c.NamespaceRate)...)
	all = append(all, atLeastOne(field.NewPath("failedAuthentications"), c.FailedAuthentications)...)
	all = append(all, atLeastOne(field.NewPath("maxStreams"), c.MaxStreams)...)
	all = append(all, orAnyNumber(field.NewPath("maxUnfinishedJobs"), int64(c.MaxUnfinishedJobs))...)
	all = append(all, orAnyNumber(field.NewPath("maxArgumentBytes"), c.MaxArgumentBytes)...)
	all = append(all, orAnyNumber(field.NewPath("maxSchedules"), int64(c.MaxSchedules))...)
	all = append(all, atLeastOne(field.NewPath("maxConnections"), c.MaxConnections)...)
	all = append(all, atLeastOne(field.NewPath("maxConnectionsPerAddress"), c.MaxConnectionsPerAddress)...)
	for i, proxy := range c.TrustedProxies {
		_, addressErr := netip.ParseAddr(proxy)
		_, prefixErr := netip.ParsePrefix(proxy)
		if addressErr != nil && prefixErr != nil {
			all = append(all, field.Invalid(field.NewPath("trustedProxies").Index(i), proxy, "must be an IP address or a CIDR"))
		}
	}
	timeouts := field.NewPath("timeouts")
	all = append(all, positive(timeouts.Child("header"), c.Timeouts.Header.Duration)...)
	all = append(all, positive(timeouts.Child("read"), c.Timeouts.Read.Duration)...)
	all = append(all, positive(timeouts.Child("write"), c.Timeouts.Write.Duration)...)
	all = append(all, positive(timeouts.Child("idle"), c.Timeouts.Idle.Duration)...)
	all = append(all, notNegative(field.NewPath("shutdownDelay"), c.ShutdownDelay.Duration)...)
	return append(all, notNegative(field.NewPath("drainTimeout"), c.DrainTimeout.Duration)...)
}
