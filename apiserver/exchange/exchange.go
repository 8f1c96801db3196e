// Package exchange carries what is known of one request and its answer through the server: from the guard, which creates it,
// through package rest and the use cases, which add to it, back to the guard, which logs it.
package exchange

import (
	"context"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// Exchange is what is known of one request and its answer. A request is served by one goroutine, so it needs no lock.
type Exchange struct {
	RequestID string
	// Route is the method and the route of the request, as in the contract. HEAD counts as GET.
	Route  string
	Caller auth.Identity
	// Object is the Kubernetes object a write was about, as namespace/name, for the audit line.
	Object string
	// Failure is what went wrong, if anything did.
	Failure *failure.Error
	// Cut says that the failure happened in the middle of the answer.
	Cut bool
}

type key struct{}

// With returns a context that carries the exchange.
func With(ctx context.Context, e *Exchange) context.Context {
	return context.WithValue(ctx, key{}, e)
}

// Of returns the exchange that the context carries.
func Of(ctx context.Context) *Exchange {
	if e, ok := ctx.Value(key{}).(*Exchange); ok {
		return e
	}
	return &Exchange{}
}
