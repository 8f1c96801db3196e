package changes

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// TestChangesAreNeverLost checks that a slow receiver, which may see several changes as one, never misses the last.
func TestChangesAreNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := New()
		go queue.Run(t.Context())
		var mu sync.Mutex
		latest, seen, received := map[string]int{}, map[string]int{}, 0
		go func() {
			for {
				select {
				case e := <-queue.Events():
					time.Sleep(time.Millisecond)
					mu.Lock()
					seen[e.Object.GetName()] = latest[e.Object.GetName()]
					received++
					mu.Unlock()
				case <-t.Context().Done():
					return
				}
			}
		}()
		for i := range 10000 {
			name := fmt.Sprint(i % 10)
			mu.Lock()
			latest[name] = i
			mu.Unlock()
			queue.Add(types.NamespacedName{Name: name})
			if i%7 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(latest, seen); diff != "" {
			t.Errorf("the last changes (-made +seen):\n%s", diff)
		}
		if received > 1000 {
			t.Errorf("%d wakes were not coalesced", received)
		}
	})
}
