package apiserver

import (
	"context"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// exchange is what is known of one request and its answer. It is made by the outermost middleware and filled in on the way;
// a request is served by one goroutine, so it needs no lock.
type exchange struct {
	requestID string
	caller    auth.Identity
	// object is the Kubernetes object a write was about, as namespace/name, for the audit line.
	object string
	// failure is what went wrong, if anything did.
	failure *failure.Error
	// cut says that it went wrong in the middle of the answer.
	cut bool
}

type exchangeKey struct{}

func withExchange(ctx context.Context, e *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, e)
}

// exchangeOf returns the exchange of the request that the context belongs to.
func exchangeOf(ctx context.Context) *exchange {
	if e, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return e
	}
	return &exchange{}
}

// requestOf returns the context of the request itself. Gin's own context is another request's after the answer, and a client of
// Kubernetes may still look at what it was given then: a connection that it dials outlives the request that it was dialled for.
func requestOf(ctx context.Context) context.Context {
	if c, ok := ctx.(*gin.Context); ok {
		return c.Request.Context()
	}
	return ctx
}

// seenToItsEnd returns a context for what is not given up once it was begun, though the caller may have gone.
func seenToItsEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(requestOf(ctx)), kubernetesTimeout)
}
