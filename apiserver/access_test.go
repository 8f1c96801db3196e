package apiserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/rest"
)

// accounts knows one service account by one token, and what it may do.
type accounts struct {
	token  string
	rights []string
	err    error
}

func (a *accounts) Authenticate(_ context.Context, token string) (auth.Identity, error) {
	switch {
	case a.err != nil:
		return auth.Identity{}, a.err
	case token != a.token:
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	return auth.Identity{Namespace: "team", User: "team", Account: &auth.Account{
		Name: "crawler", Username: "system:serviceaccount:team:crawler",
	}}, nil
}

func (a *accounts) Authorize(_ context.Context, namespace string, account *auth.Account, access auth.Access) (bool, error) {
	for _, verb := range access.Verbs {
		for _, right := range a.rights {
			if right == strings.Join([]string{account.Name, namespace, verb, access.Resource}, " ") {
				return true, nil
			}
		}
	}
	return false, a.err
}

const crawlersToken = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjcmF3bGVyIn0.c2lnbmF0dXJl"

// withAccounts lets a facade take tokens beside its keys.
func withAccounts(known *accounts) func(*Config) {
	known.token = crawlersToken
	return func(c *Config) {
		c.Authenticator, c.Authorizer = auth.ByForm{Keys: c.Authenticator, Tokens: known}, known
	}
}

func TestServiceAccountDoesWhatItHasTheRightsTo(t *testing.T) {
	known := &accounts{}
	f := newFacade(t, withAccounts(known))
	f.spider("team", "books")
	own := f.apply("team", "own")
	alices := f.apply("team", "alices", func(j *v1alpha1.SpiderJob) { j.Spec.UserID = "alice" })
	elsewhere := f.apply("elsewhere", "own")
	calls := map[string]func() answer{
		"crawler team list spiderjobs":   func() answer { return f.get(crawlersToken, "/api/v1/jobs") },
		"crawler team get spiderjobs":    func() answer { return f.get(crawlersToken, "/api/v1/jobs/"+own) },
		"crawler team create spiderjobs": func() answer { return f.start(crawlersToken, `{"spider_name": "books"}`) },
		"crawler team patch spiderjobs":  func() answer { return f.cancel(crawlersToken, own) },
	}
	for right, call := range calls {
		for other, refused := range calls {
			known.rights = []string{right}
			if other != right {
				refused().wantProblem(http.StatusForbidden, "access_denied", "crawler", "spiderjobs", "team")
			}
		}
		call().want(http.StatusOK)
	}
	known.rights = []string{"crawler team update spiderjobs"}
	f.cancel(crawlersToken, own).want(http.StatusOK)

	known.rights = []string{"crawler team get spiderjobs"}
	f.get(crawlersToken, "/api/v1/jobs/"+alices).want(http.StatusNotFound)
	f.get(crawlersToken, "/api/v1/jobs/"+elsewhere).want(http.StatusNotFound)
	known.rights = nil
	f.get(crawlersToken, "/api/v1/me").want(http.StatusOK).wantJSON(
		`{"user_id": "team", "namespace": "team", "service_account": "crawler", "limits": {"requests_per_second": 1e6, "burst": 1000000, "max_streams": 1000000}}`)
}

func TestServiceAccountsJobsAreTheNamespaces(t *testing.T) {
	f := newFacade(t, withAccounts(&accounts{rights: []string{"crawler team create spiderjobs", "crawler team patch spiderjobs"}}))
	f.spider("team", "books")
	id := f.started(crawlersToken, `{"spider_name": "books"}`)
	if job := f.cluster.job(t, "team", id); job.Spec.UserID != "" {
		t.Errorf("the job is user %q's", job.Spec.UserID)
	}
	f.get(f.key("team", ""), "/api/v1/jobs/"+id).want(http.StatusOK)
	f.cancel(crawlersToken, id).want(http.StatusOK)
	if by := f.cluster.job(t, "team", id).Spec.Cancellation.RequestedBy; by != "team (service account crawler)" {
		t.Errorf("cancelled by %q", by)
	}
}

// TestEveryCallNeedsARight holds that no call is forgotten.
func TestEveryCallNeedsARight(t *testing.T) {
	for _, route := range newFacade(t).server.engine.Routes() {
		name := strings.Replace(route.Method, http.MethodHead, http.MethodGet, 1) + " " + route.Path
		access, known := rest.Accesses[name]
		switch {
		case strings.HasPrefix(route.Path, "/api/") != known:
			t.Errorf("%s %s: has an entry: %t", route.Method, route.Path, known)
		case known && !strings.HasPrefix(name, http.MethodGet) && len(access.Verbs) == 0:
			t.Errorf("%s %s: a write needs no right", route.Method, route.Path)
		}
	}
}

func TestTokenThatCannotBeAskedAbout(t *testing.T) {
	known := &accounts{err: errors.New("connection refused")}
	f := newFacade(t, withAccounts(known), func(c *Config) { c.Limits.FailuresPerMinute = 1 })
	for range 3 { // It is no failure of the caller's.
		a := f.get(crawlersToken, "/api/v1/jobs")
		a.wantProblem(http.StatusServiceUnavailable, "unavailable", "Kubernetes")
		if a.header.Get("Retry-After") == "" {
			t.Error("it is not said when to try again")
		}
	}
	known.err = apierrors.NewForbidden(resource, "", errors.New("the facade may not ask"))
	f.get(crawlersToken, "/api/v1/jobs").wantProblem(http.StatusInternalServerError, "internal")
	if !strings.Contains(f.log.String(), "the facade may not ask") {
		t.Error("the log does not say why the token could not be asked about")
	}
	f.get(f.key("team", ""), "/api/v1/jobs").want(http.StatusOK)
}

func TestTokensThatFailCountAgainstTheirAddress(t *testing.T) {
	f := newFacade(t, withAccounts(&accounts{rights: []string{"crawler team list spiderjobs"}}), func(c *Config) {
		c.Limits.FailuresPerMinute = 3
	})
	f.get(crawlersToken, "/api/v1/jobs").want(http.StatusOK)
	for i := range 3 {
		f.get(crawlersToken+strconv.Itoa(i), "/api/v1/jobs").wantProblem(http.StatusUnauthorized, "unauthorized")
	}
	f.get(crawlersToken+"3", "/api/v1/jobs").want(http.StatusTooManyRequests)
	f.get(crawlersToken, "/api/v1/jobs").want(http.StatusOK) // It was accepted from there before.
}

func TestEachServiceAccountHasItsRate(t *testing.T) {
	f := newFacade(t, withAccounts(&accounts{}), func(c *Config) {
		c.Limits.RequestsPerSecond, c.Limits.Burst = 0.001, 2
	})
	for range 2 {
		f.get(crawlersToken, "/api/v1/me").want(http.StatusOK)
	}
	f.get(crawlersToken, "/api/v1/me").want(http.StatusTooManyRequests)
	f.get(f.key("team", ""), "/api/v1/me").want(http.StatusOK)
}
