package guard

import (
	"math"
	"strconv"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"

	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// tableSize bounds each table of limiters, in entries. A caller that is dropped starts with a full allowance.
const tableSize = 16 << 10

// rates limits each caller, and all callers of a namespace together, to a sustained rate and a burst.
type rates struct {
	ofCaller, ofNamespace quota
	// policy is the value of the header RateLimit-Policy.
	policy []string
}

// quota is a rate that applies to each of many.
type quota struct {
	name      string
	perSecond rate.Limit
	burst     int
	limiters  *lru.Cache
}

func newRates(limits Limits) *rates {
	r := &rates{
		ofCaller: quota{"caller", rate.Limit(limits.RequestsPerSecond), limits.Burst, lru.New(tableSize)},
		ofNamespace: quota{
			"namespace", rate.Limit(limits.NamespaceRequestsPerSecond), burstOf(limits.NamespaceRequestsPerSecond), lru.New(tableSize),
		},
	}
	r.policy = []string{string(r.ofNamespace.policy(append(r.ofCaller.policy(nil), ", "...)))}
	return r
}

// burstOf returns how many requests all callers of a namespace may make at once: those of two seconds.
func burstOf(perSecond float64) int { return max(1, int(min(2*perSecond, math.MaxInt32))) }

func (q quota) limiter(of string) *rate.Limiter {
	return limiterOf(q.limiters, of, q.perSecond, q.burst)
}

// allowance is what a caller has left.
type allowance struct {
	// wait is how long to wait if a request is one too many, and 0 if it was counted; of says whose limit it exceeds.
	wait time.Duration
	of   string
	// left is the value of the header RateLimit.
	left string
}

// take counts a request of the caller, unless it exceeds the limit of the caller or its namespace.
func (r *rates) take(now time.Time, caller, namespace string) allowance {
	own, shared := r.ofCaller.limiter(caller), r.ofNamespace.limiter(namespace)
	var a allowance
	switch {
	case shared.TokensAt(now) < 1:
		a.of, a.wait = r.ofNamespace.name, untilToken(shared, now)
	case !own.AllowN(now, 1):
		a.of, a.wait = r.ofCaller.name, untilToken(own, now)
	default:
		shared.AllowN(now, 1)
	}
	text := make([]byte, 0, 64)
	text = r.ofCaller.left(text, own.TokensAt(now))
	text = r.ofNamespace.left(append(text, ", "...), shared.TokensAt(now))
	a.left = string(text)
	return a
}

// policy appends an item of the header RateLimit-Policy: the burst, and in how many seconds it is refilled.
func (q quota) policy(text []byte) []byte {
	return appendItem(text, q.name, ";q=", int64(q.burst), ";w=", float64(q.burst)/float64(q.perSecond))
}

// left appends an item of the header RateLimit: the requests left, and in how many seconds the burst is complete again.
func (q quota) left(text []byte, tokens float64) []byte {
	tokens = max(0, tokens)
	return appendItem(text, q.name, ";r=", int64(tokens), ";t=", (float64(q.burst)-tokens)/float64(q.perSecond))
}

func appendItem(text []byte, name, first string, number int64, second string, seconds float64) []byte {
	text = append(append(append(text, '"'), name...), '"')
	text = strconv.AppendInt(append(text, first...), number, 10)
	return strconv.AppendInt(append(text, second...), int64(math.Ceil(min(seconds, math.MaxInt32))), 10)
}

// failures limits how many authentications from one address may fail. Malformed credentials and tokens, which cause work, are
// refused before any is done; an API key, which is checked in memory, is always checked, so that others at the same address
// cannot shut its owner out.
type failures struct {
	perSecond rate.Limit
	burst     int
	byAddress *lru.Cache
	known     *lru.Cache
}

// attempts are the failures of an address with credentials of one form. Each form is counted separately: callers who try keys
// do not shut out those with tokens.
type attempts struct {
	address string
	form    auth.Form
}

// acquaintance is a token, by its fingerprint, that was accepted from an address.
type acquaintance struct{ address, token string }

func newFailures(perMinute int) *failures {
	return &failures{
		perSecond: rate.Limit(float64(perMinute) / 60),
		burst:     perMinute,
		byAddress: lru.New(tableSize),
		known:     lru.New(tableSize),
	}
}

// before returns for how long a credential that is not an API key is refused unchecked; 0 for not at all.
func (f *failures) before(now time.Time, address string, credential auth.Credential) time.Duration {
	limiter, found := f.byAddress.Get(attempts{address, credential.Form})
	if !found || limiter.(*rate.Limiter).TokensAt(now) >= 1 {
		return 0
	}
	if _, met := f.known.Get(acquaintance{address, credential.Name}); met && credential.Form == auth.FormToken {
		return 0
	}
	return untilToken(limiter.(*rate.Limiter), now)
}

// failed counts a failure. It returns 0, or how long to wait if it is one too many.
func (f *failures) failed(now time.Time, address string, form auth.Form) time.Duration {
	limiter := limiterOf(f.byAddress, attempts{address, form}, f.perSecond, f.burst)
	if limiter.AllowN(now, 1) {
		return 0
	}
	return untilToken(limiter, now)
}

// succeeded records a token that was accepted.
func (f *failures) succeeded(address string, token auth.Credential) {
	f.known.Add(acquaintance{address, token.Name}, struct{}{})
}

// limiterOf returns the key's limiter in the table. Two concurrent requests may each create one, of which one stays.
func limiterOf(table *lru.Cache, key lru.Key, perSecond rate.Limit, burst int) *rate.Limiter {
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
