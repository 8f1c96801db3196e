package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

const (
	jobsPath      = "/api/v1/jobs"
	spidersPath   = "/api/v1/spiders"
	schedulesPath = "/api/v1/schedules"
)

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	// Next is the Cursor of the next page; empty on the last page.
	Next string
}

// ListJobs returns a page of the caller's jobs, newest first.
func (c *Client) ListJobs(ctx context.Context, params ListJobsParams) (Page[Job], error) {
	query, _ := split(params)
	return list[Job](ctx, c, jobsPath, query)
}

// GetJobsSummary counts the caller's jobs, by status and by spider.
func (c *Client) GetJobsSummary(ctx context.Context) (*JobsSummary, error) {
	summary := &JobsSummary{}
	_, err := c.call(ctx, call{method: http.MethodGet, path: jobsPath + "/summary", harmless: true}, summary)
	return orNil(summary, err)
}

// GetQueue returns the limits of the caller's namespace, and how much of them is in use.
func (c *Client) GetQueue(ctx context.Context) (*Queue, error) {
	queue := &Queue{}
	_, err := c.call(ctx, call{method: http.MethodGet, path: "/api/v1/queue", harmless: true}, queue)
	return orNil(queue, err)
}

// AllJobs iterates over all of the caller's jobs that match the parameters, page by page. It ends after an error.
func (c *Client) AllJobs(ctx context.Context, params ListJobsParams) iter.Seq2[Job, error] {
	return eachPage(&params.Cursor, func() (Page[Job], error) { return c.ListJobs(ctx, params) })
}

// list reads a page.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) (Page[T], error) {
	var page Page[T]
	header, err := c.call(ctx, call{method: http.MethodGet, path: path, query: query, harmless: true}, &page.Items)
	page.Next = nextCursor(header)
	return page, err
}

// eachPage iterates over the content of the pages, from the one at the cursor on.
func eachPage[T any](cursor *string, read func() (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for first := *cursor; ; {
			page, err := read()
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if *cursor = page.Next; page.Next == "" {
				*cursor = first // for the next iteration
				return
			}
		}
	}
}

// StartJob starts a job. It adds an IdempotencyKey if the parameters have none, so that a start whose answer is lost is not
// executed twice.
func (c *Client) StartJob(ctx context.Context, body StartJob, params StartJobParams) (*StartedJob, error) {
	if params.IdempotencyKey == "" {
		params.IdempotencyKey = rand.Text()
	}
	_, header := split(params)
	started := &StartedJob{}
	_, err := c.call(ctx, call{method: http.MethodPost, path: jobsPath, header: header, body: body, harmless: true}, started)
	return orNil(started, err)
}

// GetJob returns a job; with Wait, once it has ended or the time is over.
func (c *Client) GetJob(ctx context.Context, id string, params GetJobParams) (*Job, error) {
	query, header := split(params)
	job := &Job{}
	_, err := c.call(ctx, call{
		method: http.MethodGet, path: jobsPath + "/" + url.PathEscape(id), query: query, header: header,
		harmless: true, wait: params.Wait,
	}, job)
	return orNil(job, err)
}

const (
	// waitAtOnce is how long one call waits for a job's end. Proxies rarely allow more.
	waitAtOnce = time.Minute
	// askAgain is how long to wait if the server did not wait: it is about to stop, and another will answer.
	askAgain = time.Second
)

// WaitForEnd returns a job once nothing of it runs any more, in whatever Status. The context bounds the wait; the job continues
// when it ends.
func (c *Client) WaitForEnd(ctx context.Context, id string) (*Job, error) {
	for {
		asked := time.Now()
		job, err := c.GetJob(ctx, id, GetJobParams{Wait: waitAtOnce})
		switch {
		case err != nil && ctx.Err() == nil:
			return nil, err
		case err == nil && !job.FinishedAt.IsZero():
			return job, nil
		case err == nil:
			err = pause(ctx, askAgain-time.Since(asked))
		}
		if err != nil {
			return nil, fmt.Errorf("job %s has not ended in time, and goes on: %w", id, err)
		}
	}
}

// RerunJob starts the spider of a job again, as the job was started. It adds an IdempotencyKey as StartJob does.
func (c *Client) RerunJob(ctx context.Context, id string, params RerunJobParams) (*StartedJob, error) {
	if params.IdempotencyKey == "" {
		params.IdempotencyKey = rand.Text()
	}
	_, header := split(params)
	started := &StartedJob{}
	_, err := c.call(ctx, call{
		method: http.MethodPost, path: jobsPath + "/" + url.PathEscape(id) + "/rerun", header: header, harmless: true,
	}, started)
	return orNil(started, err)
}

// ChangeJob changes the given fields of a job, tags or note, whether or not it has ended: nil removes one. Tags replace all tags.
func (c *Client) ChangeJob(ctx context.Context, id string, body JobChange) (*Job, error) {
	job := &Job{}
	_, err := c.call(ctx, call{method: http.MethodPatch, path: jobsPath + "/" + url.PathEscape(id), body: body, harmless: true}, job)
	return orNil(job, err)
}

// CancelJob requests that a job stop. It has stopped once it has its FinishedAt.
func (c *Client) CancelJob(ctx context.Context, id string, params CancelJobParams) error {
	query, header := split(params)
	_, err := c.call(ctx, call{
		method: http.MethodDelete, path: jobsPath + "/" + url.PathEscape(id), query: query, header: header, harmless: true,
	}, nil)
	return err
}

// GetJobLogs reads the log of a job's latest attempt; with Follow, also what is yet to be written. The caller has to close it.
// A log that is cut off ends with an error other than io.EOF; FollowLog resumes after that.
func (c *Client) GetJobLogs(ctx context.Context, id string, params GetJobLogsParams) (io.ReadCloser, error) {
	query, header := split(params)
	return c.stream(ctx, call{
		method: http.MethodGet, path: jobsPath + "/" + url.PathEscape(id) + "/logs", query: query, header: header, harmless: true,
	}, 0)
}

// FollowLog iterates over the lines of a job's log, as they are written, until the spider's process has ended: events of the
// types EventLine and EventGap, from the parameters' LastEventID on. A log that is cut off is resumed, with the same server or
// another. An error is the last thing that it yields.
func (c *Client) FollowLog(ctx context.Context, id string, params GetJobLogsParams) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		params.Follow = true
		call := call{method: http.MethodGet, path: jobsPath + "/" + url.PathEscape(id) + "/logs", harmless: true}
		var gone error
		err := takeAll(ctx, params.LastEventID, func(after string) (*EventStream, error) {
			params.LastEventID = after
			call.query, call.header = split(params)
			return c.events(ctx, call, after)
		}, func(event Event) bool {
			switch {
			case event.Type != EventEnd:
				return yield(event, nil)
			case event.Reason == logGone:
				gone = &Error{
					Status: http.StatusGone, Code: CodeLogGone, Message: "The end of the log could not be read any more.", call: call.String(),
				}
			}
			return event.Reason != logFinished && gone == nil
		})
		if err = cmp.Or(err, gone); err != nil {
			yield(Event{}, err)
		}
	}
}

// The reasons for the end of a log that cannot be resumed.
const (
	logFinished = "finished"
	logGone     = "log_gone"
)

// orNil returns nil with an error.
func orNil[T any](answer *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return answer, nil
}
