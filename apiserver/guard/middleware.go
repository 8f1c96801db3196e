package guard

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// saneRequestID is the form in which a caller's own request id is kept.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// Observe names the request, and when it is done counts it and logs it. It turns a panic into an answer.
func (g *Guard) Observe(c *gin.Context) {
	start := g.now()
	e := &exchange.Exchange{RequestID: c.GetHeader("X-Request-ID"), Route: routeOf(c)}
	if !saneRequestID.MatchString(e.RequestID) {
		e.RequestID = uuid.NewString()
	}
	c.Request = c.Request.WithContext(exchange.With(c.Request.Context(), e))
	c.Header("X-Request-ID", e.RequestID)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-store")
	if g.leaving.Load() {
		c.Header("Connection", "close") // The next request is then made elsewhere, and not on a connection that is being cut off.
	}

	defer func() {
		if reason := recover(); reason != nil {
			g.log.ErrorContext(c, "panic while serving a request",
				"request_id", e.RequestID, "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
			g.abort(c, failure.Internal(fmt.Errorf("panic: %v", reason)))
		}
		took := g.now().Sub(start)
		g.metrics.observe(c.Request.Method, c.FullPath(), c.Writer.Status(), took)
		g.record(c, e, took)
		if e.Cut {
			panic(http.ErrAbortHandler) // net/http then closes the connection: nobody shall take half an answer for a whole one.
		}
	}()
	c.Next()
}

const (
	// MaxURI bounds path and query, in bytes.
	MaxURI = 8 << 10
	// MaxHeader bounds the request line and all headers, in bytes. net/http answers 431 beyond it.
	MaxHeader = 32 << 10
)

// Bound refuses addresses that are too long, and gives the body and the answer their time. Handlers that wait on purpose
// extend the latter.
func (g *Guard) Bound(c *gin.Context) {
	if len(c.Request.RequestURI) > MaxURI {
		g.abort(c, failure.TooLarge(nil, "uri_too_long", fmt.Sprintf("The address is longer than %d bytes.", MaxURI)))
		return
	}
	now := time.Now()
	connection := http.NewResponseController(c.Writer)
	// A connection without deadlines, as tests use, is as good as one with them.
	_ = connection.SetWriteDeadline(now.Add(g.timeouts.Write))
	if c.Request.ContentLength != 0 {
		_ = connection.SetReadDeadline(now.Add(g.timeouts.Read))
	}
	c.Next()
}

// ExtendWrite gives the answer to a request that waits on purpose so much more time, from now on.
func (g *Guard) ExtendWrite(c *gin.Context, wait time.Duration) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(wait + g.timeouts.Write))
}

// RequireSync refuses calls until the picture of the cluster is complete: before that, nothing it shows would be true.
func (g *Guard) RequireSync(c *gin.Context) {
	if !g.health.Synced() {
		g.abort(c, failure.Unavailable(nil, "The server has just started and is still reading its state from Kubernetes."))
		return
	}
	c.Next()
}

// Authenticate finds out who is calling. Whoever fails is told nothing but that.
func (g *Guard) Authenticate(c *gin.Context) {
	token, ok := bearer(c.GetHeader("Authorization"))
	address := c.ClientIP()
	credential := auth.Credential(token)
	if wait := g.failures.wait(g.now(), address, credential); wait > 0 {
		g.metrics.refused("address")
		g.abort(c, tooMany(wait, "Too many failed authentications from your address."))
		return
	}
	err := auth.ErrUnauthenticated
	if ok {
		var identity auth.Identity
		identity, err = g.authenticator.Authenticate(c.Request.Context(), token)
		if err == nil {
			exchange.Of(c).Caller = identity
			g.failures.succeeded(address, credential)
			c.Next()
			return
		}
	}
	if !errors.Is(err, auth.ErrUnauthenticated) {
		g.abort(c, unanswered(err))
		return
	}
	g.failures.failed(g.now(), address)
	g.metrics.refused("authentication")
	g.abort(c, unauthorized(err))
}

// unauthorized is the one answer to whoever is not known. It does not tell why.
func unauthorized(cause error) *failure.Error {
	return failure.Unauthenticated(
		cause, "A valid API key is needed, as in 'Authorization: Bearer st_…', or a Kubernetes token where the server takes them.")
}

// LimitRate holds each key, and each service account, to its rate.
func (g *Guard) LimitRate(c *gin.Context) {
	if wait := g.rates.take(g.now(), exchange.Of(c).Caller.Principal()); wait > 0 {
		g.metrics.refused("rate")
		g.abort(c, tooMany(wait, "Too many requests of this caller."))
		return
	}
	c.Next()
}

func tooMany(wait time.Duration, message string) *failure.Error {
	return failure.TooMany("too_many_requests", message, wait)
}

// routeOf is the method and the route of a request, by which the contract knows it. HEAD is a GET.
func routeOf(c *gin.Context) string {
	method := c.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return method + " " + c.FullPath()
}

// bearer returns the token of an Authorization header.
func bearer(header string) (string, bool) {
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	token = strings.TrimLeft(token, " ")
	return token, token != ""
}
