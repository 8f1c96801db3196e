package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is an answer that is not a success, in the server's words.
type Error struct {
	// Status is the answer's HTTP status.
	Status int
	// Code is what is wrong, in one machine-readable word: one of the constants, or a newer one. It is empty if a proxy has
	// answered.
	Code ErrorCode
	// Message is the same in a human-readable sentence.
	Message string
	// Field is the field of the body, the parameter or the header at fault; empty if there is none.
	Field string
	// RequestID identifies the request in the server's log.
	RequestID string
	// RetryAfter is after how long to try again; 0 if the server does not say.
	RetryAfter time.Duration

	call string
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.call, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	var more []string
	for _, part := range []struct{ name, value string }{{"code", e.Code}, {"request", e.RequestID}} {
		if part.value != "" {
			more = append(more, part.name+" "+part.value)
		}
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text
}

// HasCode reports whether an error is an answer with this code, as in HasCode(err, CodeJobEnded).
func HasCode(err error, code ErrorCode) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Code == code
}

// maxErrorText bounds what is kept of an answer that does not come from the server, such as a proxy's page.
const maxErrorText = 1 << 10

// readError parses an answer that is not a success.
func readError(request call, response *http.Response) *Error {
	failure := &Error{
		Status: response.StatusCode, RequestID: response.Header.Get("X-Request-ID"),
		RetryAfter: retryAfter(response.Header.Get("Retry-After")), call: request.String(),
	}
	const enough = 64 << 10
	text, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		failure.Message = "reading the answer: " + err.Error()
		return failure
	}
	var body struct{ Error, Code, Field string }
	if json.Unmarshal(text, &body) != nil || body.Code == "" {
		failure.Message = strings.ToValidUTF8(strings.TrimSpace(string(text[:min(len(text), maxErrorText)])), "")
		return failure
	}
	failure.Message, failure.Code, failure.Field = body.Error, body.Code, body.Field
	return failure
}

// retryAfter parses a Retry-After header, of either form.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if moment, err := http.ParseTime(header); err == nil {
		return max(time.Until(moment), 0)
	}
	return 0
}
