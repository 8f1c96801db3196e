package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// api calls the REST API.
type api struct {
	url, key string
	client   http.Client
}

func newAPI(url, key string) *api {
	return &api{url: url, key: key, client: http.Client{Timeout: 10 * time.Second}}
}

// statusError is an answer with a status that was not hoped for.
type statusError struct {
	call string
	code int
	body string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s%s", e.call, e.code, http.StatusText(e.code), indented(e.body))
}

// job is what the demo reads of a job.
type job struct {
	ID         string `json:"id"`
	Status     string `json:"status"`
	Items      int    `json:"items_scraped"`
	FinishedAt string `json:"finished_at"`
	Reason     string `json:"reason"`
	Message    string `json:"message"`
}

// ended reports whether nothing of the job runs any more.
func (j job) ended() bool { return j.Status == "finished" || j.Status == "error" || j.FinishedAt != "" }

// start starts a job of a spider and returns its id.
func (a *api) start(ctx context.Context, spider string) (string, error) {
	var started struct {
		ID string `json:"jobId"`
	}
	_, err := a.call(ctx, http.MethodPost, "/api/v1/jobs", map[string]string{"spider_name": spider}, &started)
	return started.ID, err
}

// job returns a job, and the answer's own text.
func (a *api) job(ctx context.Context, id string) (job, []byte, error) {
	var j job
	text, err := a.call(ctx, http.MethodGet, "/api/v1/jobs/"+id, nil, &j)
	return j, text, err
}

// check reports whether the key opens the API.
func (a *api) check(ctx context.Context) error {
	_, err := a.call(ctx, http.MethodGet, "/api/v1/jobs?limit=1", nil, new([]job))
	return err
}

func (a *api) call(ctx context.Context, method, path string, body, answer any) ([]byte, error) {
	call := method + " " + path
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", call, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.url+path, content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	request.Header.Set("Authorization", "Bearer "+a.key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, &statusError{call: call, code: response.StatusCode, body: string(text)}
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return nil, fmt.Errorf("%s: the answer is not what the contract says: %w%s", call, err, indented(string(text)))
	}
	return text, nil
}
