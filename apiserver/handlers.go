package apiserver

import (
	"context"
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// SpiderJobs reads and writes single SpiderJobs, live. Its errors are, or wrap, those of
// k8s.io/apimachinery/pkg/api/errors, or of the connection.
type SpiderJobs interface {
	Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderJob, error)
	Create(ctx context.Context, job *v1alpha1.SpiderJob) (*v1alpha1.SpiderJob, error)
	// Cancel records a cancellation on the SpiderJob in exactly the state of the given resource version. What the given
	// cancellation leaves empty stays as it is.
	Cancel(
		ctx context.Context, namespace, name, resourceVersion string, cancellation v1alpha1.Cancellation,
	) (*v1alpha1.SpiderJob, error)
}

// handlers implements the contract. Each method finds its request checked as the middleware does.
type handlers struct {
	jobs       *view.Jobs
	spiders    *view.Spiders
	kubernetes SpiderJobs
	// kubernetesSpiders reads and writes Spiders, live.
	kubernetesSpiders Spiders
	names             nameClaims
	health            guard.Health
	guard             *guard.Guard
	now               func() time.Time
	// pods reads Pods and logs, live.
	pods Pods
}

var _ contract.StrictServerInterface = (*handlers)(nil)

func (h *handlers) GetMe(ctx context.Context, _ contract.GetMeRequestObject) (contract.GetMeResponseObject, error) {
	e := exchange.Of(ctx)
	body := contract.Caller{
		UserID:    e.Caller.User,
		Namespace: e.Caller.Namespace,
		KeyName:   optional(&e.Caller.KeyName),
		KeyID:     optional(&e.Caller.KeyID),
	}
	if account := e.Caller.Account; account != nil {
		body.ServiceAccount = new(account.Name)
	}
	if expires := e.Caller.ExpiresAt; !expires.IsZero() {
		body.ExpiresAt = new(expires.UTC())
	}
	limits := h.guard.Limits()
	body.Limits.RequestsPerSecond = limits.RequestsPerSecond
	body.Limits.Burst = limits.Burst
	body.Limits.MaxStreams = limits.StreamsPerCaller
	return contract.GetMe200JSONResponse{
		Body:    body,
		Headers: contract.GetMe200ResponseHeaders{XRequestID: e.RequestID},
	}, nil
}

// dataAge is the value of the X-Data-Age header: nil while Kubernetes is connected.
func (h *handlers) dataAge() *int {
	age := h.health.Age()
	if age < time.Second {
		return nil
	}
	return new(wholeSeconds(age))
}

func callerOf(ctx context.Context) auth.Identity { return exchange.Of(ctx).Caller }

// requestOf returns the context of the request itself. Gin's own context is another request's after the answer, and a client of
// Kubernetes may still look at what it was given then: a connection that it dials outlives the request that it was dialled for.
func requestOf(ctx context.Context) context.Context {
	if c, ok := ctx.(*gin.Context); ok {
		return c.Request.Context()
	}
	return ctx
}

// streamOf prepares the request of a context for an answer that lasts. closeStream has to be called in the end.
func (h *handlers) streamOf(ctx context.Context) (s *guard.Stream, closeStream func(), err error) {
	c, ok := ctx.(*gin.Context)
	if !ok {
		return nil, nil, failure.Internal(errors.New("a stream can be answered to HTTP requests only"))
	}
	return h.guard.NewStream(c)
}
