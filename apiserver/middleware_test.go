package apiserver

import (
	"context"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// TestWhoeverIsNotKnownIsToldTheSame tries every call with every kind of bad credential.
func TestWhoeverIsNotKnownIsToldTheSame(t *testing.T) {
	f := newTestAPI(t)
	good := f.key("team", "")
	expired := f.key("team", "", func(k *v1alpha1.APIKey) { k.Spec.ExpiresAt = new(metav1.NewTime(time.Now().Add(-time.Second))) })
	headers := map[string]string{
		"none":           "",
		"no scheme":      good,
		"another scheme": "Basic " + good,
		"no token":       "Bearer",
		"empty token":    "Bearer ",
		"not a key":      "Bearer x",
		"unknown":        "Bearer " + auth.NewKey().Reveal(),
		"expired":        "Bearer " + expired,
		"typing error":   "Bearer " + good[:len(good)-1] + "_",
		"two":            "Bearer " + good + " " + good,
		"huge":           "Bearer " + strings.Repeat("x", 9000),
	}
	var first string
	for name, header := range headers {
		for path, method := range map[string]string{
			"/api/v1/jobs": http.MethodGet, "/api/v1/jobs?limit=x": http.MethodPost, "/api/v1/jobs/1": http.MethodGet, "/api/v1/jobs/2": http.MethodDelete,
			"/api/v1/me": http.MethodGet,
		} {
			a := f.send(call{method: method, path: path, header: map[string]string{"Authorization": header, "X-Request-ID": "r"}})
			a.wantProblem(http.StatusUnauthorized, "unauthorized")
			if a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: WWW-Authenticate is %q", name, a.header.Get("WWW-Authenticate"))
			}
			if first == "" {
				first = a.body
			}
			if a.body != first {
				t.Errorf("%s is answered %s, others %s", name, a.body, first)
			}
		}
	}
	f.send(call{method: http.MethodGet, path: "/api/v1/me", header: map[string]string{"Authorization": "bearer  " + good}}).
		want(http.StatusOK)
}

func TestRevokedKeyIsRefused(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.get(key, "/api/v1/me").want(http.StatusOK)
	_, done := f.keys.Relist("", "")
	done()
	f.get(key, "/api/v1/me").want(http.StatusUnauthorized)
}

// A namespace can make as many keys as it likes. All of them together have a rate, and leave other namespaces theirs.
func TestEachNamespaceHasItsRate(t *testing.T) {
	clock := newClock()
	f := newTestAPI(t, func(c *Config) { c.Now, c.Limits.NamespaceRequestsPerSecond = clock.now, 2 })
	for range 4 {
		f.get(f.key("greedy", ""), "/api/v1/me").want(http.StatusOK)
	}
	a := f.get(f.key("greedy", ""), "/api/v1/me")
	a.wantProblem(http.StatusTooManyRequests, "too_many_requests", "namespace")
	if retry := a.header.Get("Retry-After"); retry != "1" {
		t.Errorf("Retry-After is %q, want 1", retry)
	}
	f.get(f.key("other", ""), "/api/v1/me").want(http.StatusOK)
	clock.advance(500 * time.Millisecond)
	f.get(f.key("greedy", ""), "/api/v1/me").want(http.StatusOK)
	f.get(f.key("greedy", ""), "/api/v1/me").want(http.StatusTooManyRequests)
}

// What a caller has left is told with each answer, as draft-ietf-httpapi-ratelimit-headers-10 wants it.
func TestCallersAreToldWhatIsLeft(t *testing.T) {
	clock := newClock()
	f := newTestAPI(t, func(c *Config) {
		c.Now, c.Limits.RequestsPerSecond, c.Limits.Burst, c.Limits.NamespaceRequestsPerSecond = clock.now, 2, 3, 10
	})
	one, other := f.key("team", ""), f.key("team", "")
	for i, test := range []struct{ key, want string }{
		{one, `"caller";r=2;t=1, "namespace";r=19;t=1`},
		{one, `"caller";r=1;t=1, "namespace";r=18;t=1`},
		{other, `"caller";r=2;t=1, "namespace";r=17;t=1`},
		{one, `"caller";r=0;t=2, "namespace";r=16;t=1`},
		{one, `"caller";r=0;t=2, "namespace";r=16;t=1`},
	} {
		a := f.get(test.key, "/api/v1/me")
		if got := a.header.Get("RateLimit"); got != test.want {
			t.Errorf("call %d: RateLimit is %s, want %s", i, got, test.want)
		}
		if got, want := a.header.Get("RateLimit-Policy"), `"caller";q=3;w=2, "namespace";q=20;w=2`; got != want {
			t.Errorf("RateLimit-Policy is %s, want %s", got, want)
		}
		if (a.status == http.StatusTooManyRequests) != (i == 4) {
			t.Errorf("call %d is answered %d", i, a.status)
		}
	}
	for _, a := range []answer{f.get("", "/api/v1/me"), f.get("", "/livez")} {
		if got := a.header.Get("RateLimit"); got != "" {
			t.Errorf("whoever is not known is told %s", got)
		}
	}
}

