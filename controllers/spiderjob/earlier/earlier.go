// Package earlier remembers how many items the runs of each Spider have scraped, for comparisons.
//
// A run that others may be compared with has a key (KeyOf) in its status. In the controller's cache, which drops the rest of
// ended SpiderJobs, key and items are packed into 24 bytes (Pack); a Runs keeps as much again for each, and learns of all of
// them from the watch: nothing is listed when a run ends.
package earlier

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

const (
	keyBytes    = 16
	packedBytes = keyBytes + 8
)

// KeyOf returns the key of the runs of one Spider and user with the same arguments: 22 characters, which reveal nothing about
// the arguments except whether they are the same.
func KeyOf(spider types.UID, user string, arguments map[string]v1alpha1.ArgumentValue) string {
	var key [keyBytes]byte
	whose := sha256.New()
	write(whose, string(spider))
	write(whose, user)
	copy(key[:8], whose.Sum(nil))
	how := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		write(how, name)
		write(how, string(arguments[name]))
	}
	copy(key[8:], how.Sum(nil))
	return base64.RawURLEncoding.EncodeToString(key[:])
}

// write adds a text so that different lists of texts never look the same.
func write(to hash.Hash, text string) {
	_ = binary.Write(to, binary.BigEndian, uint64(len(text))) // hashes do not fail
	_, _ = to.Write([]byte(text))
}

// Pack returns the key and the items of an ended SpiderJob in the fewest bytes, "" if it is not one to compare with. Packed
// text stays as it is: a cache may ask twice.
func Pack(st *v1alpha1.SpiderJobStatus) string {
	switch {
	case st.Phase != v1alpha1.PhaseFinished:
		return ""
	case len(st.ComparisonKey) == packedBytes:
		return st.ComparisonKey
	case st.Stats == nil || !st.Stats.Final:
		return ""
	}
	key, err := base64.RawURLEncoding.DecodeString(st.ComparisonKey)
	if err != nil || len(key) != keyBytes {
		return ""
	}
	return string(binary.BigEndian.AppendUint64(key, uint64(max(st.Stats.ItemsScraped, 0))))
}

// run is an ended run.
type run struct {
	finished  int64 // in seconds since 1970
	arguments uint64
	items     int64
}

func byTime(a, b run) int {
	return cmp.Or(cmp.Compare(a.finished, b.finished), cmp.Compare(a.arguments, b.arguments), cmp.Compare(a.items, b.items))
}

// Runs are the earlier runs in a cache of SpiderJobs, slimmed by Pack.
//
// It is a manager.Runnable, which starts when the process leads, and an event handler of the cache's informer.
type Runs struct {
	cache cache.Informers
	// registration is the registration of this handler, nil before the start.
	registration atomic.Pointer[toolscache.ResourceEventHandlerRegistration]

	mu sync.Mutex
	// of are the runs of each Spider and user, by the hash of both, the oldest first.
	of map[uint64][]run
}

// New returns an empty Runs, which follows the cache once it is started.
func New(informers cache.Informers) *Runs { return &Runs{cache: informers, of: map[uint64][]run{}} }

// Start follows the cache until ctx ends.
func (r *Runs) Start(ctx context.Context) error {
	informer, err := r.cache.GetInformer(ctx, &v1alpha1.SpiderJob{})
	var registration toolscache.ResourceEventHandlerRegistration
	if err == nil {
		registration, err = informer.AddEventHandler(r)
	}
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // It failed because the process is about to end.
	case err != nil:
		return fmt.Errorf("follow the SpiderJobs that have ended: %w", err)
	}
	r.registration.Store(&registration)
	<-ctx.Done()
	return nil
}

// HasSynced reports whether everything that the cache held at first is known.
func (r *Runs) HasSynced() bool {
	registration := r.registration.Load()
	return registration != nil && (*registration).HasSynced()
}

// Last returns the items of the last n runs of a key, the newest first; with anyArguments of all runs of the same Spider and
// user. There may be fewer.
func (r *Runs) Last(key string, anyArguments bool, n int) []int64 {
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil || len(raw) != keyBytes {
		return nil
	}
	whose, arguments := binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])
	r.mu.Lock()
	defer r.mu.Unlock()
	var items []int64
	for _, run := range slices.Backward(r.of[whose]) {
		if len(items) == n {
			break
		}
		if anyArguments || run.arguments == arguments {
			items = append(items, run.items)
		}
	}
	return items
}

// OnAdd is called for a SpiderJob that is new, or was there before.
func (r *Runs) OnAdd(obj any, _ bool) {
	if sj, ok := obj.(*v1alpha1.SpiderJob); ok {
		r.change(nil, sj)
	}
}

// OnUpdate is called for a SpiderJob that has changed.
func (r *Runs) OnUpdate(before, after any) {
	was, ok := before.(*v1alpha1.SpiderJob)
	is, ok2 := after.(*v1alpha1.SpiderJob)
	if ok && ok2 {
		r.change(was, is)
	}
}

// OnDelete is called for a SpiderJob that is gone.
func (r *Runs) OnDelete(obj any) {
	if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if sj, ok := obj.(*v1alpha1.SpiderJob); ok {
		r.change(sj, nil)
	}
}

func (r *Runs) change(was, is *v1alpha1.SpiderJob) {
	from, had := unpack(was)
	to, has := unpack(is)
	if !had && !has || had && has && from == to {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if had {
		r.remove(from)
	}
	if has {
		runs := r.of[to.whose]
		at, _ := slices.BinarySearchFunc(runs, to.run, byTime)
		r.of[to.whose] = slices.Insert(runs, at, to.run)
	}
}

func (r *Runs) remove(gone keyed) {
	runs := r.of[gone.whose]
	at, found := slices.BinarySearchFunc(runs, gone.run, byTime)
	switch {
	case !found:
	case len(runs) == 1:
		delete(r.of, gone.whose)
	default:
		r.of[gone.whose] = slices.Delete(runs, at, at+1)
	}
}

type keyed struct {
	whose uint64
	run
}

// unpack returns the run of a slimmed SpiderJob, and whether it is one to compare with.
func unpack(sj *v1alpha1.SpiderJob) (keyed, bool) {
	if sj == nil || len(sj.Status.ComparisonKey) != packedBytes || sj.Status.FinishedAt == nil {
		return keyed{}, false
	}
	raw := []byte(sj.Status.ComparisonKey)
	return keyed{binary.BigEndian.Uint64(raw), run{
		finished:  sj.Status.FinishedAt.Unix(),
		arguments: binary.BigEndian.Uint64(raw[8:]),
		items:     int64(binary.BigEndian.Uint64(raw[keyBytes:])), //nolint:gosec // as Pack wrote it
	}}, true
}
