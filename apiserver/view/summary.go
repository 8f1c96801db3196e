package view

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// Counts are the numbers of jobs by status.
type Counts [statusCount]int

// Total returns the number of all jobs.
func (c *Counts) Total() int {
	total := 0
	for _, n := range c {
		total += n
	}
	return total
}

// Summary are the numbers of a user's jobs.
type Summary struct {
	Counts

	// Spiders are the numbers by spider, ordered by name.
	Spiders []SpiderCounts
}

// SpiderCounts are the numbers of jobs of a Spider under one name.
type SpiderCounts struct {
	Counts

	ID   uuid.UUID
	Name string
}

// Summary counts a user's jobs. It costs the same for any number of jobs of a Spider.
func (v *Jobs) Summary(namespace, userID string) Summary {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var summary Summary
	tenant := v.tenants[namespace]
	if tenant == nil || tenant.users[userID] == nil {
		return summary
	}
	user := tenant.users[userID]
	summary.Counts = user.byStatus.counts()
	summary.Spiders = make([]SpiderCounts, 0, len(user.bySpider))
	for key, series := range user.bySpider {
		summary.Spiders = append(summary.Spiders, SpiderCounts{Counts: series.byStatus.counts(), ID: key.id, Name: key.name})
	}
	slices.SortFunc(summary.Spiders, func(a, b SpiderCounts) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return summary
}

func (t *statusTrees) counts() (counts Counts) {
	for status, tree := range t {
		if tree != nil {
			counts[status] = tree.Len()
		}
	}
	return counts
}
