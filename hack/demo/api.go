package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/scrapethis/spider-operator/client"
)

// callTime is how long a call may take.
const callTime = 10 * time.Second

// api calls the REST API.
type api struct {
	*client.Client

	url, key string
}

func newAPI(address, key string) (*api, error) {
	c, err := client.New(address, key, client.WithTimeout(callTime))
	if err != nil {
		return nil, err
	}
	return &api{Client: c, url: address, key: key}, nil
}

// ended reports whether nothing of the job runs any more.
func ended(job *client.Job) bool { return !job.FinishedAt.IsZero() }

// start starts a job of a spider and returns its id.
func (a *api) start(ctx context.Context, spider string) (string, error) {
	started, err := a.StartJob(ctx, client.StartJob{SpiderName: spider}, client.StartJobParams{})
	if err != nil {
		return "", err
	}
	return started.JobID, nil
}

// job returns a job, and the answer's own text.
func (a *api) job(ctx context.Context, id string) (*client.Job, []byte, error) {
	var text json.RawMessage
	if err := a.Do(ctx, http.MethodGet, "/api/v1/jobs/"+url.PathEscape(id), nil, &text); err != nil {
		return nil, nil, err
	}
	job := &client.Job{}
	if err := json.Unmarshal(text, job); err != nil {
		return nil, nil, fmt.Errorf("the job is not what the contract says: %w%s", err, indented(string(text)))
	}
	return job, text, nil
}

// check reports whether the key opens the API.
func (a *api) check(ctx context.Context) error {
	_, err := a.ListJobs(ctx, client.ListJobsParams{Limit: 1})
	return err
}
