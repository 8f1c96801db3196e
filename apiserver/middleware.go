package apiserver

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
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// saneRequestID is the form in which a caller's own request id is kept.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// observe names the request, and when it is done counts it and logs it. It turns a panic into an answer.
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
	if s.leaving.Load() {
		c.Header("Connection", "close") // The next request is then made elsewhere, and not on a connection that is being cut off.
	}

	defer func() {
		if reason := recover(); reason != nil {
			s.log.ErrorContext(c, "panic while serving a request",
				"request_id", e.requestID, "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
			abort(c, failure.Internal(fmt.Errorf("panic: %v", reason)))
		}
		took := s.now().Sub(start)
		s.metrics.observe(c.Request.Method, c.FullPath(), c.Writer.Status(), took)
		s.record(c, e, took)
		if e.cut {
			panic(http.ErrAbortHandler) // net/http then closes the connection: nobody shall take half an answer for a whole one.
		}
	}()
	c.Next()
}

const (
	// maxURI bounds path and query, in bytes.
	maxURI = 8 << 10
	// maxHeader bounds the request line and all headers, in bytes. net/http answers 431 beyond it.
	maxHeader = 32 << 10
	// maxBody bounds a request's body, in bytes. The largest useful one holds 32 KiB of arguments, escaped.
	maxBody = 128 << 10
	// maxDiscarded is how much of a body beyond maxBody is read, and thrown away, before it is refused.
	maxDiscarded = 1 << 20
)

// bound refuses addresses that are too long, and gives the body and the answer their time. Handlers that wait on purpose
// extend the latter.
func (s *Server) bound(c *gin.Context) {
	if len(c.Request.RequestURI) > maxURI {
		abort(c, &failure.Error{
			Kind: failure.KindTooLarge, Code: codeURITooLong, Message: fmt.Sprintf("The address is longer than %d bytes.", maxURI),
		})
		return
	}
	now := time.Now()
	connection := http.NewResponseController(c.Writer)
	// A connection without deadlines, as tests use, is as good as one with them.
	_ = connection.SetWriteDeadline(now.Add(s.timeouts.Write))
	if c.Request.ContentLength != 0 {
		_ = connection.SetReadDeadline(now.Add(s.timeouts.Read))
	}
	c.Next()
}

// extendWrite gives the answer to a request that waits on purpose so much time from now on.
func extendWrite(c *gin.Context, within time.Duration) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(within))
}

// requireSync refuses calls until the picture of the cluster is complete: before that, nothing it shows would be true.
func (s *Server) requireSync(c *gin.Context) {
	if !s.health.Synced() {
		abort(c, failure.Unavailable(nil, "The server has just started and is still reading its state from Kubernetes."))
		return
	}
	c.Next()
}

// authenticate finds out who is calling. Whoever fails is told nothing but that.
func (s *Server) authenticate(c *gin.Context) {
	token, ok := bearer(c.GetHeader("Authorization"))
	address := c.ClientIP()
	credential := auth.Credential(token)
	if wait := s.failures.wait(s.now(), address, credential); wait > 0 {
		s.metrics.refused("address")
		abort(c, tooMany(wait, "Too many failed authentications from your address."))
		return
	}
	err := auth.ErrUnauthenticated
	if ok {
		var identity auth.Identity
		identity, err = s.authenticator.Authenticate(c.Request.Context(), token)
		if err == nil {
			exchangeOf(c).caller = identity
			s.failures.succeeded(address, credential)
			c.Next()
			return
		}
	}
	if !errors.Is(err, auth.ErrUnauthenticated) {
		abort(c, unanswered(err))
		return
	}
	s.failures.failed(s.now(), address)
	s.metrics.refused("authentication")
	abort(c, unauthorized(err))
}

// unauthorized is the one answer to whoever is not known. It does not tell why.
func unauthorized(cause error) *failure.Error {
	return failure.Unauthenticated(
		cause, "A valid API key is needed, as in 'Authorization: Bearer st_…', or a Kubernetes token where the server takes them.")
}

// limitRate holds each key, and each service account, to its rate.
func (s *Server) limitRate(c *gin.Context) {
	if wait := s.rates.take(s.now(), exchangeOf(c).caller.Principal()); wait > 0 {
		s.metrics.refused("rate")
		abort(c, tooMany(wait, "Too many requests of this caller."))
		return
	}
	c.Next()
}

func tooMany(wait time.Duration, message string) *failure.Error {
	return failure.TooMany("too_many_requests", message, wait)
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
