// Package rest implements the contract: it parses requests for the use cases, and presents their results. The types of answers
// in package contract are generated from the contract; there is a handler for each of its calls. Handlers can rely on what is
// checked before them: the view is complete, the caller is known and within its rate, the contract knows every parameter of the
// query, and a body is one JSON object of a bounded size.
package rest

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/docs"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/schedules"
	"github.com/scrapethis/spider-operator/apiserver/spiders"
)

// Config is what the handlers need.
type Config struct {
	Jobs      *jobs.Jobs
	Spiders   *spiders.Spiders
	Schedules *schedules.Schedules
	Guard     *guard.Guard
	// Age returns how long nothing has been heard from Kubernetes about a namespace: 0 while connected.
	Age func(namespace string) time.Duration
	// Contract is openapi.yaml.
	Contract []byte
	// SpidersReadOnly says that no caller may make, change or delete Spiders.
	SpidersReadOnly bool
}

// handlers answer the calls of the contract.
type handlers struct {
	jobs      *jobs.Jobs
	spiders   *spiders.Spiders
	schedules *schedules.Schedules
	guard     *guard.Guard
	age       func(namespace string) time.Duration
	etags     etags
}

// handler answers a call.
type handler func(*handlers, *request) error

// calls are all calls for known callers, by method and route.
var calls = map[string]handler{
	"GET /api/v1/jobs":                    (*handlers).listJobs,
	"POST /api/v1/jobs":                   (*handlers).startJob,
	"GET /api/v1/jobs/events":             (*handlers).streamJobEvents,
	"GET /api/v1/jobs/summary":            (*handlers).summarizeJobs,
	"GET /api/v1/jobs/:id":                (*handlers).getJob,
	"PATCH /api/v1/jobs/:id":              (*handlers).changeJob,
	"DELETE /api/v1/jobs/:id":             (*handlers).cancelJob,
	"POST /api/v1/jobs/:id/rerun":         (*handlers).rerunJob,
	"GET /api/v1/jobs/:id/logs":           (*handlers).getJobLogs,
	"GET /api/v1/spiders":                 (*handlers).listSpiders,
	"POST /api/v1/spiders":                (*handlers).createSpider,
	"GET /api/v1/spiders/:id":             (*handlers).getSpider,
	"PATCH /api/v1/spiders/:id":           (*handlers).changeSpider,
	"DELETE /api/v1/spiders/:id":          (*handlers).deleteSpider,
	"GET /api/v1/schedules":               (*handlers).listSchedules,
	"POST /api/v1/schedules":              (*handlers).createSchedule,
	"GET /api/v1/schedules/:id":           (*handlers).getSchedule,
	"GET /api/v1/schedules/preview":       (*handlers).previewSchedule,
	"POST /api/v1/schedules/:id/run":      (*handlers).runSchedule,
	"POST /api/v1/schedules/:id/backfill": (*handlers).backfillSchedule,
	"PATCH /api/v1/schedules/:id":         (*handlers).changeSchedule,
	"DELETE /api/v1/schedules/:id":        (*handlers).deleteSchedule,
	"GET /api/v1/queue":                   (*handlers).getQueue,
	"GET /api/v1/me":                      (*handlers).getMe,
}

// Serve registers everything that the contract has with an engine.
func Serve(engine *gin.Engine, config Config) error {
	engine.ContextWithFallback = true
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.NoRoute(func(c *gin.Context) {
		if asksForAPage(c.Request) {
			// Relative, since a proxy may have stripped a prefix from the address.
			c.Header("Location", "docs")
			c.Header("Vary", "Accept")
			c.Status(http.StatusFound)
			return
		}
		Abort(c, &failure.Error{Kind: failure.KindNotFound, Code: "not_found", Message: "This address does not exist."})
	})
	engine.NoMethod(func(c *gin.Context) {
		Abort(c, methodNotAllowed(c))
	})
	public := withHead{engine}
	public.GET("/livez", config.Guard.Livez)
	public.GET("/readyz", config.Guard.Readyz)
	asJSON, err := yaml.YAMLToJSON(config.Contract)
	if err != nil {
		return fmt.Errorf("turning the contract into JSON: %w", err)
	}
	serveContract(public, config.Contract, asJSON)
	if err := docs.Serve(public); err != nil {
		return err
	}
	queries, err := readQueryRules(asJSON)
	if err != nil {
		return err
	}
	g := config.Guard
	api := engine.Group("", g.Authenticate, g.RequireSync, g.LimitRate)
	if config.SpidersReadOnly {
		api.Use(closeSpiders)
	}
	api.Use(g.Authorize)
	h := &handlers{
		jobs: config.Jobs, spiders: config.Spiders, schedules: config.Schedules, guard: g, age: config.Age,
		etags: etagsOf(config.Contract),
	}
	return queries.register(withHead{api}, h)
}

// register adds a route for each call of the contract. A call without a handler, or a handler without a call, is an error.
func (q queryRules) register(routes gin.IRoutes, h *handlers) error {
	for name := range q {
		if _, answered := calls[name]; !answered && strings.Contains(name, " /api/") {
			return fmt.Errorf("the contract has %s, which has no handler", name)
		}
	}
	for name, call := range calls {
		rule, known := q[name]
		if !known {
			return fmt.Errorf("the contract does not have %s", name)
		}
		method, path, _ := strings.Cut(name, " ")
		serve := func(c *gin.Context) {
			if err := h.serve(c, rule, call); err != nil {
				Abort(c, failure.Of(err))
			}
		}
		if method == http.MethodGet {
			routes.GET(path, serve)
		} else {
			routes.Handle(method, path, serve)
		}
	}
	return nil
}

// serve parses a request and answers it.
func (h *handlers) serve(c *gin.Context, rule queryRule, call handler) error {
	query, err := rule.read(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	body, err := readBody(h.guard, c)
	if err != nil {
		return err
	}
	return call(h, &request{c: c, query: query, body: body})
}

// asksForAPage reports whether a browser has opened the server's address: it is redirected to the documentation.
func asksForAPage(r *http.Request) bool {
	if r.URL.Path != "/" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for accepted := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if mediaType, _, err := mime.ParseMediaType(accepted); err == nil && mediaType == "text/html" {
			return true
		}
	}
	return false
}

func (h *handlers) getMe(r *request) error {
	caller, limits := r.caller(), h.guard.Limits()
	body := contract.Caller{
		UserID:    caller.User,
		Namespace: caller.Namespace,
		KeyName:   optional(&caller.KeyName),
		KeyID:     optional(&caller.KeyID),
	}
	if account := caller.Account; account != nil {
		body.ServiceAccount = new(account.Name)
	} else {
		body.Access = new(string(caller.Access))
	}
	if expires := caller.ExpiresAt; !expires.IsZero() {
		body.ExpiresAt = new(expires.UTC())
	}
	body.Limits.RequestsPerSecond = limits.RequestsPerSecond
	body.Limits.Burst = limits.Burst
	body.Limits.NamespaceRequestsPerSecond = new(limits.NamespaceRequestsPerSecond)
	body.Limits.MaxStreams = limits.StreamsPerCaller
	return r.show(body)
}

// tellAge says in the answer how old its data may be, unless Kubernetes is connected.
func (h *handlers) tellAge(r *request) {
	if age := h.age(r.caller().Namespace); age >= time.Second {
		r.c.Header("X-Data-Age", strconv.Itoa(wholeSeconds(age)))
	}
}
