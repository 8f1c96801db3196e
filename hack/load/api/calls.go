package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scrapethis/spider-operator/hack/internal/fetch"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// call is one request to a REST API.
type call struct{ method, path, body string }

// sample is what clients saw of their calls.
type sample struct {
	latencies []time.Duration
	elapsed   time.Duration
	// bytes are those of the answers' bodies.
	bytes int64
}

func (s *sample) perSecond() float64 { return float64(len(s.latencies)) / s.elapsed.Seconds() }

// drive lets clients call at the same time, each one again as soon as its last call is answered, until the time is up or there is
// no next call. one makes a call and returns the size of the answer, or that there is no call to make.
func drive(
	ctx context.Context, clients int, duration time.Duration, one func(ctx context.Context) (bytes int64, made bool, err error),
) (*sample, error) {
	calling, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	var all sample
	start := time.Now()
	for range clients {
		calling.Go(func() error {
			var own sample
			for begun := start; begun.Sub(start) < duration && ctx.Err() == nil; {
				bytes, made, err := one(ctx)
				if err != nil {
					return err
				}
				if !made {
					break
				}
				ended := time.Now()
				own.latencies = append(own.latencies, ended.Sub(begun))
				own.bytes += bytes
				begun = ended
			}
			mu.Lock()
			defer mu.Unlock()
			all.latencies = append(all.latencies, own.latencies...)
			all.bytes += own.bytes
			return ctx.Err()
		})
	}
	err := calling.Wait()
	all.elapsed = time.Since(start)
	return &all, err
}

// caller calls one REST API with one API key, by net/http itself: package client would add the cost of decoding answers.
type caller struct {
	http     *http.Client
	url, key string
}

// newCaller keeps a connection for each of the clients.
func newCaller(v *view, clients int) *caller {
	return &caller{
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: time.Minute},
		url:  v.server.URL, key: v.key,
	}
}

// send makes a call that has to be answered with 200, and returns the answer's body.
func (c *caller) send(ctx context.Context, what call) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, what.method, c.url+what.path, strings.NewReader(what.body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", what.method, what.path, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	return fetch.Do(c.http, request)
}

// measure drives calls of a view and returns what they cost, including its REST API. next makes them; ok is false after the last
// one. saw gets the bodies of the answers, unless it is nil.
func (b *bench) measure(
	ctx context.Context, v *view, name string, next func() (what call, ok bool), saw func(body []byte),
) (measurement, error) {
	c := newCaller(v, b.clients)
	defer c.http.CloseIdleConnections()
	before, err := v.server.Usage(ctx)
	if err != nil {
		return measurement{}, err
	}
	seen, err := drive(ctx, b.clients, b.duration, func(ctx context.Context) (int64, bool, error) {
		what, ok := next()
		if !ok {
			return 0, false, nil
		}
		body, err := c.send(ctx, what)
		if err == nil && saw != nil {
			saw(body)
		}
		return int64(len(body)), true, err
	})
	if err != nil {
		return measurement{}, err
	}
	after, err := v.server.Usage(ctx)
	if err != nil {
		return measurement{}, err
	}
	used, n := after.Since(before), float64(len(seen.latencies))
	return measurement{
		call: name, jobs: v.size, latencies: seen.latencies, perSecond: seen.perSecond(),
		costs: measure.Counts{
			cpu: used[system.CPU] * 1e6 / n, allocations: used[system.Allocations] / n,
			allocated: used[system.Allocated] / 1024 / n, answer: float64(seen.bytes) / n,
		},
	}, nil
}
