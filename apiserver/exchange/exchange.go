// Package exchange carries what is known of one request, and its answer, through the rooms of the server: from the guard, which begins
// it, by the face and the use cases, which add to it, back to the guard, which logs it.
package exchange

import (
	"context"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// Exchange is what is known of one request and its answer. A request is served by one goroutine, so it needs no lock.
type Exchange struct {
	RequestID string
	// Route is the method and the route of the request, by which the contract knows it. HEAD is a GET.
	Route  string
	Caller auth.Identity
	// Object is the Kubernetes object a write was about, as namespace/name, for the audit line.
	Object string
	// Failure is what went wrong, if anything did.
	Failure *failure.Error
	// Cut says that it went wrong in the middle of the answer.
	Cut bool
}

type key struct{}

// With returns a context of the request that the exchange is about.
func With(ctx context.Context, e *Exchange) context.Context {
	return context.WithValue(ctx, key{}, e)
}

// Of returns the exchange of the request that the context belongs to.
func Of(ctx context.Context) *Exchange {
	if e, ok := ctx.Value(key{}).(*Exchange); ok {
		return e
	}
	return &Exchange{}
}
