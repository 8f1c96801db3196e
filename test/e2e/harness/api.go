package harness

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	rest "github.com/scrapethis/spider-operator/client"
)

// API calls the REST API as one user. It checks every response against the contract.
type API struct {
	// User is the user that the calls are made as.
	User string
	// Key is the API key.
	Key string
	// URL is the address of the REST API, without a slash at its end.
	URL string

	t         testing.TB
	contract  *contract         // nil where answers are not held to it
	transport http.RoundTripper // nil for ownConnections
}

// In returns the same API for another test, such as a subtest.
func (a *API) In(t testing.TB) *API {
	other := *a
	other.t = t
	return &other
}

// KeepingConnections returns the same API for a caller that keeps its connections, as most callers do.
func (a *API) KeepingConnections() *API {
	other := *a
	transport := &http.Transport{}
	other.transport = transport
	a.t.Cleanup(transport.CloseIdleConnections)
	return &other
}

// OfAnyVersion returns the same API for calls that another version of the server, with an unknown contract, may answer.
func (a *API) OfAnyVersion() *API {
	other := *a
	other.contract = nil
	return &other
}

// Response is a response, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Into decodes the body.
func (r *Response) Into(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, into); err != nil {
		t.Fatalf("decode %s: %v", r.Body, err)
	}
}

// Job is a job as the REST API shows it.
type Job struct{ rest.Job }

// Items is the number of items, which every job has.
func (j Job) Items() int64 { return j.ItemsScraped }

// Problem is the body of an error.
type Problem struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
}

// Request is one call. Only Method and Path are needed.
type Request struct {
	Method, Path string
	// Body is sent as it is, with the Content-Type of JSON unless Header has another.
	Body string
	// Header replaces headers that would be sent; an empty value removes one.
	Header map[string]string
}

// callTime bounds a call, including what it waits for.
const callTime = 2 * time.Minute

// ownConnections opens a connection for each call, so that no call reaches a server that has gone through an old connection.
var ownConnections = &http.Transport{DisableKeepAlives: true}

// checking checks every answer against the contract, except streams, which are read as they come.
type checking struct{ api *API }

// RoundTrip implements http.RoundTripper.
func (c checking) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := cmp.Or[http.RoundTripper](c.api.transport, ownConnections).RoundTrip(request)
	if err != nil || c.api.contract == nil || isStream(request) {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	response := &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}
	if err := c.api.contract.check(request, response); err != nil {
		c.api.t.Errorf("%s %s answered %d %s, which the contract does not allow: %v",
			request.Method, request.URL.RequestURI(), response.Status, body, err)
	}
	return answer, nil
}

// isStream reports whether the answer to a request is a stream.
func isStream(request *http.Request) bool {
	return strings.HasSuffix(request.URL.Path, "/events") || request.URL.Query().Get("follow") == "true"
}

// Client returns a Go client of the REST API. It retries nothing: a test has to see each answer.
func (a *API) Client() *rest.Client {
	a.t.Helper()
	c, err := rest.New(a.URL, a.Key, rest.WithHTTPClient(&http.Client{Transport: checking{a}}),
		rest.WithTimeout(callTime), rest.WithAttempts(1))
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// Try makes a call once. It returns an error if there was no answer; an answer that does not match the contract fails the test.
func (a *API) Try(ctx context.Context, call Request) (*Response, error) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, call.Method, a.URL+call.Path, strings.NewReader(call.Body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+a.Key)
	if call.Body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range call.Header {
		request.Header.Del(name)
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	answer, err := (&http.Client{Transport: checking{a}}).Do(request)
	if err != nil {
		return nil, err // it names the method and the URL
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", call.Method, call.Path, err)
	}
	return &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}, nil
}

// Do makes a call that has to be answered.
func (a *API) Do(call Request) *Response {
	a.t.Helper()
	response, err := a.Try(a.t.Context(), call)
	if err != nil {
		a.t.Fatal(err)
	}
	return response
}

// patience is how long the REST API may take to notice a change in Kubernetes.
const patience = 10 * time.Second

