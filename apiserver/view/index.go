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
	// What follows holds jobs by what only some of them have, so that it costs nothing for the others.
	byTag      keyed[string]
	bySchedule keyed[uuid.UUID]
	byOrigin   originTrees
	// usage is what the jobs take up.
	usage Usage
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
	u.usage.add(usageOf(job))
	for tag := range job.Tags.All() {
		u.byTag.insert(tag, job)
	}
	if job.Scheduled != nil {
		u.bySchedule.insert(job.Scheduled.ScheduleID, job)
	}
	u.byOrigin.insert(job, u.all)
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
	u.usage.remove(usageOf(job))
	for tag := range job.Tags.All() {
		u.byTag.remove(tag, job)
	}
	if job.Scheduled != nil {
		u.bySchedule.remove(job.Scheduled.ScheduleID, job)
	}
	u.byOrigin.remove(job)
	key := keyOf(job)
	s := u.bySpider[key]
	s.remove(job)
	if s.empty() {
		delete(u.bySpider, key)
		forget(u.idKeys, key.id, key)
		forget(u.nameKeys, key.name, key)
	}
}

// keyed holds jobs newest first, by something of which a job may have several, or none. The zero value is empty.
type keyed[K comparable] struct{ trees map[K]*btree.BTreeG[*Job] }

func (k *keyed[K]) insert(key K, job *Job) {
	if k.trees == nil {
		k.trees = map[K]*btree.BTreeG[*Job]{}
	}
	tree := k.trees[key]
	if tree == nil {
		tree = newTree()
		k.trees[key] = tree
	}
	tree.Set(job)
}

func (k *keyed[K]) remove(key K, job *Job) {
	tree := k.trees[key]
	tree.Delete(job)
	if tree.Len() == 0 {
		delete(k.trees, key)
	}
}

// originTrees holds jobs by origin. While all have the same origin it holds nothing: the tree of all jobs is theirs.
type originTrees struct {
	counts [originCount]int
	trees  *[originCount]*btree.BTreeG[*Job]
}

// insert adds a job that all has already.
func (o *originTrees) insert(job *Job, all *btree.BTreeG[*Job]) {
	o.counts[job.Origin]++
	switch {
	case o.trees != nil:
		o.tree(job.Origin).Set(job)
	case o.counts[job.Origin] < all.Len(): // The first of another origin. Jobs come in order, which Load makes quick.
		o.trees = &[originCount]*btree.BTreeG[*Job]{}
		all.Scan(func(job *Job) bool {
			o.tree(job.Origin).Load(job)
			return true
		})
	}
}

func (o *originTrees) tree(origin Origin) *btree.BTreeG[*Job] {
	if o.trees[origin] == nil {
		o.trees[origin] = newTree()
	}
	return o.trees[origin]
}

func (o *originTrees) remove(job *Job) {
	o.counts[job.Origin]--
	if o.trees != nil {
		o.trees[job.Origin].Delete(job)
	}
}

// of returns the tree of an origin; nil if there is no job of it.
func (o *originTrees) of(origin Origin, all *btree.BTreeG[*Job]) *btree.BTreeG[*Job] {
	switch {
	case o.counts[origin] == 0:
		return nil
	case o.trees == nil:
		return all
	default:
		return o.trees[origin]
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
