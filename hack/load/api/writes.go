package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

// The names of the writes.
const (
	startJob  = "start"
	cancelJob = "cancel"
	// bareCreate is the creation of the same SpiderJob by the same client, without a REST API in between.
	bareCreate = "bare create"
)

// measureWrites has jobs started through the REST API and created without it, in turns, and cancels the former.
func (b *bench) measureWrites(ctx context.Context, r *results) error {
	body, err := json.Marshal(map[string]any{
		"spider_name": spiders[0], "arguments": system.Arguments(),
	})
	if err != nil {
		return fmt.Errorf("encode a start: %w", err)
	}
	for round := range b.settings.Rounds {
		for _, v := range b.turns(round) {
			var started []string
			parts := []func() (measurement, error){
				func() (measurement, error) { return b.create(ctx, v) },
				func() (m measurement, err error) {
					started, m, err = b.start(ctx, v, string(body))
					return m, err
				},
			}
			for i := range parts {
				m, err := parts[(i+round)%len(parts)]()
				if err != nil {
					return err
				}
				r.measured = append(r.measured, m)
			}
			m, err := b.cancel(ctx, v, started)
			if err != nil {
				return err
			}
			r.measured = append(r.measured, m)
		}
		measure.Say("writes: round %d of %d", round+1, b.settings.Rounds)
	}
	return nil
}

// create measures kube-apiserver alone. The REST API runs, and watches.
func (b *bench) create(ctx context.Context, v *view) (measurement, error) {
	jobs := kube.Jobs{Client: b.Client}
	seen, err := drive(ctx, b.clients, b.duration, func(ctx context.Context) (int64, bool, error) {
		_, err := jobs.Create(ctx, newJob(v.namespace, spiders[0], callingUser))
		return 0, true, err
	})
	if err != nil {
		return measurement{}, err
	}
	return measurement{call: bareCreate, jobs: v.size, latencies: seen.latencies, perSecond: seen.perSecond()}, nil
}

// start measures starts, and returns the ids of the jobs.
func (b *bench) start(ctx context.Context, v *view, body string) ([]string, measurement, error) {
	var mu sync.Mutex
	var answers [][]byte
	m, err := b.measure(ctx, v, startJob,
		func() (call, bool) { return call{method: http.MethodPost, path: "/api/v1/jobs", body: body}, true },
		func(answer []byte) {
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer)
		})
	if err != nil {
		return nil, m, err
	}
	ids := make([]string, 0, len(answers))
	for _, answer := range answers {
		var started struct {
			JobID string `json:"jobId"`
		}
		if err := json.Unmarshal(answer, &started); err != nil {
			return nil, m, fmt.Errorf("read the answer to a start: %w", err)
		}
		ids = append(ids, started.JobID)
	}
	return ids, m, nil
}

// cancel measures cancels of running jobs.
func (b *bench) cancel(ctx context.Context, v *view, ids []string) (measurement, error) {
	var next atomic.Int64
	return b.measure(ctx, v, cancelJob, func() (call, bool) {
		i := int(next.Add(1)) - 1
		if i >= len(ids) {
			return call{}, false
		}
		return call{method: http.MethodDelete, path: "/api/v1/jobs/" + ids[i]}, true
	}, nil)
}
