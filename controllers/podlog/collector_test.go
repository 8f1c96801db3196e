package podlog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// bench is a started Collector on a kubelet in memory, in a time of its own.
type bench struct {
	*testing.T
	kubelet   *kubelet
	collector *Collector
	stop      func() // stops the collector and waits for it
}

// onBench runs a test on a bench. Afterwards nothing may be left open.
func onBench(t *testing.T, options Options, test func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet()
		c := New(k, options)
		ctx, cancel := context.WithCancel(context.Background())
		stopped := make(chan error)
		go func() { stopped <- c.Start(ctx) }()
		b := &bench{T: t, kubelet: k, collector: c, stop: func() {
			cancel()
			if err := <-stopped; err != nil {
				t.Errorf("Start returned %v", err)
			}
		}}
		test(b)
		if ctx.Err() == nil {
			b.stop()
		}
		if k.active != 0 {
			t.Errorf("%d logs are still open after the collector has stopped", k.active)
		}
	})
}

// after lets time pass and returns what is then known of a Pod.
func (b *bench) after(d time.Duration, pod string) Reading {
	b.Helper()
	time.Sleep(d)
	synctest.Wait()
	return b.collector.Reading(target(pod).UID)
}

func (b *bench) assertItems(r Reading, items int64, final bool) {
	b.Helper()
	if !r.Known || r.Counts.Items != items || r.Counts.Final != final {
		b.Errorf("known %v: %d items, final %v; want %d, final %v (error: %v)",
			r.Known, r.Counts.Items, r.Counts.Final, items, final, r.Err)
	}
}

// woken returns how often each SpiderJob has been woken since the last call.
func (b *bench) woken() map[string]int {
	synctest.Wait()
	woken := map[string]int{}
	for {
		select {
		case e := <-b.collector.Changes():
			woken[e.Object.GetNamespace()+"/"+e.Object.GetName()]++
			synctest.Wait()
		default:
			return woken
		}
	}
}

func TestSampleFollowsTheProgress(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write("Spider opened\n")
		b.collector.Want(target("a"), Sample)
		if r := b.after(6*time.Second, "a"); r != (Reading{}) {
			b.Errorf("a log without counts reads as %+v", r)
		}
		log.write(progressLine, 7)
		r := b.after(10*time.Second, "a")
		b.assertItems(r, 7, false)
		if r.Counts.Origin != v1alpha1.OriginScrapyLog || *r.Counts.Responses != 7 || time.Since(r.ObservedAt) > 10*time.Second {
			b.Errorf("reading %+v", r)
		}
		log.write(progressLine, 20)
		b.assertItems(b.after(10*time.Second, "a"), 20, false)
		log.write(progressLine, 3)
		b.assertItems(b.after(10*time.Second, "a"), 20, false)
		if got := b.woken()["shop/job-of-a"]; got < 1 || got > 2 {
			b.Errorf("woken %d times, want once for the first change and at most once for all that follow", got)
		}
		b.after(time.Minute, "a")
		if got := b.woken(); len(got) != 0 {
			b.Errorf("woken %v though nothing has changed", got)
		}
		for _, o := range b.kubelet.opensOf("a") {
			if o.options.Follow || o.options.Container != "spider" || *o.options.TailLines != 1000 || o.options.LimitBytes != nil {
				b.Errorf("opened with %+v", o.options)
			}
		}
	})
}

func TestSampleOfAClosingSpiderIsNotFinal(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(closingLines, 20, "finished")
		b.collector.Want(target("a"), Sample)
		r := b.after(10*time.Second, "a")
		b.assertItems(r, 20, false)
		if r.Counts.FinishReason != "" {
			b.Errorf("a running container has the finish reason %q", r.Counts.FinishReason)
		}
		log.write(progressLine+closingLines, 2, "finished")
		log.terminate()
		b.collector.Want(target("a"), Final)
		b.assertItems(b.after(time.Second, "a"), 2, true)
	})
}

func TestSampleComesFirstAfterHalfAnInterval(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		begun := time.Now()
		b.kubelet.run("a")
		b.collector.Want(target("a"), Sample)
		b.after(40*time.Second, "a")
		for i, o := range b.kubelet.opensOf("a") {
			if at := o.at.Sub(begun); at != 5*time.Second+time.Duration(i)*10*time.Second {
				b.Errorf("sample %d came after %v", i, at)
			}
		}
	})
}

