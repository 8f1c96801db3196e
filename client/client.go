package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client calls one REST API with one key. It is safe for concurrent use.
type Client struct {
	base     string
	key      string
	http     *http.Client
	timeout  time.Duration
	attempts int
}

// Option configures a Client.
type Option func(*Client)

// WithHTTPClient makes calls with the given http.Client, for instance with another transport, or certificates. It should have
// no Timeout, which would cut off waits and streams: see WithTimeout.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithTimeout bounds how long one attempt of a call may take, not including an intended wait: 30 seconds by default. A stream
// has to begin within it.
func WithTimeout(timeout time.Duration) Option { return func(c *Client) { c.timeout = timeout } }

// WithAttempts bounds how often a call that fails with a transient error is tried: 5 times by default, 1 for no retries.
//
// After 429 every call is retried, since the server has not begun it. After 502, 503, 504, a 500 that says when to try again,
// and a failed connection, only calls that may be repeated are: reads, starts, cancels. If the server does not say how long to
// wait, the wait doubles from a quarter of a second. A call whose context ends before that is given up at once.
func WithAttempts(attempts int) Option { return func(c *Client) { c.attempts = attempts } }

// New makes a client of the REST API at an address, such as https://spiders.example.org, with an API key or a Kubernetes token.
// Without a key only the probes work.
func New(address, key string, options ...Option) (*Client, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("reading the URL: %w", err)
	}
	if (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return nil, fmt.Errorf("%q is no URL of an API: http://… or https://… is wanted", address)
	}
	const standardTimeout, standardAttempts = 30 * time.Second, 5
	c := &Client{
		base: strings.TrimSuffix(parsed.String(), "/"), key: key,
		http: http.DefaultClient, timeout: standardTimeout, attempts: standardAttempts,
	}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// Do makes a call that has no method, such as one of a newer server. path is relative to the address, as in /api/v1/me?x=y. The
// body is sent as JSON unless it is nil; the answer, which has to be a success, is decoded into answer unless that is nil. The
// call is retried as described at WithAttempts, a POST or PATCH only after 429.
func (c *Client) Do(ctx context.Context, method, path string, body, answer any) error {
	_, err := c.call(ctx, call{
		method: method, path: path, body: body,
		harmless: method != http.MethodPost && method != http.MethodPatch,
	}, answer)
	return err
}

// call is a call to make.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	// body is sent as JSON, unless it is nil.
	body any
	// harmless says that the call may be repeated.
	harmless bool
	// wait is how long the server intentionally waits.
	wait time.Duration
}

func (r call) String() string { return r.method + " " + r.path }

// maxAnswer bounds what is read of one answer, in bytes. The largest is a page of a thousand jobs.
const maxAnswer = 64 << 20

// call makes a call, with retries, and decodes its answer. It returns the answer's headers.
func (c *Client) call(ctx context.Context, request call, answer any) (http.Header, error) {
	var header http.Header
	err := c.again(ctx, request, func() error {
		ctx, cancel := context.WithTimeout(ctx, c.timeout+request.wait)
		defer cancel()
		response, err := c.send(ctx, request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("%s: reading the answer: %w", request, err)
		}
		header = response.Header
		if answer == nil {
			return nil
		}
		if err := json.Unmarshal(text, answer); err != nil {
			return &unreadableError{fmt.Errorf("%s: reading the answer %.200q: %w", request, text, err)}
		}
		return nil
	})
	return header, err
}

// unreadableError means that there was an answer, but not one of the contract. Repeating the call does not help.
type unreadableError struct{ error }

func (e *unreadableError) Unwrap() error { return e.error }

// send makes a call once, and returns the answer if it is a success.
func (c *Client) send(ctx context.Context, request call) (*http.Response, error) {
	address := c.base + request.path
	if len(request.query) > 0 {
		address += "?" + request.query.Encode()
	}
	content, err := encode(request.body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request, err)
	}
	asked, err := http.NewRequestWithContext(ctx, request.method, address, content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request, err)
	}
	for name, values := range request.header {
		asked.Header[name] = values
	}
	if request.body != nil {
		asked.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		asked.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.http.Do(asked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", request, err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	return nil, readError(request, response)
}

// encode encodes a body.
func encode(body any) (io.Reader, error) {
	if body == nil {
		return http.NoBody, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // Arguments that are not strings reach the spider as this text.
	if err := encoder.Encode(body); err != nil {
		return nil, fmt.Errorf("encoding the body: %w", err)
	}
	return &text, nil
}

// firstPause is how long to wait before the second attempt, if the server does not say.
const firstPause = 250 * time.Millisecond

// again retries transient failures.
func (c *Client) again(ctx context.Context, request call, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || attempt >= c.attempts || ctx.Err() != nil || !isTransient(request, err) {
			return err
		}
		wait := firstPause << (attempt - 1)
		wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // It only spreads the callers.
		if refused, ok := errors.AsType[*Error](err); ok && refused.RetryAfter > 0 {
			wait = refused.RetryAfter
		}
		if pause(ctx, wait) != nil {
			return err // which says more than that there is no time left
		}
	}
}

// isTransient reports whether a call that has failed may be repeated, and may then succeed.
func isTransient(request call, err error) bool {
	if _, unreadable := errors.AsType[*unreadableError](err); unreadable {
		return false
	}
	refused, answered := errors.AsType[*Error](err)
	if !answered {
		return request.harmless
	}
	switch refused.Status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusInternalServerError:
		return request.harmless && refused.RetryAfter > 0
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return request.harmless
	default:
		return false
	}
}

// pause waits. It returns an error at once if the context ends before the time is over.
func pause(ctx context.Context, wait time.Duration) error {
	if end, ends := ctx.Deadline(); ends && time.Until(end) < wait {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
