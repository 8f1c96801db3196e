package rest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// statuses are the HTTP statuses of failures, by kind.
var statuses = map[failure.Kind]int{
	failure.KindInternal:           http.StatusInternalServerError,
	failure.KindInvalid:            http.StatusBadRequest,
	failure.KindUnauthenticated:    http.StatusUnauthorized,
	failure.KindDenied:             http.StatusForbidden,
	failure.KindNotFound:           http.StatusNotFound,
	failure.KindConflict:           http.StatusConflict,
	failure.KindGone:               http.StatusGone,
	failure.KindPreconditionFailed: http.StatusPreconditionFailed,
	failure.KindTooLarge:           http.StatusRequestEntityTooLarge,
	failure.KindTooMany:            http.StatusTooManyRequests,
	failure.KindUnavailable:        http.StatusServiceUnavailable,
}

// The codes of errors that only exist in HTTP, which has statuses for them.
const (
	codeMethodNotAllowed     = "method_not_allowed"
	codeURITooLong           = "uri_too_long"
	codeUnsupportedMediaType = "unsupported_media_type"
)

// statusOf returns the HTTP status of a failure.
func statusOf(f *failure.Error) int {
	switch f.Code {
	case codeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case codeURITooLong:
		return http.StatusRequestURITooLong
	case codeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	}
	return statuses[f.Kind]
}

func malformed(message string) *failure.Error {
	return &failure.Error{Kind: failure.KindInvalid, Code: "malformed_body", Message: message + "."}
}

func methodNotAllowed(c *gin.Context) *failure.Error {
	return &failure.Error{
		Kind: failure.KindInvalid, Code: codeMethodNotAllowed,
		Message: "This address does not support the method " + c.Request.Method + ".",
	}
}

// Abort answers with a failure and ends the request.
func Abort(c *gin.Context, f *failure.Error) {
	e := exchange.Of(c)
	e.Failure = f
	if c.Writer.Written() {
		e.Cut = true
		c.Abort()
		return
	}
	if f.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(wholeSeconds(f.RetryAfter)))
	}
	if f.Kind == failure.KindUnauthenticated {
		c.Header("WWW-Authenticate", "Bearer")
	}
	c.AbortWithStatusJSON(statusOf(f), contract.Error{
		Error: f.Message, Code: f.Code, Field: optional(&f.Field), RequestID: e.RequestID,
	})
}

// wholeSeconds rounds up, so that a caller that waits that long has waited long enough; at least 1.
func wholeSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