// Want makes a call that has to be answered with the status, and decodes the answer unless into is nil.
func (a *API) Want(status int, call Request, into any) {
	a.t.Helper()
	response := a.Do(call)
	if response.Status != status {
		a.t.Fatalf("%s %s %.500s answered %d %s, not %d", call.Method, call.Path, call.Body, response.Status, response.Body, status)
	}
	if into != nil {
		response.Into(a.t, into)
	}
}

// Refused makes a call that has to be refused with the status, and returns the error.
func (a *API) Refused(status int, call Request) Problem {
	a.t.Helper()
	var problem Problem
	a.Want(status, call, &problem)
	return problem
}

// Start starts a job and returns its id. Arguments may be nil.
func (a *API) Start(spider string, arguments map[string]any) string {
	a.t.Helper()
	a.AwaitSpider(spider)
	started, err := a.Client().StartJob(
		a.t.Context(), rest.StartJob{SpiderName: spider, Arguments: arguments}, rest.StartJobParams{},
	)
	if err != nil {
		a.t.Fatal(err)
	}
	if started.Status != rest.JobStatusPending {
		a.t.Errorf("a job that was just started is %s", started.Status)
	}
	return started.JobID
}

// AwaitSpider waits until the REST API knows a spider. It requests a job that it cannot get, so that none is started.
func (a *API) AwaitSpider(name string) {
	a.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		answer := a.Do(Request{
			Method: http.MethodPost, Path: "/api/v1/jobs", Body: fmt.Sprintf(`{"spider_name": %q, "settings": {"NOT_ALLOWED": 1}}`, name),
		})
		if answer.Status != http.StatusNotFound {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("the API does not hear of Spider %s: %s", name, answer.Body)
		}
		time.Sleep(lookAgain)
	}
}

// Get reads a job.
func (a *API) Get(id string) Job {
	a.t.Helper()
	return a.read(id, 0)
}

func (a *API) read(id string, wait time.Duration) Job {
	a.t.Helper()
	job, err := a.Client().GetJob(a.t.Context(), id, rest.GetJobParams{Wait: wait})
	if err != nil {
		a.t.Fatal(err)
	}
	return Job{*job}
}

// List reads the jobs that a query selects.
func (a *API) List(query string) []Job {
	a.t.Helper()
	var jobs []Job
	a.Want(http.StatusOK, Request{Method: http.MethodGet, Path: "/api/v1/jobs" + query}, &jobs)
	return jobs
}

// Cancel cancels a job.
func (a *API) Cancel(id string) {
	a.t.Helper()
	if err := a.Client().CancelJob(a.t.Context(), id, rest.CancelJobParams{}); err != nil {
		a.t.Fatal(err)
	}
}

// Wait waits, by the REST API's own means, until a job has its finished_at.
func (a *API) Wait(id string, within time.Duration) Job {
	a.t.Helper()
	deadline := time.Now().Add(within)
	for {
		job := a.read(id, 30*time.Second)
		if !job.FinishedAt.IsZero() {
			return job
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("job %s is %s (%s: %s) after %s, and not finished", id, job.Status, job.Reason, job.Message, within)
		}
	}
}

// Await waits until the REST API shows a job as wanted: it learns of changes through a watch.
func (a *API) Await(id, what string, within time.Duration, ok func(Job) bool) Job {
	a.t.Helper()
	deadline := time.Now().Add(within)
	for {
		job := a.Get(id)
		if ok(job) {
			return job
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("after %s job %s is not as wanted (%s): %s, %s: %s", within, id, what, job.Status, job.Reason, job.Message)
		}
		time.Sleep(lookAgain)
	}
}

// AwaitGone waits until the REST API no longer knows the job.
func (a *API) AwaitGone(id string, within time.Duration) {
	a.t.Helper()
	deadline := time.Now().Add(within)
	for {
		response := a.Do(Request{Method: http.MethodGet, Path: "/api/v1/jobs/" + id})
		if response.Status == http.StatusNotFound {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("job %s is still there after %s: %s", id, within, response.Body)
		}
		time.Sleep(lookAgain)
	}
}

// operator runs the operator's binary and returns what it printed to standard output.
func (c *Cluster) operator(ctx context.Context, arguments ...string) (string, error) {
	return run(exec.CommandContext(ctx, c.Operator, arguments...))
}
