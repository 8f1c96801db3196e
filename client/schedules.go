package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
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

func schedulePath(id string) string { return schedulesPath + "/" + url.PathEscape(id) }
