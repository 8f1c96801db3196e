package queue

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// worker takes items in a goroutine of its own and hands them over.
func worker(q *Queue) <-chan string {
	got := make(chan string)
	go func() {
		defer close(got)
		for {
			item, shutdown := q.Get()
			if shutdown {
				return
			}
			got <- item.String()
			q.Done(item)
		}
	}()
	return got
}

// A worker that waits is woken by what is added, and by what is due at its time.
func TestWorkerIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Workers: 4})
		got := worker(q)
		synctest.Wait()
		start := time.Now()
		q.AddAfter(req("a/later"), time.Minute)
		synctest.Wait() // until that is planned, and the next comes sooner
		q.AddAfter(req("a/soon"), time.Second)
		q.Add(req("a/now"))
		for _, want := range []struct {
			name string
			at   time.Duration
		}{{"a/now", 0}, {"a/soon", time.Second}, {"a/later", time.Minute}} {
			if name := <-got; name != want.name || time.Since(start) != want.at {
				t.Errorf("after %s it takes %s, want %s after %s", time.Since(start), name, want.name, want.at)
			}
		}
		q.ShutDown()
		if name, more := <-got; more {
			t.Errorf("after the end it takes %s", name)
		}
	})
}

// What a limit has held back is taken when the limit lets it.
func TestWorkerIsWokenByTheEndOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Workers: 4})
		defer q.ShutDown()
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(Create)}, req("a/1"), req("a/2"), req("a/3"))
		for _, name := range []string{"a/1", "a/2"} {
			if item, _ := q.Get(); item != req(name) {
				t.Fatalf("%v is taken, want %s", item, name)
			}
		}
		got := worker(q)
		synctest.Wait()
		select {
		case name := <-got:
			t.Fatalf("%s is taken, a creation too many", name)
		default:
		}
		q.Done(req("a/1"))
		if name := <-got; name != "a/3" {
			t.Errorf("then %s is taken", name)
		}
	})
}

// What has failed waits for its back-off, which Forget ends.
func TestQueueBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Workers: 1})
		defer q.ShutDown()
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(Stop)}, req("a/1"))
		start := time.Now()
		for _, want := range []struct {
			class int
			at    time.Duration
		}{{Stop, 0}, {Routine, 5 * time.Millisecond}, {Routine, 15 * time.Millisecond}} {
			item, class, _ := q.GetWithPriority()
			if class != want.class || time.Since(start) != want.at {
				t.Errorf("after %s it is taken with class %d, want %+v", time.Since(start), class, want)
			}
			if got, ok := q.ClassOf(item); got != class || !ok {
				t.Errorf("ClassOf says %d, %t", got, ok)
			}
			q.AddRateLimited(item)
			q.Done(item)
		}
		if n := q.NumRequeues(req("a/1")); n != 3 {
			t.Errorf("it has failed %d times", n)
		}
		q.Forget(req("a/1"))
		if n := q.NumRequeues(req("a/1")); n != 0 {
			t.Errorf("forgotten, it has failed %d times", n)
		}
	})
}

// ShutDown frees every worker at once, and what comes later is dropped.
func TestShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Workers: 4})
		workers := []<-chan string{worker(q), worker(q), worker(q)}
		synctest.Wait()
		q.ShutDown()
		q.ShutDown()
		q.Add(req("a/1"))
		for _, got := range workers {
			if name, more := <-got; more {
				t.Errorf("%s is taken", name)
			}
		}
		if _, _, ok := q.TryGet(); ok || q.Len() != 0 || !q.ShuttingDown() {
			t.Errorf("it holds %d and goes on", q.Len())
		}
	})
}

// ShutDownWithDrain waits for what is in progress.
func TestShutDownWithDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Workers: 4})
		q.Add(req("a/1"))
		q.Add(req("a/2"))
		q.Get()
		drained := make(chan struct{})
		go func() {
			q.ShutDownWithDrain()
			close(drained)
		}()
		synctest.Wait()
		select {
		case <-drained:
			t.Fatal("it does not wait")
		default:
		}
		q.Done(req("a/1"))
		<-drained
	})
}

// TryGet needs neither goroutines nor timers: a simulation steps its own clock.
func TestTryGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{Workers: 1})
		q.AddWithOpts(priorityqueue.AddOpts{After: time.Second, Priority: ptr.To(End)}, req("a/1"))
		if item, _, ok := q.TryGet(); ok {
			t.Errorf("%v is taken before its time", item)
		}
		due, ok := q.NextDue()
		if !ok || time.Until(due) != time.Second {
			t.Errorf("the next is due in %s", time.Until(due))
		}
		time.Sleep(time.Until(due)) // the bubble's clock
		if q.Len() != 1 {
			t.Errorf("%d wait", q.Len())
		}
		if item, class, ok := q.TryGet(); !ok || item != req("a/1") || class != End {
			t.Errorf("%v is taken with class %d, %t", item, class, ok)
		}
		// The bubble ends only when no goroutine is left, and nothing was shut down.
	})
}

// With many workers and many who add, no item is ever with two workers, no namespace holds more than it may, and what was added
// last is worked on after that.
func TestManyWorkers(t *testing.T) {
	const workers, adders, items, adds = 16, 8, 40, 2000
	q := New(Options{Workers: workers})
	var busy [items]atomic.Int32
	var wanted, seen [items]atomic.Int64
	index := map[reconcile.Request]int{}
	requests := make([]reconcile.Request, items)
	for i := range requests {
		requests[i] = req(fmt.Sprintf("%c/%d", 'a'+i%3, i))
		index[requests[i]] = i
	}
	var working, adding sync.WaitGroup
	for range workers {
		working.Go(func() {
			for {
				item, shutdown := q.Get()
				if shutdown {
					return
				}
				i := index[item]
				if busy[i].Add(1) != 1 {
					t.Errorf("%v is with two workers", item)
				}
				seen[i].Store(wanted[i].Load())
				busy[i].Add(-1)
				q.Done(item)
			}
		})
	}
	for n := range adders {
		adding.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for range adds {
				i := random.IntN(items)
				wanted[i].Add(1)
				after := time.Duration(0)
				if random.IntN(4) == 0 {
					after = time.Duration(random.IntN(1000)) * time.Microsecond
				}
				q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(classes[random.IntN(int(ranks))]), After: after}, requests[i])
			}
		})
	}
	adding.Wait()
	for i := range requests {
		for seen[i].Load() != wanted[i].Load() {
			time.Sleep(time.Millisecond) // real goroutines are raced here, so the time is real too; a lost item hangs until -timeout
		}
	}
	q.ShutDownWithDrain()
	working.Wait()
}
