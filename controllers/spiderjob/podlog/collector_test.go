package podlog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
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
		if k.open() != 0 {
			t.Errorf("%d logs are still open after the collector has stopped", k.open())
		}
	})
}

// inside has a test look at the Collector's own state, under its mutex.
func (b *bench) inside(look func(*Collector)) {
	b.Helper()
	b.collector.mu.Lock()
	defer b.collector.mu.Unlock()
	look(b.collector)
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

func TestMuteLogsDelayNoOtherReads(t *testing.T) {
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
		if b.kubelet.peak() > 4 {
			b.Errorf("%d logs were read at once", b.kubelet.peak())
		}

		b.collector.Want(target("mute-0"), Final)
		r := b.after(15*time.Second, "mute-0")
		if !r.Done || !errors.Is(r.Err, context.DeadlineExceeded) {
			b.Errorf("reading %+v", r)
		}
	})
}

func TestForgetEndsEveryModeOfReading(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for _, mode := range []Mode{Sample, Follow, Final} {
			log := b.kubelet.run(mode.String())
			log.endless = flood(1000)
			b.collector.Want(target(mode.String()), mode)
		}
		b.after(7*time.Second, "sample")
		if b.kubelet.open() == 0 {
			b.Fatal("nothing is open")
		}
		b.woken()
		for _, mode := range []Mode{Sample, Follow, Final} {
			b.collector.Forget(target(mode.String()).UID)
		}
		b.collector.Forget("never heard of")
		synctest.Wait()
		// The readers of the flood are asleep for up to half a minute; their logs are closed nevertheless.
		b.inside(func(c *Collector) {
			if b.kubelet.open() != 0 || len(c.pods) != 0 {
				b.Errorf("%d logs are open, %d Pods known", b.kubelet.open(), len(c.pods))
			}
		})
		opened := len(b.kubelet.openings())
		if r := b.after(5*time.Minute, "follow"); r != (Reading{}) || len(b.woken()) != 0 || len(b.kubelet.openings()) != opened {
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
		if len(k.openings()) != 1 {
			t.Errorf("a stopped collector reads on")
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
