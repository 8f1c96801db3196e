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

// decidedTime is how long a body may still take whose request does not need it, or no more: its answer is decided. It is enough for
// one that is on its way; whoever sends none holds the connection for no longer.
const decidedTime = time.Second

// Bound refuses addresses that are too long, and gives body and answer their time: to the answer what it takes, and to a body what is
// left to it once nobody wants it. ReadBody gives it more; what waits on purpose gives more to the answer.
func (g *Guard) Bound(c *gin.Context) {
	now := time.Now()
	connection := http.NewResponseController(c.Writer)
	// A connection without deadlines, as tests use, is as good as one with them.
	_ = connection.SetWriteDeadline(now.Add(g.timeouts.Write))
	if hasBody(c.Request) {
		_ = connection.SetReadDeadline(now.Add(decidedTime))
		// net/http sends most answers only when it has read the body to its end, to read the next request behind it.
		defer func() { _ = connection.SetReadDeadline(time.Now().Add(decidedTime)) }()
	}
	if len(c.Request.RequestURI) > MaxURI {
		g.abort(c, failure.TooLarge(nil, "uri_too_long", fmt.Sprintf("The address is longer than %d bytes.", MaxURI)))
		return
	}
	c.Next()
}

func hasBody(request *http.Request) bool { return request.ContentLength != 0 }

// maxIgnoredBody bounds a body that is read though nobody wants it, in bytes. net/http itself reads as much.
const maxIgnoredBody = 256 << 10

// ReadBody gives a body that the call wants the time that there is for it, until it is read. Only so many are read at once, since they
// take memory: where there are more, those that have been coming for longest are given up, of the namespace that has the most.
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

// IgnoreBody reads a body that the call does not want, so that the end of its connection is noticed while the call waits or streams:
// net/http looks for that only behind the body. It returns an error where none comes in time.
func (g *Guard) IgnoreBody(c *gin.Context) error {
	if !hasBody(c.Request) {
		return nil
	}
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(c.Writer, c.Request.Body, maxIgnoredBody)); err != nil {
		return fmt.Errorf("reading a body that is not wanted: %w", err)
	}
	return nil
}

// ExtendWrite gives the answer to a request that waits on purpose so much more time, from now on.
func (g *Guard) ExtendWrite(c *gin.Context, wait time.Duration) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(wait + g.timeouts.Write))
}

// RequireSync refuses calls until the picture of the caller's namespace is complete: before that, nothing it shows would be true. What
// Kubernetes does not let be read may be anything by now.
func (g *Guard) RequireSync(c *gin.Context) {
	switch state := g.health.Of(exchange.Of(c).Caller.Namespace); {
	case state.Refused:
		g.abort(c, failure.Unavailable(nil, "Kubernetes does not let this server read the state of your namespace at the moment."))
	case !state.Synced:
		g.abort(c, failure.Unavailable(nil, "The server has just started and is still reading its state from Kubernetes."))
	default:
		c.Next()
	}
}

// knowsAllKeys reports whether the keys of all namespaces were read, and may be read still.
func (g *Guard) knowsAllKeys() bool {
	for _, state := range g.health.Scopes() {
		if !state.Synced || state.Refused {
			return false
		}
	}
	return true
}

// Authenticate finds out who is calling. Whoever fails is told nothing but that.
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
		g.abort(c, unanswered(err))
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

// clientOf is the address that a request is counted under.
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

// unauthorized is the one answer to whoever is not known. It does not tell why.
func unauthorized(cause error) *failure.Error {
	return failure.Unauthenticated(
		cause, "A valid API key is needed, as in 'Authorization: Bearer st_…', or a Kubernetes token where the server takes them.")
}

// LimitRate holds each key, each service account, and all callers of a namespace together, to their rates, and tells them in headers
// what is left of these.
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
		g.abort(c, tooMany(allowed.wait, "Too many requests of your namespace."))
	default:
		g.metrics.refused("rate")
		g.abort(c, tooMany(allowed.wait, "Too many requests of this caller."))
	}
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
