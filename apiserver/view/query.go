package view

import (
	"math"

	"github.com/google/uuid"
	"github.com/tidwall/btree"
)

// Query selects jobs of a user, by its spec.userID: without one, those of the namespace itself. The zero value of a filter
// accepts every job.
type Query struct {
	Namespace, UserID string

	Statuses   []Status
	SpiderID   *uuid.UUID
	SpiderName string
	// Broken accepts only jobs that broke an expectation.
	Broken bool
	// Tags accepts only jobs that have all of these, and LacksTag only jobs that do not have this one.
	Tags     []string
	LacksTag string
	Origin   *Origin
	// ScheduleID accepts only runs of the SpiderSchedule with this id.
	ScheduleID *uuid.UUID
	// Shown leaves out what this process has created and the watch has not shown yet: subscribers get it then.
	Shown bool
	// CreatedFrom and CreatedTo bound the time of creation, in seconds since 1970, both included. 0 means no bound.
	CreatedFrom, CreatedTo int64

	// After is the position after which the page begins. Nil begins with the newest job.
	After *Position
	// Limit is the largest number of jobs to return, at least 1.
	Limit int
}

// Position is a place in the order of jobs: that of a job, whether or not that job still exists.
type Position struct {
	Created int64
	ID      uuid.UUID
}

// PositionOf returns the job's own position.
func PositionOf(job *Job) Position { return Position{Created: job.Created, ID: job.ID} }

// List returns the jobs that match the query, newest first, and where the next page begins: nil on the last one. A page that is
// cut short because too many jobs were looked at can have fewer jobs than the limit, or none.
func (v *Jobs) List(q Query) (jobs []*Job, next *Position) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	tenant := v.tenants[q.Namespace]
	if tenant == nil {
		return nil, nil
	}
	user := tenant.users[q.UserID]
	if user == nil {
		return nil, nil
	}
	if q.searches() {
		return user.search(&q, v.mostLookedAt)
	}
	trees := user.trees(&q)
	pages := make([][]*Job, 0, len(trees))
	for _, tree := range trees {
		pages = append(pages, pageOf(tree, &q))
	}
	jobs = merge(pages, q.Limit+1)
	if len(jobs) > q.Limit {
		return jobs[:q.Limit], new(PositionOf(jobs[q.Limit-1]))
	}
	return jobs, nil
}

// pageOf returns the tree's first jobs within the query's times, one more than its limit, so that the caller learns whether
// there are more.
func pageOf(tree *btree.BTreeG[*Job], q *Query) []*Job {
	wanted := q.Limit + 1
	page := make([]*Job, 0, min(wanted, tree.Len()))
	eachOf(tree, q, func(job *Job) bool {
		page = append(page, job)
		return len(page) < wanted
	})
	return page
}

// eachOf visits the tree's jobs within the query's times, until visit returns false.
func eachOf(tree *btree.BTreeG[*Job], q *Query, visit func(*Job) bool) {
	tree.Ascend(startOf(q), func(job *Job) bool {
		if q.CreatedFrom != 0 && job.Created < q.CreatedFrom {
			return false
		}
		if q.After != nil && PositionOf(job) == *q.After || q.Shown && !job.kept.shown {
			return true
		}
		return visit(job)
	})
}

// merge returns the first jobs of several pages that have none in common.
func merge(pages [][]*Job, most int) []*Job {
	switch len(pages) {
	case 0:
		return nil
	case 1:
		return pages[0]
	}
	merged := make([]*Job, 0, most)
	for len(merged) < most {
		first := -1
		for i, page := range pages {
			if len(page) > 0 && (first < 0 || newestFirst(page[0], pages[first][0])) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		merged = append(merged, pages[first][0])
		pages[first] = pages[first][1:]
	}
	return merged
}

// startOf returns a job that sorts before every job that the query can show, and after every newer one.
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