// TestSamplesKeepToTheBudget starts Pods all at once: the reads are spread evenly, there are never more of them per second
// than the budget, and no Pod waits for longer than the interval in force.
func TestSamplesKeepToTheBudget(t *testing.T) {
	for _, test := range []struct {
		pods     int
		interval time.Duration // in force
	}{
		{1, 10 * time.Second},
		{7, 10 * time.Second},
		{100, 10 * time.Second},
		{1000, 100 * time.Second},
	} {
		t.Run(fmt.Sprint(test.pods), func(t *testing.T) {
			onBench(t, Options{}, func(b *bench) {
				begun := time.Now()
				for i := range test.pods {
					b.kubelet.run(fmt.Sprint(i))
					b.collector.Want(target(fmt.Sprint(i)), Sample)
				}
				b.after(4*test.interval, "0")

				least := max(100*time.Millisecond, 10*time.Second/time.Duration(test.pods))
				last := map[string]time.Time{}
				for i, o := range b.kubelet.opened {
					if i > 0 && o.at.Sub(b.kubelet.opened[i-1].at) < least {
						b.Fatalf("two reads within %v, want at least %v", o.at.Sub(b.kubelet.opened[i-1].at), least)
					}
					before, ok := last[o.target.Name]
					if !ok {
						before = begun
					}
					if waited := o.at.Sub(before); waited > test.interval+5*time.Second {
						b.Fatalf("a Pod waited for %v", waited)
					}
					last[o.target.Name] = o.at
				}
				if len(last) != test.pods {
					b.Errorf("%d of %d Pods were read", len(last), test.pods)
				}
			})
		})
	}
}

func TestSamplesStretchAndShrinkWithThePods(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for i := range 500 {
			b.kubelet.run(fmt.Sprint(i))
			b.collector.Want(target(fmt.Sprint(i)), Sample)
		}
		b.after(2*time.Minute, "0")
		for i := 1; i < 500; i++ {
			b.collector.Forget(target(fmt.Sprint(i)).UID)
		}
		before := len(b.kubelet.opensOf("0"))
		b.after(time.Minute, "0")
		if got := len(b.kubelet.opensOf("0")) - before; got < 5 || got > 7 {
			b.Errorf("the one Pod left was read %d times in a minute, want 6", got)
		}
	})
}

func TestSamplesOfOnePodKeepTheirDistanceWhenManyJoin(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.kubelet.run("0")
		b.collector.Want(target("0"), Sample)
		b.after(5*time.Second, "0")
		for i := 1; i < 100; i++ {
			b.kubelet.run(fmt.Sprint(i))
			b.collector.Want(target(fmt.Sprint(i)), Sample)
		}
		b.after(time.Minute, "0")
		opened := b.kubelet.opensOf("0")
		for i := 1; i < len(opened); i++ {
			if distance := opened[i].at.Sub(opened[i-1].at); distance < 10*time.Second {
				b.Errorf("read again after %v", distance)
			}
		}
	})
}

func TestSamplesOfOnePodDoNotOverlap(t *testing.T) {
	onBench(t, Options{Interval: time.Second}, func(b *bench) {
		b.kubelet.run("a").mute = true
		b.collector.Want(target("a"), Sample)
		b.after(time.Minute, "a")
		if got := len(b.kubelet.opened); b.kubelet.most > 1 || got < 8 || got > 12 {
			b.Errorf("%d reads of 5 s in a minute, %d at once", got, b.kubelet.most)
		}
	})
}

func TestSamplesEndWithTheMode(t *testing.T) {
	for _, mode := range []Mode{Follow, Final} {
		onBench(t, Options{}, func(b *bench) {
			b.kubelet.run("a").write(closingLines, 20, "finished")
			b.collector.Want(target("a"), Sample)
			b.after(20*time.Second, "a")
			before := len(b.kubelet.opened)
			b.collector.Want(target("a"), mode)
			b.after(5*time.Minute, "a")
			if got := len(b.kubelet.opened) - before; got != 1 {
				b.Errorf("in mode %v the log was opened %d times", mode, got)
			}
		})
	}
}

