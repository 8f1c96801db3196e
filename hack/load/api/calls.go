package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/client"
	"github.com/scrapethis/spider-operator/hack/internal/fetch"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// send makes a call that has to be answered with 200, and returns the answer's body. It uses net/http itself: package client
// would add the cost of decoding answers.
func (v *view) send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, v.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+v.key)
	return fetch.Do(v.http, request)
}

// drive lets clients call at the same time, each one again as soon as its last call is answered, until the time is up or there is
// no next call, and returns how long the calls took. one makes a call, or says that there is none to make.
func drive(
	ctx context.Context, clients int, duration time.Duration, one func(ctx context.Context) (made bool, err error),
) ([]time.Duration, error) {
	calling, ctx := errgroup.WithContext(ctx)
	latencies := make([][]time.Duration, clients)
	start := time.Now()
	for i := range clients {
		calling.Go(func() error {
			for begun := start; begun.Sub(start) < duration && ctx.Err() == nil; {
				made, err := one(ctx)
				if err != nil || !made {
					return err
				}
				ended := time.Now()
				latencies[i] = append(latencies[i], ended.Sub(begun))
				begun = ended
			}
			return ctx.Err()
		})
	}
	err := calling.Wait()
	return slices.Concat(latencies...), err
}

// measure drives calls of a view and adds to the results what they cost its REST API.
func (b *bench) measure(
	ctx context.Context, r *results, v *view, name string, one func(ctx context.Context) (made bool, err error),
) error {
	v.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.clients}, Timeout: time.Minute}
	defer v.http.CloseIdleConnections()
	before, err := v.server.Usage(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	latencies, err := drive(ctx, b.clients, b.duration, one)
	if err != nil {
		return err
	}
	n := float64(len(latencies))
	perSecond := n / time.Since(start).Seconds()
	after, err := v.server.Usage(ctx)
	used := after.Since(before)
	r.measured = append(r.measured, measurement{call: name, jobs: v.size, latencies: latencies, figures: measure.Counts{
		rate: perSecond, cpu: used[system.CPU] * 1e6 / n,
		allocations: used[system.Allocations] / n, allocated: used[system.Allocated] / 1024 / n,
	}})
	return err
}

// page is the size of the pages that are asked for: the default of the API.
const page = 50

// read is a call that changes nothing: of one of several addresses, chosen at random.
type read struct {
	name  string
	paths []string
}

// getJob names the reads of single jobs.
const getJob = "get"

// reads are all reads of a view: with each filter, with combinations, and of single jobs. Each list is tried once, and has to
// show a full page.
func (b *bench) reads(ctx context.Context, v *view) ([]read, error) {
	c, err := client.New(v.url, v.key)
	if err != nil {
		return nil, err
	}
	// More than half of the caller's jobs were created in this time, but not the newest where there are many.
	from, to := v.created[0].Add(-time.Second), v.created[len(v.created)/2].Add(time.Second)
	middle, err := c.ListJobs(ctx, client.ListJobsParams{CreatedBefore: to})
	if err != nil {
		return nil, err
	}
	if middle.Next == "" {
		return nil, fmt.Errorf("the jobs in %s before %s have no second page", v.namespace, to)
	}
	spider, after, before := spiders[0], from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339)
	var all []read
	for _, list := range []struct {
		name  string
		query url.Values
	}{
		{"all", nil},
		{"status", url.Values{"status": {"error"}}},
		{"3 statuses", url.Values{"status": {"error", "running", "pending"}}},
		{"spider_id", url.Values{"spider_id": {v.spiderID}}},
		{"spider_name", url.Values{"spider_name": {spider}}},
		{"spider_id, status", url.Values{"spider_id": {v.spiderID}, "status": {"error"}}},
		{"tag", url.Values{"tag": {tag}}},
		{"origin", url.Values{"origin": {"schedule"}}},
		{"tag, status", url.Values{"tag": {tag}, "status": {"finished"}}},
		{"lacks_tag", url.Values{"lacks_tag": {tag}}},
		{"created_after, created_before", url.Values{"created_after": {after}, "created_before": {before}}},
		{"cursor", url.Values{"cursor": {middle.Next}}},
		{"all filters", url.Values{
			"status": {"error", "finished"}, "spider_id": {v.spiderID}, "spider_name": {spider},
			"created_after": {after}, "created_before": {before},
		}},
	} {
		path := "/api/v1/jobs?" + list.query.Encode()
		var jobs []json.RawMessage
		if err := c.Do(ctx, http.MethodGet, path, nil, &jobs); err != nil {
			return nil, err
		}
		if len(jobs) != page {
			return nil, fmt.Errorf("GET %s: %d jobs on the page, not %d", path, len(jobs), page)
		}
		all = append(all, read{name: "list " + list.name, paths: []string{path}})
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
				err := b.measure(ctx, r, v, q.name, func(ctx context.Context) (bool, error) {
					paths := questions[i][which].paths
					_, err := v.send(ctx, http.MethodGet, paths[rand.IntN(len(paths))], nil) //nolint:gosec // it guards nothing
					return true, err
				})
				if err != nil {
					return err
				}
			}
		}
		measure.Say("reads: round %d of %d", round+1, b.settings.Rounds)
	}
	return nil
}

// The names of the writes.
const (
	startJob  = "start"
	cancelJob = "cancel"
	// bareCreate is the creation of the same SpiderJob by the same client, without a REST API in between. It runs, and watches.
	bareCreate = "bare create"
)

// measureWrites has jobs started through the REST API and created without it, in turns, and cancels the former.
func (b *bench) measureWrites(ctx context.Context, r *results) error {
	for round := range b.settings.Rounds {
		names := []string{bareCreate, startJob, cancelJob}
		if round%2 == 1 {
			names = []string{startJob, bareCreate, cancelJob}
		}
		for _, v := range b.turns(round) {
			writes := b.writes(v)
			for _, name := range names {
				if err := b.measure(ctx, r, v, name, writes[name]); err != nil {
					return err
				}
			}
		}
		measure.Say("writes: round %d of %d", round+1, b.settings.Rounds)
	}
	return nil
}

// writes are the writes of a view by their names. The cancels are of the jobs that were started.
func (b *bench) writes(v *view) map[string]func(context.Context) (made bool, err error) {
	jobs := kube.Jobs{Client: b.Client}
	var mu sync.Mutex
	var answers [][]byte
	var cancelled atomic.Int64
	return map[string]func(context.Context) (bool, error){
		bareCreate: func(ctx context.Context) (bool, error) {
			_, err := jobs.Create(ctx, newJob(v.namespace, spiders[0], callingUser))
			return true, err
		},
		startJob: func(ctx context.Context) (bool, error) {
			body, err := json.Marshal(map[string]any{"spider_name": spiders[0], "arguments": system.Arguments()})
			if err != nil {
				return false, err
			}
			answer, err := v.send(ctx, http.MethodPost, "/api/v1/jobs", body)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer)
			return true, err
		},
		cancelJob: func(ctx context.Context) (bool, error) {
			i := int(cancelled.Add(1)) - 1
			if i >= len(answers) {
				return false, nil
			}
			var started struct {
				JobID string `json:"jobId"`
			}
			if err := json.Unmarshal(answers[i], &started); err != nil {
				return false, err
			}
			_, err := v.send(ctx, http.MethodDelete, "/api/v1/jobs/"+started.JobID, nil)
			return true, err
		},
	}
}
