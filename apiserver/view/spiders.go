package view

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Spider is what the facade needs to know of a Spider. It never changes: a newer state of the Spider is another one.
type Spider struct {
	ID              uuid.UUID
	Namespace       string
	Ref             string // The name of the resource.
	ResourceVersion string
	Name            string // The name Scrapy and REST callers know it by.
	RepoPath        string
	Description     string
	UserID          string // Empty when the Spider is shared by its namespace.
	Created         int64  // In seconds since 1970.
	// Settings is a JSON object of strings; empty when there are none.
	Settings             string
	AllowedSettings      []string
	TimeoutSeconds       *int64 // Nil for no limit.
	StartDeadlineSeconds *int64 // Nil for no limit.
	Retries              int32
	// Expectations are the rules that its runs may tighten; nil when there are none.
	Expectations *v1alpha1.Expectations
	// LogRead says that the log of its runs is read for counts.
	LogRead bool

	// unconfirmed says that the Spider comes from this process's own write, and that the watch has not shown it yet.
	unconfirmed bool
}

// VisibleTo reports whether the given user of the Spider's namespace may see and run it.
func (s *Spider) VisibleTo(user string) bool { return s.UserID == "" || s.UserID == user }

// Owner is the user who may change the Spider: its own, or the namespace itself where that shares it.
func (s *Spider) Owner() string {
	if s.UserID == "" {
		return s.Namespace
	}
	return s.UserID
}

// Position returns the Spider's place in the order of lists.
func (s *Spider) Position() Position { return Position{Created: s.Created, ID: s.ID} }

// FromSpider returns the compact form of a Spider.
func FromSpider(spider *v1alpha1.Spider) (*Spider, error) {
	id, err := uuid.Parse(spider.ID())
	if err != nil {
		return nil, err
	}
	settings, err := encodeStrings(spider.Spec.Settings)
	if err != nil {
		return nil, fmt.Errorf("encoding the settings of Spider %s/%s: %w", spider.Namespace, spider.Name, err)
	}
	s := &Spider{
		ID:                   id,
		Namespace:            intern(spider.Namespace),
		Ref:                  spider.Name,
		ResourceVersion:      spider.ResourceVersion,
		Name:                 spider.SpiderName(),
		RepoPath:             spider.Spec.RepoPath,
		Description:          spider.Spec.Description,
		UserID:               intern(spider.Spec.UserID),
		Created:              seconds(&spider.CreationTimestamp),
		Settings:             settings,
		AllowedSettings:      spider.Spec.AllowedSettings,
		TimeoutSeconds:       spider.Spec.TimeoutSeconds,
		StartDeadlineSeconds: spider.Spec.StartDeadlineSeconds,
		Expectations:         spider.Spec.Expectations,
		LogRead:              spider.Spec.CountsFrom() == v1alpha1.StatsFromScrapy,
	}
	if spider.Spec.Retries != nil {
		s.Retries = *spider.Spec.Retries
	}
	return s, nil
}

// Spiders is the picture of all Spiders of the watched namespaces. It is safe for concurrent use.
type Spiders struct {
	changed func(namespace, ref string)

	mu         sync.RWMutex
	namespaces map[string]*spiderSet
	progress   progress
	// removed are the Spiders that this process has deleted and that the watch still may show, each with the resource version
	// it had then.
	removed map[spiderName]string
}

type spiderName struct{ namespace, ref string }

type spiderSet struct {
	byRef  map[string]*Spider
	byID   map[uuid.UUID]*Spider
	byName map[string][]*Spider
	// byUserID holds the Spiders of each user, and under "" those that the namespace shares, newest first.
	byUserID map[string]*btree.BTreeG[*Spider]
}

// NewSpiders returns an empty view.
func NewSpiders() *Spiders {
	return &Spiders{
		changed: func(string, string) {}, namespaces: map[string]*spiderSet{}, progress: progress{}, removed: map[spiderName]string{},
	}
}

// OnChange sets what is called, with no lock held, after a Spider was added, changed or removed. It must be set before the
// view is first written to.
func (v *Spiders) OnChange(changed func(namespace, ref string)) { v.changed = changed }

// ByID returns the Spider with this id that the user may see, or nil.
func (v *Spiders) ByID(namespace, user string, id uuid.UUID) *Spider {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.namespaces[namespace]
	if set == nil {
		return nil
	}
	if spider := set.byID[id]; spider != nil && spider.VisibleTo(user) {
		return spider
	}
	return nil
}

