package client

import (
	"context"
	"crypto/rand"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// ListSchedules returns a page of the caller's schedules, newest first.
func (c *Client) ListSchedules(ctx context.Context, params ListSchedulesParams) (Page[Schedule], error) {
	query, _ := split(params)
	return list[Schedule](ctx, c, schedulesPath, query)
}

// AllSchedules iterates over all schedules that match the parameters, page by page. It ends after an error.
func (c *Client) AllSchedules(ctx context.Context, params ListSchedulesParams) iter.Seq2[Schedule, error] {
	return eachPage(&params.Cursor, func() (Page[Schedule], error) { return c.ListSchedules(ctx, params) })
}

// GetSchedule returns a schedule.
func (c *Client) GetSchedule(ctx context.Context, id string) (*Schedule, error) {
	schedule := &Schedule{}
	_, err := c.call(ctx, call{method: http.MethodGet, path: schedulePath(id), harmless: true}, schedule)
	return orNil(schedule, err)
}

// CreateSchedule makes a schedule.
func (c *Client) CreateSchedule(ctx context.Context, body NewSchedule) (*Schedule, error) {
	schedule := &Schedule{}
	_, err := c.call(ctx, call{method: http.MethodPost, path: schedulesPath, body: body}, schedule)
	return orNil(schedule, err)
}

// ChangeSchedule changes the given fields, by a JSON merge patch: nil stands for a default, or removes an argument or a setting.
func (c *Client) ChangeSchedule(ctx context.Context, id string, body ScheduleChange) (*Schedule, error) {
	schedule := &Schedule{}
	_, err := c.call(ctx, call{method: http.MethodPatch, path: schedulePath(id), body: body}, schedule)
	return orNil(schedule, err)
}

// DeleteSchedule deletes a schedule. Its runs stay.
func (c *Client) DeleteSchedule(ctx context.Context, id string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: schedulePath(id)}, nil)
	return err
}

// RunSchedule starts a run of a schedule now. Without an Idempotency-Key it gets one, so that it can be repeated.
func (c *Client) RunSchedule(ctx context.Context, id string, params RunScheduleParams) (*StartedJob, error) {
	if params.IdempotencyKey == "" {
		params.IdempotencyKey = rand.Text()
	}
	_, header := split(params)
	started := &StartedJob{}
	_, err := c.call(ctx, call{method: http.MethodPost, path: schedulePath(id) + "/run", header: header, harmless: true}, started)
	return orNil(started, err)
}

// BackfillSchedule makes the runs of a schedule for a past range. It may be repeated: a time has one run at most.
func (c *Client) BackfillSchedule(ctx context.Context, id string, body BackfillRange) (*Backfill, error) {
	done := &Backfill{}
	_, err := c.call(ctx, call{
		method: http.MethodPost, path: schedulePath(id) + "/backfill", body: body, harmless: true, wait: backfillTime,
	}, done)
	return orNil(done, err)
}

// backfillTime is how long a server may take for a backfill.
const backfillTime = 30 * time.Second

// PreviewSchedule returns the next times of a cron expression.
func (c *Client) PreviewSchedule(ctx context.Context, params PreviewScheduleParams) (*SchedulePreview, error) {
	query, _ := split(params)
	preview := &SchedulePreview{}
	_, err := c.call(ctx, call{method: http.MethodGet, path: schedulesPath + "/preview", query: query, harmless: true}, preview)
	return orNil(preview, err)
}

func schedulePath(id string) string { return schedulesPath + "/" + url.PathEscape(id) }
