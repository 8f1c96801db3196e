package view

import (
	"slices"

	"github.com/google/uuid"
	"github.com/tidwall/btree"
)

// series holds jobs newest first: all of them, and those of each status. Trees are created on first use.
type series struct {
	all      *btree.BTreeG[*Job]
	byStatus statusTrees
	// broken are the jobs that broke an expectation.
	broken statusTrees
}

// statusTrees holds jobs by their status.
type statusTrees [statusCount]*btree.BTreeG[*Job]

func (t *statusTrees) insert(job *Job) {
	if t[job.Status] == nil {
		t[job.Status] = newTree()
	}
	t[job.Status].Set(job)
}

// of appends the trees of the given statuses; of every status if none is given.
func (t *statusTrees) of(to []*btree.BTreeG[*Job], statuses []Status) []*btree.BTreeG[*Job] {
	for status, tree := range t {
		if tree != nil && (len(statuses) == 0 || slices.Contains(statuses, Status(status))) {
			to = append(to, tree)
		}
	}
	return to
}

// newTree makes a tree that leaves locking to Jobs, whose lock covers all trees.
func newTree() *btree.BTreeG[*Job] {
	return btree.NewBTreeGOptions(newestFirst, btree.Options{NoLocks: true, Degree: 16})
}

func (s *series) insert(job *Job) {
	if s.all == nil {
		s.all = newTree()
	}
	s.all.Set(job)
	s.byStatus.insert(job)
	if job.broken() {
		s.broken.insert(job)
	}
}

func (s *series) remove(job *Job) {
	s.all.Delete(job)
	s.byStatus[job.Status].Delete(job)
	if job.broken() {
		s.broken[job.Status].Delete(job)
	}
}

func (s *series) empty() bool { return s.all == nil || s.all.Len() == 0 }

// trees appends the trees that together hold the jobs of the query's statuses and expectations.
func (s *series) trees(to []*btree.BTreeG[*Job], q *Query) []*btree.BTreeG[*Job] {
	switch {
	case q.Broken:
		return s.broken.of(to, q.Statuses)
	case len(q.Statuses) > 0:
		return s.byStatus.of(to, q.Statuses)
	default:
		return append(to, s.all)
	}
}

// spiderKey distinguishes a user's jobs by spider. It includes the name because jobs of one Spider have several names if the
// Spider was renamed, and jobs of several Spiders can have the same.
type spiderKey struct {
	id   uuid.UUID
	name string
}

func keyOf(job *Job) spiderKey { return spiderKey{id: job.SpiderID, name: job.SpiderName} }

// userJobs holds the jobs of one user of one namespace.
type userJobs struct {
	series
	// sum is the checksum of the jobs that Kubernetes has shown.
	sum      uint64
	bySpider map[spiderKey]*series
	// idKeys and nameKeys find the keys of bySpider that have an id, and a name. There is almost always just one.
	idKeys   map[uuid.UUID][]spiderKey
	nameKeys map[string][]spiderKey
}

func newUserJobs() *userJobs {
	return &userJobs{
		bySpider: map[spiderKey]*series{},
		idKeys:   map[uuid.UUID][]spiderKey{},
		nameKeys: map[string][]spiderKey{},
	}
}

func (u *userJobs) insert(job *Job) {
	if job.kept.shown {
		u.sum += checksum(job)
	}
	u.series.insert(job)
	key := keyOf(job)
	s := u.bySpider[key]
	if s == nil {
		s = &series{}
		u.bySpider[key] = s
		u.idKeys[key.id] = append(u.idKeys[key.id], key)
		u.nameKeys[key.name] = append(u.nameKeys[key.name], key)
	}
	s.insert(job)
}

func (u *userJobs) remove(job *Job) {
	if job.kept.shown {
		u.sum -= checksum(job)
	}
	u.series.remove(job)
	key := keyOf(job)
	s := u.bySpider[key]
	s.remove(job)
	if s.empty() {
		delete(u.bySpider, key)
		forget(u.idKeys, key.id, key)
		forget(u.nameKeys, key.name, key)
	}
}

func forget[K comparable](keys map[K][]spiderKey, k K, key spiderKey) {
	left := slices.DeleteFunc(keys[k], func(other spiderKey) bool { return other == key })
	if len(left) == 0 {
		delete(keys, k)
		return
	}
	keys[k] = left
}

// trees returns the trees that together hold exactly the jobs that match the query, apart from its times.
func (u *userJobs) trees(q *Query) []*btree.BTreeG[*Job] {
	if q.SpiderID == nil && q.SpiderName == "" {
		return u.series.trees(nil, q)
	}
	keys := u.nameKeys[q.SpiderName]
	if q.SpiderID != nil {
		keys = u.idKeys[*q.SpiderID]
	}
	var trees []*btree.BTreeG[*Job]
	for _, key := range keys {
		if q.SpiderName == "" || key.name == q.SpiderName {
			trees = u.bySpider[key].trees(trees, q)
		}
	}
	return trees
}
