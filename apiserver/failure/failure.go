// Package failure has the errors that callers see. An error has a kind, which any transport can translate for its callers: the
// package knows nothing of HTTP.
package failure

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind is the kind of a failure.
type Kind int

const (
	// KindInternal is a fault of the server, and the kind of every error that has no other.
	KindInternal Kind = iota
	// KindInvalid is a request that can never succeed as it is.
	KindInvalid
	// KindUnauthenticated is an unknown caller.
	KindUnauthenticated
	// KindDenied is something that the caller, or anybody, may not do; only an administrator of the namespace or the cluster can
	// change that.
	KindDenied
	// KindNotFound is something that does not exist, or not for this caller.
	KindNotFound
	// KindConflict is something that the current state does not allow.
	KindConflict
	// KindGone is something that existed and will not come back.
	KindGone
	// KindPreconditionFailed is a condition of the caller that does not hold.
	KindPreconditionFailed
	// KindTooLarge is more than is taken.
	KindTooLarge
	// KindTooMany is one more than a limit allows.
	KindTooMany
	// KindUnavailable is what can be met later.
	KindUnavailable
)

// Error is an error as callers see it.
type Error struct {
	Kind Kind
	// Code is machine-readable, and Message a sentence for users.
	Code, Message string
	// Field is the part of the request at fault, if it is one: a field of the body, a parameter or a header.
	Field string
	// RetryAfter is after how long to try again; 0 for no advice.
	RetryAfter time.Duration
	// Cause is for the log only.
	Cause error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Of returns the Error that an error is or wraps, and otherwise an internal one with the error as its cause.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Internal(err)
}

// Is reports whether an error is, or wraps, an Error of the kind.
func Is(err error, kind Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == kind
}

// Invalid refuses one field of a request: of the body, the query or the headers.
func Invalid(field, format string, args ...any) *Error {
	return &Error{
		Kind: KindInvalid, Code: "invalid_request", Message: field + ": " + fmt.Sprintf(format, args...) + ".", Field: field,
	}
}

// Unauthenticated is the only answer to unknown callers. Its message has no reason.
func Unauthenticated(cause error, message string) *Error {
	return &Error{Kind: KindUnauthenticated, Code: "unauthorized", Message: message, Cause: cause}
}

// Denied refuses what only an administrator of the namespace or the cluster can allow. The cause may be nil.
func Denied(cause error, code, message string) *Error {
	return &Error{Kind: KindDenied, Code: code, Message: message, Cause: cause}
}

// NotFound says that something, such as "This job", does not exist.
func NotFound(what string) *Error {
	return &Error{Kind: KindNotFound, Code: "not_found", Message: what + " does not exist."}
}

// Conflict refuses what the present state does not allow.
func Conflict(code, message string) *Error {
	return &Error{Kind: KindConflict, Code: code, Message: message}
}

// Gone says that something existed and will not come back.
func Gone(code, message string) *Error {
	return &Error{Kind: KindGone, Code: code, Message: message}
}

// PreconditionFailed refuses to change something, such as "This job", that has changed since the caller read it.
func PreconditionFailed(what string) *Error {
	return &Error{
		Kind: KindPreconditionFailed, Code: "precondition_failed", Message: what + " has changed since you read it. Read it again.",
	}
}

// TooLarge refuses what exceeds a size limit. The cause may be nil.
func TooLarge(cause error, code, message string) *Error {
	return &Error{Kind: KindTooLarge, Code: code, Message: message, Cause: cause}
}

// TooMany refuses what exceeds a number or a rate, and says after how long there may be room.
func TooMany(code, message string, retryAfter time.Duration) *Error {
	return &Error{Kind: KindTooMany, Code: code, Message: message, RetryAfter: retryAfter}
}

// Unavailable refuses what needs Kubernetes, or something else that will come back. The cause may be nil.
func Unavailable(cause error, message string) *Error {
	return &Error{Kind: KindUnavailable, Code: "unavailable", Message: message, RetryAfter: RetryUnavailable, Cause: cause}
}

// RetryUnavailable is after how long to try again while Kubernetes cannot be reached.
const RetryUnavailable = 2 * time.Second

// Internal is a fault of the server itself.
func Internal(cause error) *Error {
	return &Error{
		Kind:    KindInternal,
		Code:    "internal",
		Message: "Internal server error. The server's log has details under this request id.",
		Cause:   cause,
	}
}

// Name makes a name from a request safe for an error message.
func Name(name string) string {
	const most = 64
	if runes := []rune(name); len(runes) > most {
		name = string(runes[:most]) + "…"
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) || r == '"' }) {
		return strconv.Quote(name)
	}
	return name
}

// FieldName returns what callers call a field of the custom resources: max_items for maxItems, and a.max_items for
// a.maxItems.
func FieldName(field string) string {
	var name strings.Builder
	for _, r := range field {
		if unicode.IsUpper(r) {
			name.WriteByte('_')
			r = unicode.ToLower(r)
		}
		name.WriteRune(r)
	}
	return name.String()
}
