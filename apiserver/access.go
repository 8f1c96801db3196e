package apiserver

import (
	"context"
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// accesses tells what right each call needs, by method and route. Calls with no verbs need none: they tell a caller about
// itself. A call that is not listed is refused to service accounts.
var accesses = map[string]auth.Access{
	"GET /api/v1/jobs":           {Resource: "spiderjobs", Verbs: []string{"list"}},
	"POST /api/v1/jobs":          {Resource: "spiderjobs", Verbs: []string{"create"}},
	"GET /api/v1/jobs/:id":       {Resource: "spiderjobs", Verbs: []string{"get"}},
	"DELETE /api/v1/jobs/:id":    {Resource: "spiderjobs", Verbs: []string{"patch", "update"}}, // It records a cancellation.
	"GET /api/v1/jobs/:id/logs":  {Resource: "spiderjobs", Verbs: []string{"get"}},
	"GET /api/v1/jobs/events":    {Resource: "spiderjobs", Verbs: []string{"watch"}},
	"GET /api/v1/spiders":        {Resource: "spiders", Verbs: []string{"list"}},
	"POST /api/v1/spiders":       {Resource: "spiders", Verbs: []string{"create"}},
	"GET /api/v1/spiders/:id":    {Resource: "spiders", Verbs: []string{"get"}},
	"PATCH /api/v1/spiders/:id":  {Resource: "spiders", Verbs: []string{"patch", "update"}},
	"DELETE /api/v1/spiders/:id": {Resource: "spiders", Verbs: []string{"delete"}},
	"GET /api/v1/me":             {},
}

// authorize holds service accounts to the rights that Kubernetes gives them. Those of an API key are its user's, always.
func (s *Server) authorize(c *gin.Context) {
	caller := exchangeOf(c).caller
	route := callName(c)
	allowed, err := mayCall(c.Request.Context(), s.authorizer, caller, route)
	switch {
	case err != nil:
		abort(c, unanswered(err))
	case !allowed:
		s.metrics.refused("rights")
		abort(c, denied(caller, accesses[route]))
	default:
		c.Next()
	}
}

// mayCall reports whether the caller has the right to make the call of this method and route.
func mayCall(ctx context.Context, authorizer auth.Authorizer, caller auth.Identity, route string) (bool, error) {
	if caller.Account == nil {
		return true, nil
	}
	access, known := accesses[route]
	if !known || len(access.Verbs) == 0 {
		return known, nil
	}
	return authorizer.Authorize(ctx, caller.Namespace, caller.Account, access)
}

// denied tells a service account what it may not do. It knows what it is, so there is nothing to hide.
func denied(caller auth.Identity, access auth.Access) *failure.Error {
	what := "make this call"
	if len(access.Verbs) > 0 {
		what = fmt.Sprintf("%s %s.scrapethis.app", access.Verbs[0], access.Resource)
	}
	return failure.Denied(nil, "access_denied", fmt.Sprintf("The service account %s may not %s in the namespace %s.",
		caller.Account.Name, what, caller.Namespace))
}

// unanswered is the answer where Kubernetes could not be asked about a token or a right: nothing is known of either then.
func unanswered(err error) *failure.Error {
	if !mayPass(err) {
		return failure.Internal(err)
	}
	return failure.Unavailable(err, "Kubernetes cannot be asked about this token at the moment.")
}
