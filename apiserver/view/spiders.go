package view

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Spider is what the REST API needs to know of a Spider. It never changes: a newer state of the Spider is another one.
type Spider struct {
	ID              uuid.UUID
	Namespace       string
	ResourceName    string // The name of the resource.
	ResourceVersion string
	Name            string // The spider's name in Scrapy and in the REST API.
	RepoPath        string
	Description     string
	UserID          string // Empty if the Spider is shared by its namespace.
	Created         int64  // In seconds since 1970.
	Generation      int64  // Counts the changes of the Spider's fields.
	// Settings is a JSON object of strings; empty when there are none.
	Settings string
	// Tags are sorted.
	Tags []string
	// Group is the group of spiders that share a limit; empty for none.
	Group string
	// Allows is what the Spider allows its runs.
	Allows allowed.Rules

	kept   note
	bornAt uint64
}

func (s *Spider) ref() ref        { return ref{s.Namespace, s.ResourceName} }
func (s *Spider) version() string { return s.ResourceVersion }
func (s *Spider) note() *note     { return &s.kept }
func (s *Spider) born() *uint64   { return &s.bornAt }

// VisibleTo reports whether callers of this spec.userID, in the Spider's namespace, may see and run it.
func (s *Spider) VisibleTo(userID string) bool { return s.UserID == "" || s.UserID == userID }

// Owner returns the user to show as the Spider's owner: its own, or the namespace itself if that shares it.
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
		ID:              id,
		Namespace:       intern(spider.Namespace),
		ResourceName:    spider.Name,
		ResourceVersion: spider.ResourceVersion,
		Name:            spider.SpiderName(),
		RepoPath:        spider.Spec.RepoPath,
		Description:     spider.Spec.Description,
		UserID:          intern(spider.Spec.UserID),
		Created:         seconds(&spider.CreationTimestamp),
		Generation:      spider.Generation,
		Settings:        settings,
		Tags:            slices.Sorted(slices.Values(spider.Spec.Tags)),
		Allows:          allowed.Of(&spider.Spec),
	}
	if limit := spider.Spec.Concurrency; limit != nil {
		s.Group = limit.Group
	}
	return s, nil
}

// Spiders is the view of all Spiders of the watched namespaces. It is safe for concurrent use.
type Spiders struct {
	Store[*Spider]

	sets map[string]*spiderSet // by namespace; guarded by the Store's lock
}

// spiderSet holds the Spiders of one namespace.
type spiderSet struct {
	ids    ids[*Spider]
	byName map[string][]*Spider
	// byUserID holds the Spiders of each user, and under "" those that the namespace shares, newest first.
	byUserID map[string]*btree.BTreeG[*Spider]
}

// NewSpiders returns an empty view.
func NewSpiders() *Spiders {
	v := &Spiders{sets: map[string]*spiderSet{}}
	v.init(v)
	return v
}

// OnChange sets a function that is called, without any lock, after a Spider was added, changed or removed. Set it before the
// view is first written to.
func (v *Spiders) OnChange(changed func(namespace, ref string)) { v.changed = changed }

// ByID returns the Spider with this id that the user may see, or nil.
func (v *Spiders) ByID(namespace, userID string, id uuid.UUID) *Spider {
	if spider := v.byID(namespace, id); spider != nil && spider.VisibleTo(userID) {
		return spider
	}
	return nil
}

func (v *Spiders) byID(namespace string, id uuid.UUID) *Spider {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.sets[namespace]
	if set == nil {
		return nil
	}
	return set.ids.get(id, v.objects[namespace])
}

// ByName returns the Spiders of this name that the user may see.
func (v *Spiders) ByName(namespace, userID, name string) []*Spider {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.sets[namespace]
	if set == nil {
		return nil
	}
	var visible []*Spider
	for _, spider := range set.byName[name] {
		if spider.VisibleTo(userID) {
			visible = append(visible, spider)
		}
	}
	return visible
}

// SpiderNames implements SpiderNamer.
func (v *Spiders) SpiderNames(namespace, resource string) (name, repoPath string, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	spider, ok := v.get(ref{namespace, resource})
	if !ok {
		return "", "", false
	}
	return spider.Name, spider.RepoPath, true
}

