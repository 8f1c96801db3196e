package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// request is a request of a caller that may make it. The contract knows the names in it; handlers parse the values.
type request struct {
	c *gin.Context
	// query has the given parameters, each once unless it may be repeated.
	query parameters
	// body is one JSON object; nil if the call has none.
	body []byte
}

// parameters are those of a query.
type parameters url.Values

// text returns a parameter, or nil if it is absent.
func (p parameters) text(name string) *string {
	values := p[name]
	if len(values) == 0 {
		return nil
	}
	return &values[0]
}

// context returns the request's own context. After the answer, Gin's context belongs to another request, and a client of
// Kubernetes may still use the context that it was given: a connection that it dials outlives the request.
func (r *request) context() context.Context { return r.c.Request.Context() }

func (r *request) exchange() *exchange.Exchange { return exchange.Of(r.context()) }

func (r *request) caller() auth.Identity { return r.exchange().Caller }

// id returns the id in the path.
func (r *request) id() string { return r.c.Param("id") }

// isHead reports whether only headers are requested: such a request does not wait, follow or stream.
func (r *request) isHead() bool { return r.c.Request.Method == http.MethodHead }

// header returns a header that may be given at most once, or nil.
func (r *request) header(name string) (*string, error) {
	values := r.c.Request.Header.Values(name)
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
		return &values[0], nil
	default:
		return nil, failure.Invalid(name, "is given more than once")
	}
}

// prefersEvents reports whether the caller accepts events, and does not prefer text if it also accepts that.
func (r *request) prefersEvents() bool {
	welcome := map[string]float64{}
	for _, list := range r.c.Request.Header.Values("Accept") {
		for _, entry := range strings.Split(list, ",") {
			mediaType, parameters, err := mime.ParseMediaType(entry)
			if err != nil {
				continue
			}
			quality, err := strconv.ParseFloat(cmp.Or(parameters["q"], "1"), 64)
			if err == nil {
				welcome[mediaType] = max(welcome[mediaType], quality)
			}
		}
	}
	events := welcome[contentTypeEvents]
	return events > 0 && events >= welcome["text/plain"]
}

// show answers with a value of the contract.
func (r *request) show(value any) error {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(value); err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	r.c.Data(http.StatusOK, contentTypeJSON, text.Bytes())
	return nil
}

// unchanged answers that the caller's copy is up to date.
func (r *request) unchanged() {
	r.c.Status(http.StatusNotModified)
	r.c.Writer.WriteHeaderNow()
}

const (
	contentTypeJSON   = "application/json"
	contentTypeEvents = "text/event-stream"
)