func TestFinalReadsTheLogOnce(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(progressLine+closingLines, 20, "closespider_errorcount")
		log.terminate()
		begun := time.Now()
		for range 3 {
			b.collector.Want(target("a"), Final)
			r := b.after(time.Second, "a")
			b.assertItems(r, 20, true)
			if !r.Done || r.Err != nil || r.Opened || r.Counts.FinishReason != "closespider_errorcount" || !r.Since.Equal(begun) {
				b.Errorf("reading %+v", r)
			}
			b.collector.Want(target("a"), Sample)
			b.collector.Want(target("a"), Follow)
		}
		b.after(time.Minute, "a")
		if got := len(b.kubelet.opened); got != 1 {
			b.Errorf("the log was read %d times", got)
		}
		if got := b.woken()["shop/job-of-a"]; got != 1 {
			b.Errorf("woken %d times", got)
		}
	})
}

func TestFinalWithoutCountsIsDoneToo(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(progressLine, 5)
		b.collector.Want(target("a"), Sample)
		b.after(10*time.Second, "a")
		log.change(func() { log.log = []byte("killed\n") })
		b.collector.Want(target("a"), Final)
		r := b.after(time.Second, "a")
		b.assertItems(r, 5, false)
		if !r.Done || r.Err != nil {
			b.Errorf("reading %+v", r)
		}
	})
}

func TestFinalIsTriedAgainWhereItMayHelp(t *testing.T) {
	kubeletSays := func(code int) error {
		return apierrors.NewGenericServerResponse(code, "get", schema.GroupResource{Resource: "pods/log"}, "a", "no", 0, false)
	}
	for name, err := range map[string]error{
		"the API server fails":            kubeletSays(http.StatusInternalServerError),
		"the kubelet is away":             kubeletSays(http.StatusBadGateway),
		"the container is not there yet":  kubeletSays(http.StatusBadRequest),
		"the kubelet does not know it":    kubeletSays(http.StatusNotFound),
		"the connection is refused":       fmt.Errorf("dial: %w", syscall.ECONNREFUSED),
		"the API server asks for respite": apierrors.NewTooManyRequests("later", 1),
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{}, func(b *bench) {
				log := b.kubelet.run("a")
				log.write(closingLines, 20, "finished")
				log.failures = []error{err, err, err, err}
				b.collector.Want(target("a"), Final)
				r := b.after(500*time.Millisecond, "a")
				if r.Done || r.Err == nil || !strings.Contains(r.Err.Error(), "shop/a") {
					b.Errorf("while it fails: %+v", r)
				}
				r = b.after(5*time.Second, "a")
				b.assertItems(r, 20, true)
				if !r.Done || r.Err != nil {
					b.Errorf("after it failed: %+v", r)
				}
			})
			onBench(t, Options{}, func(b *bench) {
				log := b.kubelet.run("a")
				for range 100 {
					log.failures = append(log.failures, err)
				}
				b.collector.Want(target("a"), Final)
				r := b.after(10*time.Second, "a")
				if !r.Done || !errors.Is(r.Err, err) {
					b.Errorf("after it failed for long: %+v", r)
				}
				if got := len(b.kubelet.opened); got < 4 || got > 10 {
					b.Errorf("tried %d times", got)
				}
			})
		})
	}
}

func TestFinalTriesAgainWhatTheKubeletCannotReadYet(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write("unable to retrieve container logs for containerd://0123")
		b.collector.Want(target("a"), Final)
		if r := b.after(time.Second, "a"); r.Done || r.Err == nil {
			b.Errorf("reading %+v", r)
		}
		log.change(func() { log.log = nil })
		log.write(closingLines, 20, "finished")
		b.assertItems(b.after(3*time.Second, "a"), 20, true)
	})
}

func TestFinalOfAPodThatIsGoneIsDoneAtOnce(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.collector.Want(target("a"), Final)
		r := b.after(0, "a")
		if !r.Done || r.Known || !apierrors.IsNotFound(r.Err) {
			b.Errorf("reading %+v", r)
		}
		b.after(time.Minute, "a")
		if got := len(b.kubelet.opened); got != 1 {
			b.Errorf("tried %d times", got)
		}
	})
}

