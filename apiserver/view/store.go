package view

import (
	"sync"
)

// object is what a Store has to know of its objects. An object never changes, except for its note: a newer state is another
// object.
type object interface {
	comparable
	// ref names the resource.
	ref() ref
	// version is the resource version.
	version() string
	// note is what the Store keeps with the object, and born the resource version at which the object was created; 0 if unknown.
	// The Store's lock guards both.
	note() *note
	born() *uint64
}

// ref names a resource of a kind.
type ref struct{ namespace, name string }

// note is what a Store keeps with an object. Its lock guards it.
type note struct {
	// unconfirmed says that this state comes from a write of this process that the watch has not shown yet; shown, that the watch
	// has shown the object in some state.
	unconfirmed, shown bool
	// listed identifies the last complete list that has shown the object.
	listed uint8
}

// kind handles the changes of a Store for one kind of object. Its methods are called with the Store's lock held. The zero value
// means no object.
type kind[T object] interface {
	// swap replaces was by is in the kind's own indexes.
	swap(was, is T)
	// revealed reports that Kubernetes has shown an object that is known from an own write, in an earlier state.
	revealed(o T)
	// shown reports that Kubernetes has shown is in place of was.
	shown(change shown[T])
	// relisted reports that a complete list of the scope was taken. restored says that it is older than what was shown before.
	relisted(scope, resourceVersion string, restored bool)
}

// shown is a change that Kubernetes has shown.
type shown[T object] struct {
	scope   string
	was, is T
	// resourceVersion is the progress of the watch of the scope with the change.
	resourceVersion string
	// listed says that a complete list has shown it, which has no order of changes; progress is the progress of the watch of the
	// scope before the list.
	listed   bool
	progress string
}

// Store keeps the newest known state of all objects of one kind. A watch writes to it, and so does this process with what
// Kubernetes has answered, so that a caller sees its own writes at once: the newer state wins, whichever comes first. It is
// safe for concurrent use.
type Store[T object] struct {
	kind kind[T]
	// changed is called, with no lock held, after an object was added, changed or removed.
	changed func(namespace, name string)

	mu       sync.RWMutex
	objects  map[string]map[string]T // by namespace and name
	count    int
	progress progress
	// removed are the objects that this process has deleted and that the watch may still show, each with its last resource
	// version.
	removed map[ref]string
	// lists identifies, by scope, the last complete list.
	lists map[string]uint8
}

func (s *Store[T]) init(k kind[T]) {
	s.kind, s.changed = k, func(string, string) {}
	s.objects, s.progress = map[string]map[string]T{}, progress{}
	s.removed, s.lists = map[ref]string{}, map[string]uint8{}
}

// Len returns the number of objects.
func (s *Store[T]) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count
}

// Set takes a state from the watch of the given scope.
func (s *Store[T]) Set(scope string, is T) {
	s.mu.Lock()
	s.progress.advance(scope, is.version())
	was, found := s.get(is.ref())
	stale := s.isRemoved(is) || found && older(is.version(), was.version())
	first := !found || !was.note().shown
	if stale && found && first { // The newer state comes from an own write. Subscribers see it from now on.
		s.reveal(was, number(is.version()))
	}
	if !stale {
		is.note().shown = true
		if first {
			*is.born() = number(is.version())
		}
		s.place(is)
		s.kind.shown(shown[T]{scope: scope, was: was, is: is, resourceVersion: is.version()})
	}
	s.mu.Unlock()
	if !stale {
		s.notify(is.ref())
	}
}

// Delete takes a deletion from the watch; last is the object's last state.
func (s *Store[T]) Delete(scope string, last T) {
	key := last.ref()
	s.mu.Lock()
	s.progress.advance(scope, last.version())
	if !s.isRemoved(last) { // Otherwise it is an earlier object of that name.
		delete(s.removed, key)
	}
	was, found := s.get(key)
	gone := found && !older(last.version(), was.version())
	if gone {
		s.drop(was)
		s.kind.shown(shown[T]{scope: scope, was: was, resourceVersion: last.version()})
	}
	s.mu.Unlock()
	if gone {
		s.notify(key)
	}
}

// Bookmark takes the progress of the watch of the scope, if there was nothing else to show.
func (s *Store[T]) Bookmark(scope, resourceVersion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.advance(scope, resourceVersion)
}

// put takes an answer of Kubernetes to a read or a write of this process, so that it is visible before the watch shows it. It
// returns what is then known: the given state, or a newer one. ok is false if the object is known to be gone since.
func (s *Store[T]) put(is T) (known T, ok bool) {
	is.note().unconfirmed = true
	s.mu.Lock()
	was, found := s.get(is.ref())
	switch {
	case s.isRemoved(is), !found && !newer(is.version(), s.progress.of(is.ref().namespace)):
		s.mu.Unlock()
		return known, false
	case found && !newer(is.version(), was.version()):
		s.mu.Unlock()
		return was, true
	}
	s.place(is)
	s.mu.Unlock()
	s.notify(is.ref())
	return is, true
}

// written takes an answer of Kubernetes to a write of this process. Unlike put, it returns the written state even if the object
// is known to be gone since.
func (s *Store[T]) written(is T) T {
	if known, ok := s.put(is); ok {
		return known
	}
	return is
}

// Remove records that this process has deleted an object in the state of the given resource version.
func (s *Store[T]) Remove(namespace, name, resourceVersion string) {
	key := ref{namespace, name}
	s.mu.Lock()
	was, found := s.get(key)
	gone := found && !newer(was.version(), resourceVersion)
	if gone { // Only a deletion that the watch has not shown yet has to be remembered.
		s.drop(was)
		s.removed[key] = resourceVersion
	}
	s.mu.Unlock()
	if gone {
		s.notify(key)
	}
}

// isRemoved reports whether this process has deleted the object in this state or a later one.
func (s *Store[T]) isRemoved(o T) bool {
	resourceVersion, found := s.removed[o.ref()]
	return found && !newer(o.version(), resourceVersion)
}

func (s *Store[T]) get(key ref) (o T, found bool) {
	o, found = s.objects[key.namespace][key.name]
	return o, found
}

// place replaces the object of its name, if there is one.
func (s *Store[T]) place(is T) {
	key := is.ref()
	was, found := s.get(key)
	if n := is.note(); found {
		n.listed, n.shown = was.note().listed, n.shown || was.note().shown
		if *is.born() == 0 {
			*is.born() = *was.born()
		}
	} else {
		s.count++
	}
	delete(s.removed, key)
	names := s.objects[key.namespace]
	if names == nil {
		names = map[string]T{}
		s.objects[key.namespace] = names
	}
	names[key.name] = is
	s.kind.swap(was, is)
}

// reveal records that the watch has shown an object that is known from an own write.
func (s *Store[T]) reveal(o T, born uint64) {
	o.note().shown, *o.born() = true, born
	s.kind.revealed(o)
}

func (s *Store[T]) drop(was T) {
	key := was.ref()
	names := s.objects[key.namespace]
	delete(names, key.name)
	if len(names) == 0 {
		delete(s.objects, key.namespace)
	}
	s.count--
	var none T
	s.kind.swap(was, none)
}

func (s *Store[T]) notify(keys ...ref) {
	for _, key := range keys {
		s.changed(key.namespace, key.name)
	}
}
