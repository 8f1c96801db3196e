package apiserver

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// saneRequestID is the form in which a caller's own request id is kept.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// observe names the request, and when it is done logs and counts it. It turns a panic into an answer.
func (s *Server) observe(c *gin.Context) {
	start := s.now()
	e := &exchange{requestID: c.GetHeader("X-Request-ID")}
	if !saneRequestID.MatchString(e.requestID) {
		e.requestID = uuid.NewString()
	}
	c.Request = c.Request.WithContext(withExchange(c.Request.Context(), e))
	c.Header("X-Request-ID", e.requestID)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-store")

	defer func() {
		if reason := recover(); reason != nil {
			s.log.ErrorContext(c, "panic while serving a request",
				"request_id", e.requestID, "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
			abort(c, internal(fmt.Errorf("panic: %v", reason)))
		}
		s.record(c, e, s.now().Sub(start))
		if e.cut {
			panic(http.ErrAbortHandler) // net/http then closes the connection: nobody shall take half an answer for a whole one.
		}
	}()
	c.Next()
}

// record writes the access log and the audit log and feeds the metrics.
func (s *Server) record(c *gin.Context, e *exchange, took time.Duration) {
	route, status := c.FullPath(), c.Writer.Status()
	s.metrics.observe(c.Request.Method, route, status, took)
	attributes := []any{
		slog.String("request_id", e.requestID),
		slog.String("method", c.Request.Method),
		slog.String("path", c.Request.URL.Path),
		slog.Int("status", status),
		slog.Float64("seconds", took.Seconds()),
		slog.String("address", c.ClientIP()),
	}
	if e.caller.KeyID != "" {
		attributes = append(attributes,
			slog.String("namespace", e.caller.Namespace), slog.String("user", e.caller.User), slog.String("key_id", e.caller.KeyID))
	}
	if e.problem != nil {
		attributes = append(attributes, slog.String("code", e.problem.code))
		if e.problem.cause != nil {
			attributes = append(attributes, slog.String("error", e.problem.cause.Error()))
		}
	}
	if isWrite(c.Request.Method) && e.caller.KeyID != "" {
		s.log.InfoContext(c, "audit", append(attributes, slog.String("object", e.object))...)
		return
	}
	level := slog.LevelInfo
	switch {
	case isProbe(route):
		level = slog.LevelDebug
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	s.log.Log(c, level, "request", attributes...)
}

func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

func isProbe(route string) bool { return route == "/livez" || route == "/readyz" }

const (
	// maxURI bounds path and query, in bytes.
	maxURI = 8 << 10
	// maxHeader bounds the request line and all headers, in bytes. net/http answers 431 beyond it.
	maxHeader = 32 << 10
	// maxBody bounds a request's body, in bytes. The largest useful one holds 32 KiB of arguments, escaped.
	maxBody = 128 << 10
	// maxDiscarded is how much of a body beyond maxBody is read, and thrown away, before it is refused.
	maxDiscarded = 1 << 20
	// readTime is how long a request's body may take, and writeTime how long its answer may.
	readTime, writeTime = 30 * time.Second, 30 * time.Second
)

// bound refuses addresses that are too long, and gives the body and the answer their time. Handlers that wait on purpose
// extend the latter.
func bound(c *gin.Context) {
	if len(c.Request.RequestURI) > maxURI {
		abort(c, &problem{
			status:  http.StatusRequestURITooLong,
			code:    "uri_too_long",
			message: fmt.Sprintf("The address is longer than %d bytes.", maxURI),
		})
		return
	}
	now := time.Now()
	connection := http.NewResponseController(c.Writer)
	// A connection without deadlines, as tests use, is as good as one with them.
	_ = connection.SetWriteDeadline(now.Add(writeTime))
	if c.Request.ContentLength != 0 {
		_ = connection.SetReadDeadline(now.Add(readTime))
	}
	c.Next()
}

// extendWrite gives the answer to a request that waits on purpose its time again, from the end of the wait on.
func extendWrite(c *gin.Context, wait time.Duration) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(wait + writeTime))
}

// requireSync refuses calls until the picture of the cluster is complete: before that, nothing it shows would be true.
func (s *Server) requireSync(c *gin.Context) {
	if !s.health.Synced() {
		abort(c, unavailable(nil, "The server has just started and is still reading its state from Kubernetes."))
		return
	}
	c.Next()
}

// authenticate finds out who is calling. Whoever fails is told nothing but that.
func (s *Server) authenticate(c *gin.Context) {
	token, ok := bearer(c.GetHeader("Authorization"))
	address := c.ClientIP()
	if wait := s.failures.wait(s.now(), address, keyIDOf(token)); wait > 0 {
		s.metrics.refused("address")
		abort(c, tooMany(wait, "Too many failed authentications from your address."))
		return
	}
	if ok {
		identity, err := s.authenticator.Authenticate(c, token)
		if err == nil {
			exchangeOf(c).caller = identity
			s.failures.succeeded(address, identity.KeyID)
			c.Next()
			return
		}
		exchangeOf(c).problem = asProblem(err)
	}
	s.failures.failed(s.now(), address)
	s.metrics.refused("authentication")
	abort(c, &problem{
		status:  http.StatusUnauthorized,
		code:    "unauthorized",
		message: "A valid API key is needed, as in 'Authorization: Bearer st_…'.",
	})
}

// limitRate holds each key to its rate.
func (s *Server) limitRate(c *gin.Context) {
	if wait := s.rates.take(s.now(), exchangeOf(c).caller.KeyID); wait > 0 {
		s.metrics.refused("rate")
		abort(c, tooMany(wait, "Too many requests with this key."))
		return
	}
	c.Next()
}

func tooMany(wait time.Duration, message string) *problem {
	return &problem{status: http.StatusTooManyRequests, code: "too_many_requests", message: message, retryAfter: wait}
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
