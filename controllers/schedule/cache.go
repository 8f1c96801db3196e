package schedule

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Caches says what a cache keeps of SpiderSchedules.
func Caches() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&v1alpha1.SpiderSchedule{}: {Transform: func(obj any) (any, error) {
		if s, ok := obj.(*v1alpha1.SpiderSchedule); ok {
			keepEditTime(s)
		}
		return obj, nil
	}}}
}

// keepEditTime drops the managed fields of a schedule but for the time of the latest change of anything but its status.
func keepEditTime(s *v1alpha1.SpiderSchedule) {
	edited := editTime(s)
	s.ManagedFields = nil
	if !edited.IsZero() {
		s.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: edited}}}
	}
}

// editTime returns when anything of a schedule but its status was last changed, zero if that is unknown.
func editTime(s *v1alpha1.SpiderSchedule) time.Time {
	var edited time.Time
	for i := range s.ManagedFields {
		if entry := &s.ManagedFields[i]; entry.Subresource == "" {
			edited = latest(edited, timeOf(entry.Time))
		}
	}
	return edited
}

// written are the schedules as this process has last written them, until the cache shows them.
type written struct {
	mu        sync.Mutex
	schedules map[types.NamespacedName]*v1alpha1.SpiderSchedule
}

func newWritten() *written {
	return &written{schedules: map[types.NamespacedName]*v1alpha1.SpiderSchedule{}}
}

func (w *written) put(s *v1alpha1.SpiderSchedule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.schedules[client.ObjectKeyFromObject(s)] = s
}

// latest returns the newer of a schedule as the cache shows it and as it was last written.
func (w *written) latest(key types.NamespacedName, cached *v1alpha1.SpiderSchedule) *v1alpha1.SpiderSchedule {
	w.mu.Lock()
	defer w.mu.Unlock()
	own := w.schedules[key]
	if own == nil {
		return cached
	}
	order, err := resourceversion.CompareResourceVersion(cached.ResourceVersion, own.ResourceVersion)
	if err == nil && order < 0 && cached.UID == own.UID {
		return own
	}
	delete(w.schedules, key)
	return cached
}

// shown reports whether a schedule that the cache now shows is what this process has written itself: no news.
func (w *written) shown(s *v1alpha1.SpiderSchedule) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := client.ObjectKeyFromObject(s)
	own := w.schedules[key]
	if own == nil || own.ResourceVersion != s.ResourceVersion {
		return false
	}
	delete(w.schedules, key)
	return true
}

// forget drops what was written of a schedule that is gone.
func (w *written) forget(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.schedules, key)
}
