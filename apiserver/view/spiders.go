package view

import (
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Spider is what the facade needs to know of a Spider. It never changes.
type Spider struct {
	ID              uuid.UUID
	Namespace       string
	Ref             string // The name of the resource.
	Name            string // The name Scrapy and REST callers know it by.
	RepoPath        string
	UserID          string // Empty when the Spider is shared by its namespace.
	AllowedSettings []string
	TimeoutSeconds  *int64 // Nil for no limit.
	Retries         int32
}

// VisibleTo reports whether the given user of the Spider's namespace may see and run it.
func (s *Spider) VisibleTo(user string) bool { return s.UserID == "" || s.UserID == user }

// FromSpider returns the compact form of a Spider.
func FromSpider(spider *v1alpha1.Spider) (*Spider, error) {
	id, err := uuid.Parse(spider.ID())
	if err != nil {
		return nil, err
	}
	s := &Spider{
		ID:              id,
		Namespace:       intern(spider.Namespace),
		Ref:             spider.Name,
		Name:            spider.SpiderName(),
		RepoPath:        spider.Spec.RepoPath,
		UserID:          intern(spider.Spec.UserID),
		AllowedSettings: spider.Spec.AllowedSettings,
		TimeoutSeconds:  spider.Spec.TimeoutSeconds,
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
}

type spiderSet struct {
	byRef  map[string]*Spider
	byID   map[uuid.UUID]*Spider
	byName map[string][]*Spider
}

// NewSpiders returns an empty view.
func NewSpiders() *Spiders {
	return &Spiders{changed: func(string, string) {}, namespaces: map[string]*spiderSet{}}
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

// Set takes a state that a watch shows.
func (v *Spiders) Set(_ string, spider *Spider) {
	v.mu.Lock()
	v.set(spider)
	v.mu.Unlock()
	v.changed(spider.Namespace, spider.Ref)
}

// Delete takes a watch's word that a Spider is gone.
func (v *Spiders) Delete(_ string, spider *Spider) {
	v.mu.Lock()
	v.remove(spider.Namespace, spider.Ref)
	v.mu.Unlock()
	v.changed(spider.Namespace, spider.Ref)
}

// Replace takes the complete state of a scope: a namespace, or all of them when it is empty.
func (v *Spiders) Replace(scope string, spiders []*Spider, _ string) {
	v.mu.Lock()
	type key struct{ namespace, ref string }
	touched := make(map[key]bool, len(spiders))
	for _, spider := range spiders {
		v.set(spider)
		touched[key{spider.Namespace, spider.Ref}] = true
	}
	for namespace, set := range v.namespaces {
		if scope != "" && scope != namespace {
			continue
		}
		for ref := range set.byRef {
			if k := (key{namespace, ref}); !touched[k] {
				v.remove(namespace, ref)
				touched[k] = true
			}
		}
	}
	v.mu.Unlock()
	for k := range touched {
		v.changed(k.namespace, k.ref)
	}
}

func (v *Spiders) set(spider *Spider) {
	v.remove(spider.Namespace, spider.Ref)
	set := v.namespaces[spider.Namespace]
	if set == nil {
		set = &spiderSet{byRef: map[string]*Spider{}, byID: map[uuid.UUID]*Spider{}, byName: map[string][]*Spider{}}
		v.namespaces[spider.Namespace] = set
	}
	set.byRef[spider.Ref] = spider
	set.byID[spider.ID] = spider
	set.byName[spider.Name] = append(set.byName[spider.Name], spider)
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
	delete(set.byID, old.ID)
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
