package guard

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
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

// saneRequestID is the form that a caller's own request id must have to be kept.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// Observe names the request, counts and logs it when it is done, and turns a panic into an answer.
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
		c.Header("Connection", "close") // The next request then uses another connection, not one that is being closed.
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
			panic(http.ErrAbortHandler) // net/http then closes the connection: half an answer must not look complete.
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

// decidedTime bounds how long a body may still take if its request does not need it, or no longer: the answer is decided. It is
// enough for a body that is on its way, and limits how long a caller that sends none holds the connection.
const decidedTime = time.Second

// Bound refuses addresses that are too long, and bounds the time of body and answer: the answer gets its full time, a body only
// a moment unless the call wants it. ReadBody extends that; an intended wait extends the time of the answer.
func (g *Guard) Bound(c *gin.Context) {
	now := time.Now()
	connection := http.NewResponseController(c.Writer)
	// A connection without deadlines, as in tests, works as well.
	_ = connection.SetWriteDeadline(now.Add(g.timeouts.Write))
	if hasBody(c.Request) {
		_ = connection.SetReadDeadline(now.Add(decidedTime))
		// net/http sends most answers only after it has read the body to its end, to find the next request behind it.
		defer func() { _ = connection.SetReadDeadline(time.Now().Add(decidedTime)) }()
	}
	if len(c.Request.RequestURI) > MaxURI {
		g.abort(c, failure.TooLarge(nil, "uri_too_long", fmt.Sprintf("The address is longer than %d bytes.", MaxURI)))
		return
	}
	c.Next()
}

func hasBody(request *http.Request) bool { return request.ContentLength != 0 }

// maxIgnoredBody bounds a body that is read although the call does not want it, in bytes. net/http itself reads as much.
const maxIgnoredBody = 256 << 10

// ReadBody gives a body that the call wants its full time, until it is read. The number of bodies read at once is bounded,
// since they take memory: if there are more, the oldest are given up, of the namespace that has the most.
func (g *Guard) ReadBody(c *gin.Context) (read func()) {
	connection := http.NewResponseController(c.Writer)
	_ = connection.SetReadDeadline(time.Now().Add(g.timeouts.Read))
	return g.bodies.push(exchange.Of(c).Caller.Namespace, func() {
		g.metrics.refused("bodies")
		_ = connection.SetReadDeadline(longAgo)
	})
}

// longAgo is a deadline that is over.
var longAgo = time.Unix(1, 0)

// IgnoreBody reads a body that the call does not want, so that the end of its connection is noticed while the call waits or
// streams: net/http looks for that only behind the body. It returns an error if no end comes in time.
func (g *Guard) IgnoreBody(c *gin.Context) error {
	if !hasBody(c.Request) {
		return nil
	}
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(c.Writer, c.Request.Body, maxIgnoredBody)); err != nil {
		return fmt.Errorf("reading a body that is not wanted: %w", err)
	}
	return nil
}

// ExtendWrite extends the time of the answer to an intended wait, from now on.
func (g *Guard) ExtendWrite(c *gin.Context, wait time.Duration) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(wait + g.timeouts.Write))
}

// RequireSync refuses calls until the view of the caller's namespace is complete: before that, nothing it shows would be
// reliable. Of a namespace that Kubernetes does not let be read, nothing is known.
func (g *Guard) RequireSync(c *gin.Context) {
	switch state := g.health.Of(exchange.Of(c).Caller.Namespace); {
	case state.Refused:
		g.abort(c, failure.Unavailable(nil, "Kubernetes currently does not allow this server to read your namespace."))
	case !state.Synced:
		g.abort(c, failure.Unavailable(nil, "The server has just started and is still reading its state from Kubernetes."))
	default:
		c.Next()
	}
}

// knowsAllKeys reports whether the keys of all namespaces were read, and can still be read.
func (g *Guard) knowsAllKeys() bool {
	for _, state := range g.health.Scopes() {
		if !state.Synced || state.Refused {
			return false
		}
	}
	return true
}

// Authenticate finds out who is calling. A failed caller gets a bare 401: no reason.
func (g *Guard) Authenticate(c *gin.Context) {
	token, ok := bearer(c.GetHeader("Authorization"))
	credential := auth.CredentialOf(token)
	if credential.Form != auth.FormKey {
		if wait := g.failures.before(g.now(), clientOf(c), credential); wait > 0 {
			g.metrics.refused("address")
			g.abort(c, tooManyFailures(wait))
			return
		}
	}
	err := auth.ErrUnauthenticated
	if ok {
		var identity auth.Identity
		identity, err = g.authenticator.Authenticate(c.Request.Context(), token)
		if err == nil {
			exchange.Of(c).Caller = identity
			if credential.Form == auth.FormToken {
				g.failures.succeeded(clientOf(c), credential)
			}
			g.connections.accepted(c.Request.Context(), identity.Namespace)
			c.Next()
			return
		}
	}
	if !errors.Is(err, auth.ErrUnauthenticated) {
		g.abort(c, authUnavailable(err))
		return
	}
	if wait := g.failures.failed(g.now(), clientOf(c), credential.Form); wait > 0 {
		g.metrics.refused("address")
		g.abort(c, tooManyFailures(wait))
		return
	}
	if errors.Is(err, auth.ErrUnknownKey) && !g.knowsAllKeys() {
		g.abort(c, failure.Unavailable(err, "This key cannot be checked: the server has not read all keys from Kubernetes yet."))
		return
	}
	g.metrics.refused("authentication")
	g.abort(c, unauthorized(err))
}

// clientOf returns the address under which a request is counted.
func clientOf(c *gin.Context) string {
	address, err := netip.ParseAddr(c.ClientIP())
	if err != nil {
		return c.ClientIP()
	}
	return network(address)
}

func tooManyFailures(wait time.Duration) *failure.Error {
	return tooMany(wait, "Too many failed authentications from your address.")
}

// unauthorized is the only answer to unknown callers. It has no reason.
func unauthorized(cause error) *failure.Error {
	return failure.Unauthenticated(
		cause,
		"Requires authentication: send an API key, as in 'Authorization: Bearer st_…', "+
			"or a Kubernetes token if the server accepts them.",
	)
}

// LimitRate limits each key, each service account, and all callers of a namespace together, to their rates, and shows in
// headers what is left.
func (g *Guard) LimitRate(c *gin.Context) {
	caller := exchange.Of(c).Caller
	allowed := g.rates.take(g.now(), caller.Principal(), caller.Namespace)
	header := c.Writer.Header()
	header["Ratelimit-Policy"] = g.rates.policy
	header["Ratelimit"] = []string{allowed.left}
	switch {
	case allowed.wait <= 0:
		c.Next()
	case allowed.of == g.rates.ofNamespace.name:
		g.metrics.refused("namespace")
		g.abort(c, tooMany(allowed.wait, "Too many requests from your namespace."))
	default:
		g.metrics.refused("rate")
		g.abort(c, tooMany(allowed.wait, "Too many requests from this caller."))
	}
}

func tooMany(wait time.Duration, message string) *failure.Error {
	return failure.TooMany("too_many_requests", message, wait)
}

// routeOf returns the method and the route of a request, as in the contract. HEAD counts as GET.
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