// Group returns the group of a Spider; empty if it has none, or there is no such Spider.
func (v *Spiders) Group(namespace, resource string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if spider, found := v.get(ref{namespace, resource}); found {
		return spider.Group
	}
	return ""
}

// SpiderQuery selects Spiders among those that a user may see.
type SpiderQuery struct {
	Namespace, UserID string
	// NamePart is a part of the name, in upper or lower case; empty for any name.
	NamePart string
	// After is the position after which the page begins. Nil begins with the newest Spider.
	After *Position
	// Limit is the largest number of Spiders to return, at least 1.
	Limit int
}

// List returns the Spiders that match the query, newest first, and whether more follow.
func (v *Spiders) List(q SpiderQuery) (spiders []*Spider, more bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.sets[q.Namespace]
	if set == nil {
		return nil, false
	}
	owners := []string{""}
	if q.UserID != "" {
		owners = append(owners, q.UserID)
	}
	for _, userID := range owners {
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

// spidersOf returns the tree's first Spiders that match the query, one more than its limit.
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

// Put takes an answer of Kubernetes to a read or a write of this process, so that it is visible before the watch shows it. It
// returns what the view then knows: the given state, a newer one, or nil if the Spider is known to be gone since.
func (v *Spiders) Put(object *v1alpha1.Spider) (*Spider, error) {
	spider, err := FromSpider(object)
	if err != nil {
		return nil, err
	}
	known, _ := v.put(spider)
	return known, nil
}

// Written takes an answer of Kubernetes to a write of this process, and returns what the view then knows: the written state or
// a newer one. If the watch already saw the Spider deleted, it still returns the state that was written.
func (v *Spiders) Written(object *v1alpha1.Spider) (*Spider, error) {
	spider, err := FromSpider(object)
	if err != nil {
		return nil, err
	}
	return v.written(spider), nil
}

// swap implements kind.
func (v *Spiders) swap(was, is *Spider) {
	if was != nil {
		v.sets[was.Namespace].remove(was)
	}
	if is != nil {
		set := v.sets[is.Namespace]
		if set == nil {
			set = &spiderSet{ids: ids[*Spider]{}, byName: map[string][]*Spider{}, byUserID: map[string]*btree.BTreeG[*Spider]{}}
			v.sets[is.Namespace] = set
		}
		set.add(is)
	}
	if was != nil && len(v.sets[was.Namespace].byName) == 0 {
		delete(v.sets, was.Namespace)
	}
}

// revealed implements kind.
func (*Spiders) revealed(*Spider) {}

// shown implements kind: changes of Spiders are only reported by OnChange.
func (*Spiders) shown(shown[*Spider]) {}

// relisted implements kind.
func (*Spiders) relisted(string, string, bool) {}

func (s *spiderSet) add(spider *Spider) {
	s.ids.add(spider.ID, spider)
	s.byName[spider.Name] = append(s.byName[spider.Name], spider)
	tree := s.byUserID[spider.UserID]
	if tree == nil {
		tree = btree.NewBTreeGOptions(newerSpider, btree.Options{NoLocks: true, Degree: 16})
		s.byUserID[spider.UserID] = tree
	}
	tree.Set(spider)
}

func (s *spiderSet) remove(spider *Spider) {
	s.ids.remove(spider.ID, spider)
	tree := s.byUserID[spider.UserID]
	tree.Delete(spider)
	if tree.Len() == 0 {
		delete(s.byUserID, spider.UserID)
	}
	others := slices.DeleteFunc(s.byName[spider.Name], func(other *Spider) bool { return other == spider })
	if len(others) == 0 {
		delete(s.byName, spider.Name)
	} else {
		s.byName[spider.Name] = others
	}
}

// newerSpider orders Spiders as newestFirst orders jobs.
func newerSpider(a, b *Spider) bool {
	return cmp.Or(compareNewest(a.Position(), b.Position()), cmp.Compare(a.ResourceName, b.ResourceName)) < 0
}
