package rest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// made is a request with these values of one header.
func made(t *testing.T, header string, values ...string) *request {
	t.Helper()
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	c.Request.Header[header] = values
	return &request{c: c}
}

func TestAHeaderIsGivenOnce(t *testing.T) {
	if value, err := made(t, "Idempotency-Key").header("Idempotency-Key"); value != nil || err != nil {
		t.Errorf("an absent header is %v, %v", value, err)
	}
	if value, err := made(t, "Idempotency-Key", "a").header("Idempotency-Key"); err != nil || *value != "a" {
		t.Errorf("a header is %v, %v", value, err)
	}
	_, err := made(t, "Idempotency-Key", "a", "b").header("Idempotency-Key")
	if f := failure.Of(err); f.Kind != failure.KindInvalid || f.Field != "Idempotency-Key" {
		t.Errorf("a header that is given twice is %v", err)
	}
}

// If-None-Match is a list, on one line or on several.
func TestWhatTheCallerHas(t *testing.T) {
	for _, test := range []struct {
		values []string
		known  bool
	}{
		{nil, false},
		{[]string{`"a"`}, true},
		{[]string{`W/"a"`}, true},
		{[]string{`"b", "a"`}, true},
		{[]string{`"b"`, `"a"`}, true},
		{[]string{`*`}, true},
		{[]string{`"b"`}, false},
		{[]string{`a`}, false},
	} {
		r := made(t, "If-None-Match", test.values...)
		if known := r.isKnown(`"a"`); known != test.known || r.c.Writer.Header().Get("ETag") != `"a"` {
			t.Errorf("If-None-Match %q: %t", test.values, known)
		}
	}
}

// A server whose contract has a call that nobody answers, or that answers what the contract does not have, does not start.
func TestTheContractAndWhatIsAnsweredAgree(t *testing.T) {
	all := queryRules{"GET /livez": {}}
	for name := range calls {
		all[name] = queryRule{}
	}
	without, more := queryRules{}, queryRules{"GET /api/v1/novel": {}}
	for name, rule := range all {
		more[name] = rule
		if name != "GET /api/v1/me" {
			without[name] = rule
		}
	}
	for says, rules := range map[string]queryRules{"": all, "does not have GET /api/v1/me": without, "GET /api/v1/novel, which has no handler": more} {
		err := rules.register(gin.New(), &handlers{})
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}
