package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// ListSpiders returns a page of the spiders that the caller can run, newest first.
func (c *Client) ListSpiders(ctx context.Context, params ListSpidersParams) (Page[Spider], error) {
	query, _ := split(params)
	return list[Spider](ctx, c, spidersPath, query)
}

// AllSpiders iterates over all spiders that match the parameters, page by page. It ends after an error.
func (c *Client) AllSpiders(ctx context.Context, params ListSpidersParams) iter.Seq2[Spider, error] {
	return eachPage(&params.Cursor, func() (Page[Spider], error) { return c.ListSpiders(ctx, params) })
}

// GetSpider returns a spider.
func (c *Client) GetSpider(ctx context.Context, id string) (*Spider, error) {
	spider := &Spider{}
	_, err := c.call(ctx, call{method: http.MethodGet, path: spidersPath + "/" + url.PathEscape(id), harmless: true}, spider)
	return orNil(spider, err)
}

// CreateSpider makes a spider.
func (c *Client) CreateSpider(ctx context.Context, body NewSpider) (*Spider, error) {
	spider := &Spider{}
	_, err := c.call(ctx, call{method: http.MethodPost, path: spidersPath, body: body}, spider)
	return orNil(spider, err)
}

// ChangeSpider changes the given fields, by a JSON merge patch: nil removes a description, settings, or one of the settings.
func (c *Client) ChangeSpider(ctx context.Context, id string, body SpiderChange) (*Spider, error) {
	spider := &Spider{}
	_, err := c.call(ctx, call{method: http.MethodPatch, path: spidersPath + "/" + url.PathEscape(id), body: body}, spider)
	return orNil(spider, err)
}

// DeleteSpider deletes a spider. Its jobs stay.
func (c *Client) DeleteSpider(ctx context.Context, id string) error {
	_, err := c.call(ctx, call{method: http.MethodDelete, path: spidersPath + "/" + url.PathEscape(id)}, nil)
	return err
}

// GetMe returns the caller, and what it may do.
func (c *Client) GetMe(ctx context.Context) (*Caller, error) {
	caller := &Caller{}
	_, err := c.call(ctx, call{method: http.MethodGet, path: "/api/v1/me", harmless: true}, caller)
	return orNil(caller, err)
}

// GetLivez returns whether the server's process works.
func (c *Client) GetLivez(ctx context.Context) (*Health, error) { return c.probe(ctx, "/livez") }

// GetReadyz returns whether requests can be served. If not, it returns an *Error with status 503.
func (c *Client) GetReadyz(ctx context.Context) (*Health, error) { return c.probe(ctx, "/readyz") }

func (c *Client) probe(ctx context.Context, path string) (*Health, error) {
	health := &Health{}
	_, err := c.call(ctx, call{method: http.MethodGet, path: path, harmless: true}, health)
	return orNil(health, err)
}
