package view

import (
	"slices"
)

// relistBatch is how many objects of a complete list are compared before the lock is released, so that no reader waits for
// long.
const relistBatch = 256

// relist takes a complete list of a scope. Readers see each object as it was before or as it is in the list.
type relist[T object] struct {
	store           *Store[T]
	scope           string
	resourceVersion string
	// name marks the objects that the list has shown.
	name uint8
	// progress is the progress of the watch before the list.
	progress string
	// restored says that the list is older than what the watch has shown: etcd was restored from a backup. Its resource versions
	// are then assigned a second time, to other states.
	restored bool
}

// Relist begins to take a complete list of a scope as of a resource version. page is called with all of its objects, in any
// number of pieces, and done after the last of them. Differences are handled as if the watch had shown them; of objects that
// are not listed only this process's own newer writes are kept. Do not use it at the same time as Set or Delete of the same
// scope.
func (s *Store[T]) Relist(scope, resourceVersion string) (page func([]T), done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[scope]++
	if s.lists[scope] == 0 { // 0 means no list at all.
		s.lists[scope]++
	}
	r := &relist[T]{
		store: s, scope: scope, resourceVersion: resourceVersion, name: s.lists[scope],
		progress: s.progress[scope], restored: older(resourceVersion, s.progress[scope]),
	}
	return r.page, r.done
}

// Replace takes a complete list of a scope in one piece.
func (s *Store[T]) Replace(scope string, objects []T, resourceVersion string) {
	page, done := s.Relist(scope, resourceVersion)
	page(objects)
	done()
}

func (r *relist[T]) page(objects []T) {
	for batch := range slices.Chunk(objects, relistBatch) {
		r.store.notify(r.compare(batch)...)
	}
}

// compare takes some objects of the list, and returns those that have changed.
func (r *relist[T]) compare(batch []T) (changed []ref) {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, is := range batch {
		was, found := s.get(is.ref())
		if r.restored {
			delete(s.removed, is.ref())
		}
		switch {
		case s.isRemoved(is):
			continue
		case found && !r.restored && was.note().unconfirmed && newer(was.version(), is.version()):
			was.note().listed = r.name
			if !was.note().shown {
				s.reveal(was, 0)
			}
			continue
		case found && !r.restored && !was.note().unconfirmed && was.version() == is.version():
			was.note().listed = r.name
			continue
		}
		is.note().shown = true
		s.place(is)
		is.note().listed = r.name
		s.kind.shown(r.shown(was, is, is.version()))
		changed = append(changed, is.ref())
	}
	return changed
}

func (r *relist[T]) shown(was, is T, resourceVersion string) shown[T] {
	return shown[T]{scope: r.scope, was: was, is: is, resourceVersion: resourceVersion, listed: true, progress: r.progress}
}

// done removes what the list has not shown. Before that it advances the progress of the scope: an object that this process
// reads meanwhile, but that does not exist any more and is no newer than the list, is not taken in.
func (r *relist[T]) done() {
	s := r.store
	s.mu.Lock()
	s.progress[r.scope] = r.resourceVersion
	for key, resourceVersion := range s.removed {
		if (r.scope == "" || r.scope == key.namespace) && (r.restored || !newer(resourceVersion, r.resourceVersion)) {
			delete(s.removed, key)
		}
	}
	var gone []ref
	for namespace, names := range s.objects {
		if r.scope != "" && r.scope != namespace {
			continue
		}
		seen := 0
		for _, was := range names {
			if r.missing(was) {
				s.drop(was)
				var none T
				s.kind.shown(r.shown(was, none, r.resourceVersion))
				gone = append(gone, was.ref())
			}
			if seen++; seen%relistBatch == 0 { // A map can be changed during a range over it.
				s.mu.Unlock()
				s.notify(gone...)
				gone = gone[:0]
				s.mu.Lock()
			}
		}
	}
	s.kind.relisted(r.scope, r.resourceVersion, r.restored)
	s.mu.Unlock()
	s.notify(gone...)
}

// missing reports whether an object no longer exists: the list has not shown it, and it is not a newer write of this process.
func (r *relist[T]) missing(o T) bool {
	n := o.note()
	return n.listed != r.name && (r.restored || !n.unconfirmed || !newer(o.version(), r.resourceVersion))
}
