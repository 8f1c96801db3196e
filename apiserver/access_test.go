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

// withAccounts lets a REST API take tokens beside its keys.
func withAccounts(known *accounts) func(*Config) {
	known.token = crawlersToken
	return func(c *Config) {
		c.Authenticator, c.Authorizer = auth.ByForm{Keys: c.Authenticator, Tokens: known}, known
	}
}

func TestServiceAccountDoesWhatItHasTheRightsTo(t *testing.T) {
	known := &accounts{}
	f := newTestAPI(t, withAccounts(known))
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
		`{"user_id": "team", "namespace": "team", "service_account": "crawler", "limits": {"requests_per_second": 1e6, "burst": 1000000, "namespace_requests_per_second": 1e6, "max_streams": 1000000}}`)
}

func TestServiceAccountsJobsAreTheNamespaces(t *testing.T) {
	f := newTestAPI(t, withAccounts(&accounts{rights: []string{"crawler team create spiderjobs", "crawler team patch spiderjobs"}}))
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
	for _, route := range newTestAPI(t).server.engine.Routes() {
		access, known := rest.Accesses[strings.Replace(route.Method, http.MethodHead, http.MethodGet, 1)+" "+route.Path]
		writes := route.Method != http.MethodGet && route.Method != http.MethodHead
		switch {
		case strings.HasPrefix(route.Path, "/api/") != known:
			t.Errorf("%s %s: has an entry: %t", route.Method, route.Path, known)
		case known && writes && len(access.Verbs) == 0:
			t.Errorf("%s %s: a write needs no right", route.Method, route.Path)
		case known && writes == (access.Key == v1alpha1.AccessRead || access.Key == ""):
			t.Errorf("%s %s: of a key it needs the access %q", route.Method, route.Path, access.Key)
		case known && (access.Key == "") != (len(access.Verbs) == 0):
			t.Errorf("%s %s: either everybody may call it or not: %+v", route.Method, route.Path, access)
		}
	}
}

// Each access opens what it says, and no more. It can be changed, which takes effect at once.
func TestAKeyOpensWhatItsAccessSays(t *testing.T) {
	f := newTestAPI(t)
	books := f.spider("team", "books")
	schedule := f.scheduled("team", "nightly", func(s *v1alpha1.SpiderSchedule) { s.Spec.UserID = "alice" })
	var object *v1alpha1.APIKey
	key := f.key("team", "alice", func(k *v1alpha1.APIKey) { object = k })
	access := func(access v1alpha1.APIKeyAccess) {
		object.Spec.Access = access
		compact, err := auth.FromAPIKey(object)
		if err != nil {
			t.Fatal(err)
		}
		f.keys.Set("", compact)
	}
	spider := func(method, path, body string) answer {
		return f.send(call{method: method, path: "/api/v1/spiders" + path, key: key, body: body})
	}
	access(v1alpha1.AccessAll)
	job := f.started(key, `{"spider_name": "books"}`)
	var own struct{ ID string }
	spider(http.MethodPost, "", `{"name": "own", "repo_path": null}`).into(&own)

	order := []v1alpha1.APIKeyAccess{v1alpha1.AccessRead, v1alpha1.AccessRun, v1alpha1.AccessAll}
	for i, has := range order {
		access(has)
		for _, test := range []struct {
			what  string
			needs int
			call  func() answer
		}{
			{"list jobs", 0, func() answer { return f.get(key, "/api/v1/jobs") }},
			{"read a job", 0, func() answer { return f.get(key, "/api/v1/jobs/"+job) }},
			{"read a job's head", 0, func() answer { return f.send(call{method: http.MethodHead, path: "/api/v1/jobs/" + job, key: key}) }},
			{"list spiders", 0, func() answer { return f.get(key, "/api/v1/spiders") }},
			{"read a spider", 0, func() answer { return f.get(key, "/api/v1/spiders/"+own.ID) }},
			{"ask who it is", 0, func() answer { return f.get(key, "/api/v1/me") }},
			{"list schedules", 0, func() answer { return f.get(key, schedulesPath) }},
			{"read a schedule", 0, func() answer { return f.get(key, schedulesPath+"/"+schedule) }},
			{"preview a schedule", 0, func() answer { return f.get(key, schedulesPath+"/preview?cron_expression=@daily") }},
			{"run a schedule", 1, func() answer { return f.post(key, schedulesPath+"/"+schedule+"/run", "") }},
			{"backfill a schedule", 2, func() answer {
				return f.post(key, schedulesPath+"/"+schedule+"/backfill", `{"start": "2025-01-15T00:00:00Z", "end": "2025-01-15T12:00:00Z"}`)
			}},
			{"make a schedule", 2, func() answer {
				return f.post(key, schedulesPath, `{"spider_id": "`+books+`", "cron_expression": "@daily"}`)
			}},
			{"change a schedule", 2, func() answer { return f.patch(key, schedulesPath+"/"+schedule, `{"name": "a"}`) }},
			{"start a job", 1, func() answer { return f.start(key, `{"spider_name": "books"}`) }},
			{"start a job again", 1, func() answer { return f.post(key, "/api/v1/jobs/"+job+"/rerun", "") }},
			{"tag a job", 1, func() answer { return f.patch(key, "/api/v1/jobs/"+job, `{"tags": ["x"]}`) }},
			{"cancel a job", 1, func() answer { return f.cancel(key, job) }},
			{"change a spider", 2, func() answer { return spider(http.MethodPatch, "/"+own.ID, `{"settings": {"A": 1}}`) }},
			{"make a spider", 2, func() answer { return spider(http.MethodPost, "", `{"name": "another", "repo_path": null}`) }},
			{"delete a spider", 2, func() answer { return spider(http.MethodDelete, "/"+own.ID, "") }},
		} {
			t.Run(string(has)+" "+test.what, func(t *testing.T) {
				a := test.call()
				if test.needs <= i {
					if a.status >= http.StatusBadRequest {
						t.Errorf("answer %d %s", a.status, a.body)
					}
					return
				}
				a.wantProblem(http.StatusForbidden, "access_denied", string(has), string(order[test.needs]))
			})
		}
		var me struct{ Access string }
		f.get(key, "/api/v1/me").into(&me)
		if me.Access != string(has) {
			t.Errorf("a key of the access %s is told that it has %q", has, me.Access)
		}
	}
	for _, lesser := range []string{"Read", "Run"} {
		access(v1alpha1.APIKeyAccess(lesser))
		before := f.spiders.count("delete")
		spider(http.MethodDelete, "/"+own.ID, "").want(http.StatusForbidden)
		if f.spiders.count("delete") != before {
			t.Errorf("access %s has deleted a spider", lesser)
		}
	}
	// A later version may know others: what they open is not known here.
	access("Everything")
	f.get(key, "/api/v1/jobs").want(http.StatusForbidden)
}

