package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/scrapethis/spider-operator/hack/load/measure"
)

// page is the size of the pages that are asked for: the default of the API.
const page = 50

// read is a call that changes nothing: of one of several addresses, chosen at random.
type read struct {
	name  string
	paths []string
}

func (r read) next() (call, bool) {
	return call{method: http.MethodGet, path: r.paths[rand.IntN(len(r.paths))]}, true //nolint:gosec // it guards nothing
}

// getJob names the reads of single jobs.
const getJob = "get"

// lists are the filters of a population: each filter, and combinations.
func lists(p *population, cursor string) []read {
	spider := spiders[0]
	after, before := window(p)
	filters := []struct {
		name  string
		query url.Values
	}{
		{"all", nil},
		{"status", url.Values{"status": {"error"}}},
		{"3 statuses", url.Values{"status": {"error", "running", "pending"}}},
		{"spider_id", url.Values{"spider_id": {p.spiderIDs[spider]}}},
		{"spider_name", url.Values{"spider_name": {spider}}},
		{"spider_id, status", url.Values{"spider_id": {p.spiderIDs[spider]}, "status": {"error"}}},
		{"created_after, created_before", url.Values{"created_after": {after}, "created_before": {before}}},
		{"cursor", url.Values{"cursor": {cursor}}},
		{"all filters", url.Values{
			"status": {"error", "finished"}, "spider_id": {p.spiderIDs[spider]}, "spider_name": {spider},
			"created_after": {after}, "created_before": {before},
		}},
	}
	reads := make([]read, 0, len(filters))
	for _, f := range filters {
		reads = append(reads, read{name: "list " + f.name, paths: []string{"/api/v1/jobs?" + f.query.Encode()}})
	}
	return reads
}

// window is a time in which more than half of the caller's jobs were created, but not the newest where there are many.
func window(p *population) (after, before string) {
	return p.created[0].Add(-time.Second).UTC().Format(time.RFC3339),
		p.created[len(p.created)/2].Add(time.Second).UTC().Format(time.RFC3339)
}

// reads are all reads of a view. Each list is tried once, and has to show a full page.
func (b *bench) reads(ctx context.Context, v *view) ([]read, error) {
	c := newCaller(v, 1)
	defer c.http.CloseIdleConnections()
	cursor, err := middle(ctx, c, v.population)
	if err != nil {
		return nil, err
	}
	all := lists(v.population, cursor)
	for _, r := range all {
		if err := full(ctx, c, r.paths[0]); err != nil {
			return nil, err
		}
	}
	one := read{name: getJob}
	for _, id := range v.ids {
		one.paths = append(one.paths, "/api/v1/jobs/"+id)
	}
	return append(all, one), nil
}

var nextCursor = regexp.MustCompile(`[?&]cursor=([^&>]+)`)

// middle is a cursor in the middle of the caller's jobs.
func middle(ctx context.Context, c *caller, p *population) (string, error) {
	_, before := window(p)
	path := "/api/v1/jobs?created_before=" + url.QueryEscape(before)
	header, _, err := c.send(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return "", err
	}
	link := header.Get("Link")
	match := nextCursor.FindStringSubmatch(link)
	if match == nil {
		return "", fmt.Errorf("GET %s: there is no cursor in the Link %q", path, link)
	}
	return match[1], nil
}

// full checks that an address shows a full page.
func full(ctx context.Context, c *caller, path string) error {
	_, body, err := c.send(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	var jobs []json.RawMessage
	if err := json.Unmarshal(body, &jobs); err != nil {
		return fmt.Errorf("GET %s: read the answer: %w", path, err)
	}
	if len(jobs) != page {
		return fmt.Errorf("GET %s: %d jobs on the page, not %d", path, len(jobs), page)
	}
	return nil
}

// measureReads measures every read, of one view after the other, in every round.
func (b *bench) measureReads(ctx context.Context, r *results) error {
	questions := make([][]read, len(b.views))
	for i, v := range b.views {
		var err error
		if questions[i], err = b.reads(ctx, v); err != nil {
			return err
		}
	}
	for round := range b.settings.Rounds {
		for which, q := range questions[0] {
			for i, v := range b.turns(round) {
				m, err := b.measure(ctx, v, q.name, questions[i][which].next, nil)
				if err != nil {
					return err
				}
				r.measured = append(r.measured, m)
			}
		}
		measure.Say("reads: round %d of %d", round+1, b.settings.Rounds)
	}
	return nil
}