func TestEachKeyHasItsRate(t *testing.T) {
	clock := newClock()
	f := newTestAPI(t, func(c *Config) {
		c.Limits, c.Now = guard.Limits{
			RequestsPerSecond:          0.5,
			Burst:                      3,
			NamespaceRequestsPerSecond: 1e6,
			FailuresPerMinute:          1000,
			StreamsPerCaller:           1,
		}, clock.now
	})
	one, other := f.key("team", ""), f.key("team", "")
	for range 3 {
		f.get(one, "/api/v1/me").want(http.StatusOK)
	}
	a := f.get(one, "/api/v1/me")
	a.wantProblem(http.StatusTooManyRequests, "too_many_requests")
	if retry := a.header.Get("Retry-After"); retry != "2" {
		t.Errorf("Retry-After is %q, want 2", retry)
	}
	f.get(other, "/api/v1/me").want(http.StatusOK)
	clock.advance(2 * time.Second)
	f.get(one, "/api/v1/me").want(http.StatusOK)
	f.get(one, "/api/v1/me").want(http.StatusTooManyRequests)
}

// countingAuthenticator tells whether any work is done for a request.
type countingAuthenticator struct {
	auth.Authenticator
	calls int
}

func (a *countingAuthenticator) Authenticate(ctx context.Context, token string) (auth.Identity, error) {
	a.calls++
	return a.Authenticator.Authenticate(ctx, token)
}

// Behind a proxy, or a node that hides addresses, all callers have one. However many of them fail, a valid key is let in, also
// one that was never seen before.
func TestAValidKeyIsLetInWhateverFailsFromItsAddress(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.FailuresPerMinute = 5 })
	used := f.key("team", "")
	f.get(used, "/api/v1/me").want(http.StatusOK)
	for i := range 50 {
		want := http.StatusUnauthorized
		if i >= 5 {
			want = http.StatusTooManyRequests
		}
		f.get(auth.NewKey().Reveal(), "/api/v1/me").want(want)
	}
	for range 50 {
		f.get("nonsense", "/api/v1/me")
		f.get("", "/api/v1/me")
	}
	f.get(used, "/api/v1/me").want(http.StatusOK)
	f.get(f.key("team", ""), "/api/v1/me").want(http.StatusOK)
	f.get(auth.NewKey().Reveal(), "/api/v1/me").wantProblem(http.StatusTooManyRequests, "too_many_requests", "address")
}

func TestFailuresAreLimitedByAddress(t *testing.T) {
	clock := newClock()
	f := newTestAPI(t, func(c *Config) {
		c.Now, c.Limits.FailuresPerMinute, c.TrustedProxies = clock.now, 5, []string{"127.0.0.0/8"}
	})
	from := func(address, key string) answer {
		return f.send(call{method: http.MethodGet, path: "/api/v1/me", key: key, header: map[string]string{"X-Forwarded-For": address}})
	}
	for range 5 {
		from("192.0.2.1", auth.NewKey().Reveal()).want(http.StatusUnauthorized)
	}
	a := from("192.0.2.1", auth.NewKey().Reveal())
	a.wantProblem(http.StatusTooManyRequests, "too_many_requests", "address")
	if retry, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || retry < 1 || retry > 12 {
		t.Errorf("Retry-After is %q, want about 12", a.header.Get("Retry-After"))
	}
	from("192.0.2.2", auth.NewKey().Reveal()).want(http.StatusUnauthorized)
	clock.advance(12 * time.Second)
	from("192.0.2.1", auth.NewKey().Reveal()).want(http.StatusUnauthorized)
	from("192.0.2.1", auth.NewKey().Reveal()).want(http.StatusTooManyRequests)

	for range 5 {
		from("2001:db8:1:2::1", "x").want(http.StatusUnauthorized)
	}
	from("2001:db8:1:2:ffff::9", "x").want(http.StatusTooManyRequests)
	from("2001:db8:1:3::1", "x").want(http.StatusUnauthorized)
}

