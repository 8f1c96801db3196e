package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/contract"
)

// problem is an error as callers see it. Handlers return it; everything else they return becomes an internal error.
type problem struct {
	status  int
	code    string
	message string
	// field is what of the request is to blame, where it is one thing: a field of the body, a parameter or a header.
	field string
	// retryAfter is after how long to try again; 0 says nothing about it.
	retryAfter time.Duration
	// cause is for the log only.
	cause error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.code + ": " + p.cause.Error()
	}
	return p.code + ": " + p.message
}

func (p *problem) Unwrap() error { return p.cause }

// invalid is a 400 about one field: of the body, the query or the headers.
func invalid(field, format string, args ...any) *problem {
	return &problem{
		status:  http.StatusBadRequest,
		code:    "invalid_request",
		message: field + ": " + fmt.Sprintf(format, args...) + ".",
		field:   field,
	}
}

func malformed(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, code: "malformed_body", message: fmt.Sprintf(format, args...) + "."}
}

func notFound(what string) *problem {
	return &problem{status: http.StatusNotFound, code: "not_found", message: what + " does not exist."}
}

func methodNotAllowed(c *gin.Context) *problem {
	return &problem{
		status:  http.StatusMethodNotAllowed,
		code:    "method_not_allowed",
		message: "This address does not know the method " + c.Request.Method + ".",
	}
}

func conflict(code, message string) *problem {
	return &problem{status: http.StatusConflict, code: code, message: message}
}

func unavailable(cause error, message string) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, code: "unavailable", message: message, retryAfter: retryUnavailable, cause: cause,
	}
}

// retryUnavailable is after how long to try again what needs Kubernetes when that cannot be reached.
const retryUnavailable = 2 * time.Second

func internal(cause error) *problem {
	return &problem{
		status:  http.StatusInternalServerError,
		code:    "internal",
		message: "The server failed. Its log tells more under this request id.",
		cause:   cause,
	}
}

// asProblem returns the problem that an error is or wraps, else an internal error.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return internal(err)
}

// abort answers with a problem and ends the request.
func abort(c *gin.Context, p *problem) {
	exchange := exchangeOf(c)
	exchange.problem = p
	if c.Writer.Written() {
		exchange.cut = true
		c.Abort()
		return
	}
	if p.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(wholeSeconds(p.retryAfter)))
	}
	if p.status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", "Bearer")
	}
	c.AbortWithStatusJSON(p.status, contract.Error{
		Error: p.message, Code: p.code, Field: optional(&p.field), RequestID: exchange.requestID,
	})
}

// wholeSeconds rounds up, so that whoever waits that long has waited long enough; at least 1.
func wholeSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
