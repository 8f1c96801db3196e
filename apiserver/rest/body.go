package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/guard"
)

const (
	// maxBody bounds a request's body, in bytes. The largest useful one holds 32 KiB of arguments, escaped.
	maxBody = 128 << 10
	// maxDiscarded is how much of a body beyond maxBody is read and discarded before it is refused.
	maxDiscarded = 1 << 20
)

// bodiless are the calls that need no body: an empty one is as good as {}.
var bodiless = map[string]bool{"POST /api/v1/jobs/:id/rerun": true, "POST /api/v1/schedules/:id/run": true}

// readBody returns the body of a POST, PUT or PATCH, which has to be exactly one JSON object in UTF-8 of a bounded size; for
// any other request it reads and discards the body, and returns nil. A body without a Content-Type counts as JSON, as it always
// did.
func readBody(g *guard.Guard, c *gin.Context) (body []byte, err error) {
	switch c.Request.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		if err := g.IgnoreBody(c); err != nil {
			return nil, unreadable(err)
		}
		return nil, nil
	}
	if header := c.GetHeader("Content-Type"); header != "" && !isJSON(header) {
		return nil, &failure.Error{
			Kind: failure.KindInvalid, Code: codeUnsupportedMediaType,
			Message: "The body must be JSON, with 'Content-Type: application/json'.",
		}
	}
	defer g.ReadBody(c)()
	rest := http.MaxBytesReader(c.Writer, c.Request.Body, maxBody+maxDiscarded)
	body, err = io.ReadAll(io.LimitReader(rest, maxBody+1))
	switch {
	case len(body) > maxBody:
		// A caller that is still sending when the connection is closed does not see the answer.
		_, _ = io.Copy(io.Discard, rest) // which fails if there is more than that
		return nil, failure.TooLarge(nil, "body_too_large", fmt.Sprintf("The body is larger than %d bytes.", maxBody))
	case err != nil:
		return nil, unreadable(err)
	}
	if bodiless[exchange.Of(c).Route] && len(bytes.TrimSpace(body)) == 0 {
		return []byte("{}"), nil
	}
	if f := checkObject(body); f != nil {
		return nil, f
	}
	return body, nil
}

func unreadable(cause error) *failure.Error {
	f := malformed("The body could not be read: it ended early or came too slowly")
	f.Cause = cause
	return f
}

func isJSON(contentType string) bool {
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	charset, given := parameters["charset"]
	return (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")) &&
		(!given || strings.EqualFold(charset, "utf-8"))
}

// checkObject reports why a body is not one JSON object.
func checkObject(body []byte) *failure.Error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return malformed("The body must be a JSON object; it is empty")
	case !utf8.Valid(body):
		return malformed("The body is not valid UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return malformed(fmt.Sprintf("The body is not valid JSON, at byte %d: %s", syntax.Offset, syntax.Error()))
		}
		return malformed("The body is not valid JSON: " + err.Error())
	}
	if trimmed[0] != '{' {
		return malformed("The body must be a JSON object")
	}
	return nil
}
