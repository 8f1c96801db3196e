package guard

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// tableSize bounds each table of limiters, in entries. Whoever is forgotten begins afresh.
const tableSize = 16 << 10

// rates holds each caller to a lasting rate and a burst.
type rates struct {
	perSecond rate.Limit
	burst     int
	byCaller  *lru.Cache
}

func newRates(perSecond float64, burst int) *rates {
	return &rates{perSecond: rate.Limit(perSecond), burst: burst, byCaller: lru.New(tableSize)}
}

// take counts a request of the caller, and returns 0; or how long to wait when that is one too many, and does not count it.
func (r *rates) take(now time.Time, caller string) time.Duration {
	limiter := limiterOf(r.byCaller, caller, r.perSecond, r.burst)
	if limiter.AllowN(now, 1) {
		return 0
	}
	return untilToken(limiter, now)
}

// failures refuses addresses from which too many authentications have failed, before any work is done for them. Where many
// callers share an address, a proxy's perhaps, one of them could so lock the others out: whoever has authenticated from
// there before is let through to be authenticated again.
type failures struct {
	perSecond rate.Limit
	burst     int
	byAddress *lru.Cache
	known     *lru.Cache
}

// acquaintance is a credential, by auth.Credential, that was accepted from an address.
type acquaintance struct{ address, credential string }

func newFailures(perMinute int) *failures {
	return &failures{
		perSecond: rate.Limit(float64(perMinute) / 60),
		burst:     perMinute,
		byAddress: lru.New(tableSize),
		known:     lru.New(tableSize),
	}
}

// wait returns for how long requests from an address are refused; 0 for not at all.
func (f *failures) wait(now time.Time, address, credential string) time.Duration {
	address = network(address)
	limiter, found := f.byAddress.Get(address)
	if !found || limiter.(*rate.Limiter).TokensAt(now) >= 1 {
		return 0
	}
	if _, met := f.known.Get(acquaintance{address, credential}); met && credential != "" {
		return 0
	}
	return untilToken(limiter.(*rate.Limiter), now)
}

func (f *failures) failed(now time.Time, address string) {
	limiterOf(f.byAddress, network(address), f.perSecond, f.burst).AllowN(now, 1)
}

func (f *failures) succeeded(address, credential string) {
	f.known.Add(acquaintance{network(address), credential}, struct{}{})
}

// network is the unit in which addresses are counted: one IPv4 address, or the 64 bits of an IPv6 address that one customer
// usually has to themselves.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return address
	}
	prefix, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// limiterOf returns the key's limiter in the table. Two requests at the same moment may each make one, of which one stays.
func limiterOf(table *lru.Cache, key string, perSecond rate.Limit, burst int) *rate.Limiter {
	if limiter, found := table.Get(key); found {
		return limiter.(*rate.Limiter)
	}
	limiter := rate.NewLimiter(perSecond, burst)
	table.Add(key, limiter)
	return limiter
}

// untilToken returns how long it takes until the limiter allows the next event.
func untilToken(limiter *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - limiter.TokensAt(now)
	return max(time.Millisecond, time.Duration(missing/float64(limiter.Limit())*float64(time.Second)))
}