func TestAServerThatNeverAnswersHoldsUpNobodyElse(t *testing.T) {
	onBench(t, Options{Concurrency: 4}, func(b *bench) {
		for i := range 20 {
			name := fmt.Sprint("mute-", i)
			b.kubelet.run(name).mute = true
			b.collector.Want(target(name), Sample)
		}
		sampled := b.kubelet.run("sampled")
		sampled.write(progressLine, 5)
		b.collector.Want(target("sampled"), Sample)
		ended := b.kubelet.run("ended")
		ended.write(closingLines, 20, "finished")

		time.Sleep(20 * time.Second)
		b.collector.Want(target("ended"), Final)
		b.assertItems(b.after(0, "ended"), 20, true)
		b.assertItems(b.after(time.Minute, "sampled"), 5, false)
		if b.kubelet.most > 4 {
			b.Errorf("%d logs were read at once", b.kubelet.most)
		}

		b.collector.Want(target("mute-0"), Final)
		r := b.after(15*time.Second, "mute-0")
		if !r.Done || !errors.Is(r.Err, context.DeadlineExceeded) {
			b.Errorf("reading %+v", r)
		}
	})
}

func TestFinalReadsAreBoundedInNumber(t *testing.T) {
	onBench(t, Options{Concurrency: 8}, func(b *bench) {
		for i := range 300 {
			log := b.kubelet.run(fmt.Sprint(i))
			log.endless = func([]byte) (int, error) {
				time.Sleep(10 * time.Millisecond)
				return 0, context.Canceled
			}
			b.collector.Want(target(fmt.Sprint(i)), Final)
		}
		time.Sleep(30 * time.Second)
		for i := range 300 {
			if r := b.after(0, fmt.Sprint(i)); !r.Done {
				b.Errorf("Pod %d: %+v", i, r)
			}
		}
		if b.kubelet.most > 4 {
			b.Errorf("%d logs were read at once", b.kubelet.most)
		}
	})
}

func TestForgetEndsEverything(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for _, mode := range []Mode{Sample, Follow, Final} {
			log := b.kubelet.run(mode.String())
			log.endless = flood(1000)
			b.collector.Want(target(mode.String()), mode)
		}
		b.after(7*time.Second, "sample")
		if b.kubelet.active == 0 {
			b.Fatal("nothing is open")
		}
		b.woken()
		for _, mode := range []Mode{Sample, Follow, Final} {
			b.collector.Forget(target(mode.String()).UID)
		}
		b.collector.Forget("never heard of")
		synctest.Wait()
		// The readers of the flood are asleep for up to half a minute; their logs are closed nevertheless.
		if b.kubelet.active != 0 || len(b.collector.pods) != 0 {
			b.Errorf("%d logs are open, %d Pods known", b.kubelet.active, len(b.collector.pods))
		}
		opened := len(b.kubelet.opened)
		if r := b.after(5*time.Minute, "follow"); r != (Reading{}) || len(b.woken()) != 0 || len(b.kubelet.opened) != opened {
			b.Errorf("a forgotten Pod was read: %+v", r)
		}
	})
}

func TestWantBeforeStartIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet()
		k.run("a").write(closingLines, 20, "finished")
		c := New(k, Options{})
		c.Want(target("a"), Final)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- c.Start(ctx) }()
		synctest.Wait()
		if r := c.Reading(target("a").UID); !r.Done {
			t.Errorf("reading %+v", r)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Want(target("b"), Follow)
		c.Forget(target("b").UID)
		synctest.Wait()
		if len(k.opened) != 1 {
			t.Errorf("a stopped collector reads on")
		}
	})
}

// TestChangesAreNeverLost has a receiver that is slow: it may see several changes as one, but never misses the last.
func TestChangesAreNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := newChanges()
		go changes.run(t.Context())
		var mu sync.Mutex
		latest, seen, received := map[string]int{}, map[string]int{}, 0
		go func() {
			for {
				select {
				case e := <-changes.events:
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
			changes.add(types.NamespacedName{Name: name})
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

func TestManyPodsTakeLittleMemory(t *testing.T) {
	const pods = 20000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	c := New(newKubelet(), Options{})
	before := heap()
	for i := range pods {
		c.Want(target(fmt.Sprint(i)), Sample)
	}
	if each := (heap() - before) / pods; each > 1536 {
		t.Errorf("a Pod takes %d bytes", each)
	}
	runtime.KeepAlive(c)
}
