package podlog

import (
	"fmt"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestSampleFollowsTheProgress(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write("Spider opened\n")
		b.collector.Want(target("a"), Sample)
		if r := b.after(6*time.Second, "a"); r.Known || r.Read.IsZero() {
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
		b.assertItems(b.after(time.Second, "a"), 22, true) // of two crawls
	})
}

func TestFirstSampleComesAfterHalfAnInterval(t *testing.T) {
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
				opened := b.kubelet.openings()
				for i, o := range opened {
					if i > 0 && o.at.Sub(opened[i-1].at) < least {
						b.Fatalf("two reads within %v, want at least %v", o.at.Sub(opened[i-1].at), least)
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

func TestSampleIntervalFollowsTheNumberOfPods(t *testing.T) {
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

func TestSamplesOfOnePodKeepTheirIntervalWhenManyJoin(t *testing.T) {
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
		if got := len(b.kubelet.openings()); b.kubelet.peak() > 1 || got < 8 || got > 12 {
			b.Errorf("%d reads of 5 s in a minute, %d at once", got, b.kubelet.peak())
		}
	})
}

func TestSamplesEndWithTheMode(t *testing.T) {
	for _, mode := range []Mode{Follow, Final} {
		onBench(t, Options{}, func(b *bench) {
			b.kubelet.run("a").write(closingLines, 20, "finished")
			b.collector.Want(target("a"), Sample)
			b.after(20*time.Second, "a")
			before := len(b.kubelet.openings())
			b.collector.Want(target("a"), mode)
			b.after(5*time.Minute, "a")
			if got := len(b.kubelet.openings()) - before; got != 1 {
				b.Errorf("in mode %v the log was opened %d times", mode, got)
			}
		})
	}
}

// TestBudgetWantedIsOneWhenTheBudgetIsUsedUp checks that the budget is used up when as many Pods take turns as it has reads in
// an interval: from there on the interval is stretched.
func TestBudgetWantedIsOneWhenTheBudgetIsUsedUp(t *testing.T) {
	r := roundRobin{interval: 10 * time.Second, spacing: 100 * time.Millisecond}
	for i := 1; i <= 150; i++ {
		r.add(&pod{}, time.Now())
		if want := float64(i) / 100; r.wanted() != want {
			t.Fatalf("%d Pods want %g of the budget, want %g", i, r.wanted(), want)
		}
		if stretched := r.period() > r.interval; stretched != (r.wanted() > 1) {
			t.Fatalf("%d Pods want %g of the budget, and the interval is %s", i, r.wanted(), r.period())
		}
	}
}
