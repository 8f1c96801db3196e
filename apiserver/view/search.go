package view

import (
	"slices"

	"github.com/tidwall/btree"
)

// mostLookedAt bounds how many jobs a page looks at if no index has exactly the jobs that match its query.
const mostLookedAt = 10_000

// searches reports whether a query has filters for which trees do not hold exactly the jobs of every combination.
func (q *Query) searches() bool {
	return len(q.Tags) > 0 || q.LacksTag != "" || q.Origin != nil || q.ScheduleID != nil
}

// search returns a page of the jobs that match the query, from the smallest index that has all of them, and where the next page
// begins. It looks at most jobs at most. With only one filter the index has no others, and a page costs what any page costs.
func (u *userJobs) search(q *Query, most int) (page []*Job, next *Position) {
	indexes, exact := u.indexes(q)
	smallest := slices.MinFunc(indexes, func(a, b *btree.BTreeG[*Job]) int { return lenOf(a) - lenOf(b) })
	if lenOf(smallest) == 0 {
		return nil, nil
	}
	page = make([]*Job, 0, min(q.Limit, smallest.Len()))
	looked := 0
	eachOf(smallest, q, func(job *Job) bool {
		if exact || q.matches(job) {
			if len(page) == q.Limit {
				next = new(PositionOf(page[q.Limit-1]))
				return false
			}
			page = append(page, job)
		}
		if looked++; looked == most && !exact {
			next = new(PositionOf(job))
			return false
		}
		return true
	})
	return page, next
}

// indexes returns trees each of which has all jobs that match the query; nil for one without jobs. exact says that the query has
// just one filter, and that one of the trees has no other jobs.
func (u *userJobs) indexes(q *Query) (indexes []*btree.BTreeG[*Job], exact bool) {
	indexes = append(make([]*btree.BTreeG[*Job], 0, 4), u.all)
	for _, tag := range q.Tags {
		indexes = append(indexes, u.byTag.trees[tag])
	}
	if q.ScheduleID != nil {
		indexes = append(indexes, u.bySchedule.trees[*q.ScheduleID])
	}
	if q.Origin != nil {
		indexes = append(indexes, u.byOrigin.of(*q.Origin, u.all))
	}
	exact = len(indexes) == 2 && q.LacksTag == ""
	if len(q.Statuses) > 0 || q.SpiderID != nil || q.SpiderName != "" || q.Broken {
		exact = false
		switch trees := u.trees(q); len(trees) {
		case 0:
			indexes = append(indexes, nil)
		case 1:
			indexes = append(indexes, trees[0])
		}
	}
	return indexes, exact
}

func lenOf(tree *btree.BTreeG[*Job]) int {
	if tree == nil {
		return 0
	}
	return tree.Len()
}

// matches reports whether a job of the query's user matches it, apart from its times.
func (q *Query) matches(job *Job) bool {
	switch {
	case len(q.Statuses) > 0 && !slices.Contains(q.Statuses, job.Status),
		q.SpiderID != nil && job.SpiderID != *q.SpiderID,
		q.SpiderName != "" && job.SpiderName != q.SpiderName,
		q.Broken && !job.broken(),
		q.Origin != nil && job.Origin != *q.Origin,
		q.ScheduleID != nil && (job.Scheduled == nil || job.Scheduled.ScheduleID != *q.ScheduleID),
		q.LacksTag != "" && job.Tags.Has(q.LacksTag):
		return false
	}
	return !slices.ContainsFunc(q.Tags, func(tag string) bool { return !job.Tags.Has(tag) })
}
