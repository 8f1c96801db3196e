package view

import (
	"math"
	"slices"

	"github.com/google/uuid"
	"github.com/tidwall/btree"
)

// Query says which of a user's jobs to list. The zero value of a filter accepts every job.
type Query struct {
	Namespace, User string

	Statuses   []Status
	SpiderID   *uuid.UUID
	SpiderName string
	// CreatedFrom and CreatedTo bound the time of creation, in seconds since 1970, both included. 0 means no bound.
	CreatedFrom, CreatedTo int64

	// After is where the page begins: behind this position. Nil begins with the newest job.
	After *Position
	// Limit is the most jobs to return, at least 1.
	Limit int
}

// Position is a place in the order of jobs: that of a job, whether or not that job still exists.
type Position struct {
	Created int64
	ID      uuid.UUID
}

// PositionOf returns the job's own position.
func PositionOf(job *Job) Position { return Position{Created: job.Created, ID: job.ID} }

// List returns the jobs that the query asks for, newest first, and whether there are more behind them.
func (v *Jobs) List(q Query) (jobs []*Job, more bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	tenant := v.namespaces[q.Namespace]
	if tenant == nil {
		return nil, false
	}
	user := tenant.users[q.User]
	if user == nil {
		return nil, false
	}
	q.Statuses = distinct(q.Statuses)
	trees := user.trees(&q)
	for _, tree := range trees {
		jobs = appendPage(jobs, tree, &q)
	}
	if len(trees) > 1 {
		slices.SortFunc(jobs, func(a, b *Job) int {
			if newestFirst(a, b) {
				return -1
			}
			return 1
		})
	}
	if len(jobs) > q.Limit {
		return jobs[:q.Limit], true
	}
	return jobs, false
}

// distinct drops repeated statuses, which would show jobs twice.
func distinct(statuses []Status) []Status {
	statuses = slices.Clone(statuses)
	slices.Sort(statuses)
	return slices.Compact(statuses)
}

// appendPage appends the tree's first jobs within the query's times, one more than its limit, so that the caller learns
// whether there are more.
func appendPage(jobs []*Job, tree *btree.BTreeG[*Job], q *Query) []*Job {
	wanted := q.Limit + 1
	start := startOf(q)
	tree.Ascend(start, func(job *Job) bool {
		if q.CreatedFrom != 0 && job.Created < q.CreatedFrom {
			return false
		}
		if q.After != nil && PositionOf(job) == *q.After {
			return true
		}
		jobs = append(jobs, job)
		wanted--
		return wanted > 0
	})
	return jobs
}

// startOf returns a job that stands before every job the query can show, and behind every newer one.
func startOf(q *Query) *Job {
	newest := &Job{Created: math.MaxInt64, ID: uuid.Max}
	if q.CreatedTo != 0 {
		newest.Created = q.CreatedTo
	}
	if q.After == nil {
		return newest
	}
	after := &Job{Created: q.After.Created, ID: q.After.ID}
	if newestFirst(after, newest) {
		return newest
	}
	return after
}
