// Package rest is the face that the contract describes: it reads requests into the terms of the use cases, and shows what comes of
// them. The types and the bindings in package contract are generated from the contract; the handlers here implement the generated
// interface. What a handler may take for granted is made true by the middleware in front of it: the picture is complete, the caller
// is known and within its rate, and a body is one JSON object of a bounded size.
package rest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/docs"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/spiders"
)

// Config is what the face is made of.
type Config struct {
	Jobs    *jobs.Jobs
	Spiders *spiders.Spiders
	Guard   *guard.Guard
	// Age returns for how long nothing has been heard from Kubernetes: 0 while connected.
	Age func() time.Duration
	// Contract is openapi.yaml.
	Contract []byte
}

// handlers implements the contract. Each method finds its request checked as the middleware does.
type handlers struct {
	jobs    *jobs.Jobs
	spiders *spiders.Spiders
	guard   *guard.Guard
	age     func() time.Duration
	tags    tags
}

var _ contract.StrictServerInterface = (*handlers)(nil)

// Serve has an engine answer everything that the contract has.
func Serve(engine *gin.Engine, config Config) error {
	engine.ContextWithFallback = true
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.NoRoute(func(c *gin.Context) {
		Abort(c, &failure.Error{Kind: failure.KindNotFound, Code: "not_found", Message: "There is no such address."})
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
	api := engine.Group("", g.RequireSync, g.Authenticate, g.LimitRate, g.Authorize, queries.hold, jsonBody)
	fail := func(c *gin.Context, err error) { Abort(c, failure.Of(err)) }
	implementation := contract.NewStrictHandlerWithOptions(
		&handlers{jobs: config.Jobs, spiders: config.Spiders, guard: g, age: config.Age, tags: tagsOf(config.Contract)}, nil,
		contract.StrictGinServerOptions{RequestErrorHandlerFunc: fail, HandlerErrorFunc: fail, ResponseErrorHandlerFunc: fail})
	contract.RegisterHandlersWithOptions(withHead{api}, implementation, contract.GinServerOptions{ErrorHandler: badParameter})
	return nil
}

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
	age := h.age()
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
	return h.guard.NewStream(c) //nolint:contextcheck // A stream has the context of its request.
}

// badParameter answers where the generated bindings could not read a parameter at all: one that may be given once was given
// twice, say. Its value is the handlers' concern.
func badParameter(c *gin.Context, err error, _ int) {
	if id := c.Param("id"); id != "" {
		if _, ok := v1alpha1.ParseID(id); !ok {
			what := "This job"
			if strings.HasPrefix(c.FullPath(), "/api/v1/spiders") {
				what = "This spider"
			}
			Abort(c, failure.NotFound(what))
			return
		}
	}
	Abort(c, &failure.Error{
		Kind:    failure.KindInvalid,
		Code:    "invalid_request",
		Message: "A parameter cannot be read: " + err.Error() + ".",
		Cause:   err,
	})
}