// Known reports whether there is a Spider with this id, whoever may see it.
func (v *Spiders) Known(namespace string, id uuid.UUID) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.namespaces[namespace]
	return set != nil && set.byID[id] != nil
}

// ByName returns the Spiders of this name that the user may see.
func (v *Spiders) ByName(namespace, user, name string) []*Spider {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.namespaces[namespace]
	if set == nil {
		return nil
	}
	var visible []*Spider
	for _, spider := range set.byName[name] {
		if spider.VisibleTo(user) {
			visible = append(visible, spider)
		}
	}
	return visible
}

// SpiderNames implements SpiderNamer.
func (v *Spiders) SpiderNames(namespace, ref string) (name, repoPath string, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.namespaces[namespace]
	if set == nil || set.byRef[ref] == nil {
		return "", "", false
	}
	spider := set.byRef[ref]
	return spider.Name, spider.RepoPath, true
}

// SpiderQuery says which of the Spiders that a user may see to list.
type SpiderQuery struct {
	Namespace, User string
	// NamePart is a part of the name, in upper or lower case; empty for any name.
	NamePart string
	// After is where the page begins: behind this position. Nil begins with the newest Spider.
	After *Position
	// Limit is the most Spiders to return, at least 1.
	Limit int
}

// List returns the Spiders that the query asks for, newest first, and whether there are more behind them.
func (v *Spiders) List(q SpiderQuery) (spiders []*Spider, more bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.namespaces[q.Namespace]
	if set == nil {
		return nil, false
	}
	for _, userID := range []string{"", q.User} {
		if tree := set.byUserID[userID]; tree != nil {
			spiders = append(spiders, spidersOf(tree, &q)...)
		}
	}
	slices.SortFunc(spiders, func(a, b *Spider) int { return compareNewest(a.Position(), b.Position()) })
	if len(spiders) > q.Limit {
		return spiders[:q.Limit], true
	}
	return spiders, false
}

// spidersOf returns the tree's first Spiders that the query asks for, one more than its limit.
func spidersOf(tree *btree.BTreeG[*Spider], q *SpiderQuery) []*Spider {
	start := &Spider{Created: math.MaxInt64, ID: uuid.Max}
	if q.After != nil {
		start.Created, start.ID = q.After.Created, q.After.ID
	}
	part := strings.ToLower(q.NamePart)
	var page []*Spider
	tree.Ascend(start, func(spider *Spider) bool {
		behind := q.After == nil || spider.Position() != *q.After
		if behind && strings.Contains(strings.ToLower(spider.Name), part) {
			page = append(page, spider)
		}
		return len(page) <= q.Limit
	})
	return page
}

// Put takes what Kubernetes answered to a read or a write of this process's own, so that it is seen before the watch shows
// it. It returns what the view then knows: the given state, a newer one it already had, or nil when the Spider is known to be
// gone since.
func (v *Spiders) Put(object *v1alpha1.Spider) (*Spider, error) {
	spider, err := FromSpider(object)
	if err != nil {
		return nil, err
	}
	spider.unconfirmed = true
	v.mu.Lock()
	known, changed := v.put(spider)
	v.mu.Unlock()
	if changed {
		v.changed(spider.Namespace, spider.Ref)
	}
	return known, nil
}

func (v *Spiders) put(spider *Spider) (known *Spider, changed bool) {
	old := v.get(spider.Namespace, spider.Ref)
	switch {
	case v.isRemoved(spider), old == nil && !newer(spider.ResourceVersion, v.progress.of(spider.Namespace)):
		return nil, false
	case old != nil && !newer(spider.ResourceVersion, old.ResourceVersion):
		return old, false
	}
	v.set(spider)
	return spider, true
}

// Remove takes that this process has deleted a Spider in the state of the given resource version.
func (v *Spiders) Remove(namespace, ref, resourceVersion string) {
	v.mu.Lock()
	if old := v.get(namespace, ref); old == nil || !newer(old.ResourceVersion, resourceVersion) {
		v.remove(namespace, ref)
		// What the watch has shown to be gone needs no memory; otherwise it is still to show that.
		if old != nil {
			v.removed[spiderName{namespace, ref}] = resourceVersion
		}
	}
	v.mu.Unlock()
	v.changed(namespace, ref)
}

// Set takes a state that the watch of the given scope shows.
func (v *Spiders) Set(scope string, spider *Spider) {
	v.mu.Lock()
	v.progress.advance(scope, spider.ResourceVersion)
	old := v.get(spider.Namespace, spider.Ref)
	stale := v.isRemoved(spider) || old != nil && older(spider.ResourceVersion, old.ResourceVersion)
	if !stale {
		v.set(spider)
	}
	v.mu.Unlock()
	if !stale {
		v.changed(spider.Namespace, spider.Ref)
	}
}

