package guard

import (
	"context"
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
)

// Authorize limits API keys to their access, and service accounts to the rights that Kubernetes gives them.
func (g *Guard) Authorize(c *gin.Context) {
	caller := exchange.Of(c).Caller
	route := exchange.Of(c).Route
	allowed, err := g.mayCall(c.Request.Context(), caller, route)
	switch {
	case err != nil:
		g.abort(c, authUnavailable(err))
	case !allowed:
		g.metrics.refused("rights")
		g.abort(c, denied(caller, g.accesses[route]))
	default:
		c.Next()
	}
}

// mayCall reports whether the caller has the right to make the call of this method and route.
func (g *Guard) mayCall(ctx context.Context, caller auth.Identity, route string) (bool, error) {
	access, known := g.accesses[route]
	if caller.Account == nil {
		return known && (access.Key == "" || caller.Access.Opens(access.Key)), nil
	}
	if !known || len(access.Verbs) == 0 {
		return known, nil
	}
	return g.authorizer.Authorize(ctx, caller.Namespace, caller.Account, access)
}

// denied says what the caller may not do. The caller knows who it is, so there is nothing to hide.
func denied(caller auth.Identity, access auth.Access) *failure.Error {
	if caller.Account == nil {
		return failure.Denied(nil, "access_denied",
			fmt.Sprintf("This API key has the access %s, and the call needs %s.", caller.Access, access.Key))
	}
	what := "make this call"
	if len(access.Verbs) > 0 {
		what = fmt.Sprintf("%s %s.scrapethis.app", access.Verbs[0], access.Resource)
	}
	return failure.Denied(nil, "access_denied", fmt.Sprintf("The service account %s may not %s in the namespace %s.",
		caller.Account.Name, what, caller.Namespace))
}

// authUnavailable is the answer if Kubernetes could not be asked about a token or a right: nothing is known of either then.
func authUnavailable(err error) *failure.Error {
	if !kube.IsTransient(err) {
		return failure.Internal(err)
	}
	return failure.Unavailable(err, "Kubernetes cannot be asked about this token now.")
}