// Where an administrator wants it so, nobody changes Spiders by way of the API; they are run as ever.
func TestSpidersCanBeClosedToTheAPI(t *testing.T) {
	known := &accounts{rights: []string{"crawler team create spiders", "crawler team delete spiders"}}
	f := newTestAPI(t, withAccounts(known), func(c *Config) { c.SpidersReadOnly = true })
	id := f.spider("team", "books")
	key := f.key("team", "")
	for _, by := range []string{key, crawlersToken} {
		for _, request := range []call{
			{method: http.MethodPost, path: "/api/v1/spiders", key: by, body: `{"name": "own", "repo_path": null}`},
			{method: http.MethodPatch, path: "/api/v1/spiders/" + id, key: by, body: `{"settings": {"A": 1}}`},
			{method: http.MethodDelete, path: "/api/v1/spiders/" + id, key: by},
		} {
			f.send(request).wantProblem(http.StatusForbidden, "spiders_read_only", "administrators")
		}
	}
	f.get(key, "/api/v1/spiders/"+id).want(http.StatusOK)
	f.cancel(key, f.started(key, `{"spider_name": "books"}`)).want(http.StatusOK)
	f.post(key, schedulesPath, `{"spider_id": "`+id+`", "cron_expression": "@daily"}`).want(http.StatusOK)
	if writes := f.spiders.count("patch") + f.spiders.count("delete"); writes != 0 {
		t.Errorf("%d writes reached Kubernetes", writes)
	}
}

func TestTokenThatCannotBeAskedAbout(t *testing.T) {
	known := &accounts{err: errors.New("connection refused")}
	f := newTestAPI(t, withAccounts(known), func(c *Config) { c.Limits.FailuresPerMinute = 1 })
	for range 3 { // It is no failure of the caller's.
		a := f.get(crawlersToken, "/api/v1/jobs")
		a.wantProblem(http.StatusServiceUnavailable, "unavailable", "Kubernetes")
		if a.header.Get("Retry-After") == "" {
			t.Error("it is not said when to try again")
		}
	}
	known.err = apierrors.NewForbidden(resource, "", errors.New("the REST API may not ask"))
	f.get(crawlersToken, "/api/v1/jobs").wantProblem(http.StatusInternalServerError, "internal")
	if !strings.Contains(f.log.String(), "the REST API may not ask") {
		t.Error("the log does not say why the token could not be asked about")
	}
	f.get(f.key("team", ""), "/api/v1/jobs").want(http.StatusOK)
}

func TestTokensThatFailCountAgainstTheirAddress(t *testing.T) {
	f := newTestAPI(t, withAccounts(&accounts{rights: []string{"crawler team list spiderjobs"}}), func(c *Config) {
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
	f := newTestAPI(t, withAccounts(&accounts{}), func(c *Config) {
		c.Limits.RequestsPerSecond, c.Limits.Burst = 0.001, 2
	})
	for range 2 {
		f.get(crawlersToken, "/api/v1/me").want(http.StatusOK)
	}
	f.get(crawlersToken, "/api/v1/me").want(http.StatusTooManyRequests)
	f.get(f.key("team", ""), "/api/v1/me").want(http.StatusOK)
}