// Tokens take a question to Kubernetes, and malformed text deserves nothing: both are refused unseen once too many have failed,
// each by itself. A token that was accepted from there is known.
func TestTokensAndMalformedTextAreLimitedBeforeAnyWork(t *testing.T) {
	counting := &countingAuthenticator{}
	known := &accounts{}
	f := newTestAPI(t, withAccounts(known), func(c *Config) {
		counting.Authenticator = c.Authenticator
		c.Authenticator, c.Limits.FailuresPerMinute = counting, 3
	})
	f.get(crawlersToken, "/api/v1/me").want(http.StatusOK)
	for _, kind := range []string{"nonsense", crawlersToken} {
		for i := range 3 {
			f.get(kind+strconv.Itoa(i), "/api/v1/me").wantProblem(http.StatusUnauthorized, "unauthorized")
		}
		calls := counting.calls
		for i := range 3 {
			f.get(kind+strconv.Itoa(i), "/api/v1/me").wantProblem(http.StatusTooManyRequests, "too_many_requests", "address")
		}
		if counting.calls != calls {
			t.Errorf("credentials like %s were looked at though too many have failed", kind)
		}
	}
	f.get(crawlersToken, "/api/v1/me").want(http.StatusOK)
	f.get(f.key("team", ""), "/api/v1/me").want(http.StatusOK)
}

func TestForwardedAddressesAreBelievedOfTrustedProxiesOnly(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.FailuresPerMinute = 2 })
	for i, want := range []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusTooManyRequests} {
		f.send(call{method: http.MethodGet, path: "/api/v1/me", header: map[string]string{
			"X-Forwarded-For": "192.0.2." + strconv.Itoa(i), "X-Real-IP": "192.0.2." + strconv.Itoa(i),
		}}).want(want)
	}
}

// panicking fails as no authenticator should.
type panicking struct{}

func (panicking) Authenticate(context.Context, string) (auth.Identity, error) { panic("oh no") }

func TestPanicIsAnswered(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Authenticator = panicking{} })
	a := f.get("x", "/api/v1/me")
	a.wantProblem(http.StatusInternalServerError, "internal", "log")
	if strings.Contains(a.body, "oh no") {
		t.Errorf("the answer %s tells what is only for the log", a.body)
	}
	if !strings.Contains(f.log.String(), "oh no") {
		t.Error("the log does not tell of the panic")
	}
	f.get("", "/livez").want(http.StatusOK)
}

// Whoever may write APIKeys in one namespace chooses their ids, and ids are no secret: that of another tenant's key can be taken,
// and must not use up what that key may do.
func TestKeysOfOneIDInTwoNamespacesDoNotShareTheirLimits(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.RequestsPerSecond, c.Limits.Burst, c.Limits.StreamsPerCaller = 0.001, 2, 1 })
	keyOf := func(namespace, digit string) string {
		body := "st_0123456789abcdef_" + strings.Repeat(digit, 64)
		text := fmt.Sprintf("%s_%08x", body, crc32.ChecksumIEEE([]byte(body)))
		key, err := auth.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		f.key(namespace, "", func(k *v1alpha1.APIKey) { k.Spec.KeyID, k.Spec.Hash = key.ID, key.Hash(namespace) })
		return text
	}
	victim, attacker := keyOf("team", "0"), keyOf("elsewhere", "1")
	f.open(attacker, eventsPath).want("ready", "")
	f.get(attacker, eventsPath).wantProblem(http.StatusTooManyRequests, "too_many_streams")
	f.get(attacker, "/api/v1/me").wantProblem(http.StatusTooManyRequests, "too_many_requests")
	f.get(victim, "/api/v1/me").want(http.StatusOK)
	if events := f.open(victim, eventsPath); events.status != http.StatusOK {
		t.Errorf("the other tenant's events are answered %d", events.status)
	}
}