// Delete takes the watch's word that a Spider is gone; spider is its last state.
func (v *Spiders) Delete(scope string, spider *Spider) {
	v.mu.Lock()
	v.progress.advance(scope, spider.ResourceVersion)
	if !v.isRemoved(spider) { // Else it is an earlier Spider of that name.
		delete(v.removed, spiderName{spider.Namespace, spider.Ref})
	}
	if old := v.get(spider.Namespace, spider.Ref); old != nil && !older(spider.ResourceVersion, old.ResourceVersion) {
		v.remove(spider.Namespace, spider.Ref)
	}
	v.mu.Unlock()
	v.changed(spider.Namespace, spider.Ref)
}

// Replace takes the complete state of a scope as of a resource version, in one step. Of what differs only this process's own
// newer writes are kept.
func (v *Spiders) Replace(scope string, spiders []*Spider, resourceVersion string) {
	v.mu.Lock()
	touched := make(map[spiderName]bool, len(spiders))
	for _, spider := range spiders {
		touched[spiderName{spider.Namespace, spider.Ref}] = true
		old := v.get(spider.Namespace, spider.Ref)
		if v.isRemoved(spider) || old != nil && old.unconfirmed && newer(old.ResourceVersion, spider.ResourceVersion) {
			continue
		}
		v.set(spider)
	}
	for namespace, set := range v.namespaces {
		if scope != "" && scope != namespace {
			continue
		}
		for ref, spider := range set.byRef {
			k := spiderName{namespace, ref}
			if !touched[k] && !(spider.unconfirmed && newer(spider.ResourceVersion, resourceVersion)) {
				v.remove(namespace, ref)
				touched[k] = true
			}
		}
	}
	for k := range v.removed {
		if !touched[k] && (scope == "" || scope == k.namespace) {
			delete(v.removed, k)
		}
	}
	v.progress[scope] = resourceVersion
	v.mu.Unlock()
	for k := range touched {
		v.changed(k.namespace, k.ref)
	}
}

// isRemoved reports whether this process has deleted the Spider in this state or a later one.
func (v *Spiders) isRemoved(spider *Spider) bool {
	resourceVersion, found := v.removed[spiderName{spider.Namespace, spider.Ref}]
	return found && !newer(spider.ResourceVersion, resourceVersion)
}

func (v *Spiders) get(namespace, ref string) *Spider {
	if set := v.namespaces[namespace]; set != nil {
		return set.byRef[ref]
	}
	return nil
}

func (v *Spiders) set(spider *Spider) {
	v.remove(spider.Namespace, spider.Ref)
	delete(v.removed, spiderName{spider.Namespace, spider.Ref})
	set := v.namespaces[spider.Namespace]
	if set == nil {
		set = &spiderSet{
			byRef: map[string]*Spider{}, byID: map[uuid.UUID]*Spider{}, byName: map[string][]*Spider{},
			byUserID: map[string]*btree.BTreeG[*Spider]{},
		}
		v.namespaces[spider.Namespace] = set
	}
	set.byRef[spider.Ref] = spider
	set.byID[spider.ID] = spider
	set.byName[spider.Name] = append(set.byName[spider.Name], spider)
	if set.byUserID[spider.UserID] == nil {
		set.byUserID[spider.UserID] = btree.NewBTreeGOptions(
			func(a, b *Spider) bool { return compareNewest(a.Position(), b.Position()) < 0 },
			btree.Options{NoLocks: true, Degree: 16},
		)
	}
	set.byUserID[spider.UserID].Set(spider)
}

func (v *Spiders) remove(namespace, ref string) {
	set := v.namespaces[namespace]
	if set == nil {
		return
	}
	old := set.byRef[ref]
	if old == nil {
		return
	}
	delete(set.byRef, ref)
	// Two objects of a namespace have one id when somebody names an object by the id of another: neither removes the other.
	if set.byID[old.ID] == old {
		delete(set.byID, old.ID)
	}
	if tree := set.byUserID[old.UserID]; tree != nil {
		tree.Delete(old)
		if tree.Len() == 0 {
			delete(set.byUserID, old.UserID)
		}
	}
	others := slices.DeleteFunc(set.byName[old.Name], func(s *Spider) bool { return s == old })
	if len(others) == 0 {
		delete(set.byName, old.Name)
	} else {
		set.byName[old.Name] = others
	}
	if len(set.byRef) == 0 {
		delete(v.namespaces, namespace)
	}
}
