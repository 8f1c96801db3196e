package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/scrapethis/spider-operator/client"
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
	from, to := window(p)
	after, before := from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339)
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
		{"tag", url.Values{"tag": {tag}}},
		{"origin", url.Values{"origin": {"schedule"}}},
		{"tag, status", url.Values{"tag": {tag}, "status": {"finished"}}},
		{"lacks_tag", url.Values{"lacks_tag": {tag}}},
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
func window(p *population) (after, before time.Time) {
	return p.created[0].Add(-time.Second), p.created[len(p.created)/2].Add(time.Second)
}

// reads are all reads of a view. Each list is tried once, and has to show a full page.
func (b *bench) reads(ctx context.Context, v *view) ([]read, error) {
	c, err := client.New(v.server.URL, v.key)
	if err != nil {
		return nil, err
	}
	_, before := window(v.population)
	middle, err := c.ListJobs(ctx, client.ListJobsParams{CreatedBefore: before})
	if err != nil {
		return nil, err
	}
	if middle.Next == "" {
		return nil, fmt.Errorf("the jobs in %s before %s have no second page", v.namespace, before)
	}
	all := lists(v.population, middle.Next)
	for _, r := range all {
		var jobs []json.RawMessage
		if err := c.Do(ctx, http.MethodGet, r.paths[0], nil, &jobs); err != nil {
			return nil, err
		}
		if len(jobs) != page {
			return nil, fmt.Errorf("GET %s: %d jobs on the page, not %d", r.paths[0], len(jobs), page)
		}
	}
	one := read{name: getJob}
	for _, id := range v.ids {
		one.paths = append(one.paths, "/api/v1/jobs/"+id)
	}
	return append(all, one), nil
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
