package quota

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// TestOnlyTheOldestParkedIsWoken checks that when a Pod has started, or a SpiderJob is gone, the oldest that is parked is
// woken, and no other.
func TestOnlyTheOldestParkedIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := New()
		go func() { _ = gate.Start(t.Context()) }()
		var woken []string
		go func() {
			for {
				select {
				case e := <-gate.Woken():
					woken = append(woken, e.Object.GetNamespace()+"/"+e.Object.GetName())
				case <-t.Context().Done():
					return
				}
			}
		}()
		job := func(i int) Job {
			key := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("run-", i)}
			return Job{Key: key, Created: epoch.Add(time.Duration(i) * time.Second)}
		}
		for i := range 4 {
			gate.Refused(job(i), full, epoch, epoch)
		}
		for _, i := range []int{7, 5, 6} { // not in their order
			if verdict := gate.Wants(job(i), epoch); verdict.Go {
				t.Fatalf("run-%d passes", i)
			}
		}
		other := Job{Key: types.NamespacedName{Namespace: "news", Name: "run"}, Created: epoch}
		if !gate.Wants(other, epoch).Go {
			t.Error("another namespace has to wait")
		}
		synctest.Wait()
		if len(woken) != 0 {
			t.Fatalf("%s were woken before there was room", woken)
		}
		gate.Started(job(1).Key, epoch)
		gate.Started(job(1).Key, epoch)
		gate.Gone(job(0).Key, epoch)
		synctest.Wait()
		if got := fmt.Sprint(woken); got != "[shop/run-5 shop/run-6]" {
			t.Errorf("woke %s, want the two oldest that are parked", got)
		}
		if gate.MayKeep(job(7), epoch) {
			t.Error("the youngest of five may keep its Job")
		}
		for i := range 8 {
			gate.Gone(job(i).Key, epoch)
		}
		gate.Gone(other.Key, epoch)
		if len(gate.lines) != 0 {
			t.Errorf("%d namespaces are remembered in which no SpiderJob waits", len(gate.lines))
		}
	})
}

// TestGateServesManyWorkersAtOnce calls the Gate from many goroutines at once.
func TestGateServesManyWorkersAtOnce(t *testing.T) {
	gate := New()
	var work sync.WaitGroup
	for worker := range 8 {
		work.Go(func() {
			for i := range 200 {
				key := types.NamespacedName{Namespace: fmt.Sprint("ns-", i%3), Name: fmt.Sprint("run-", worker, "-", i)}
				job := Job{Key: key, Created: epoch.Add(time.Duration(i) * time.Second)}
				gate.Refused(job, full, epoch, epoch)
				gate.MayKeep(job, epoch)
				gate.Wants(job, epoch)
				gate.Started(key, epoch)
			}
		})
	}
	work.Wait()
	if len(gate.lines) != 0 {
		t.Errorf("%d namespaces are remembered in which no SpiderJob waits", len(gate.lines))
	}
}
