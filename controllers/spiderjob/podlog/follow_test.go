package podlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestFollowReadsToTheEnd(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(progressLine, 5)
		b.collector.Want(target("a"), Follow)
		r := b.after(0, "a")
		if !r.Opened || r.Done || r.Err != nil || b.woken()["shop/job-of-a"] != 1 {
			b.Errorf("once it is open: %+v", r)
		}
		if o := b.kubelet.openings()[0].options; !o.Follow || o.Container != "spider" || *o.TailLines != 1000 {
			b.Errorf("opened with %+v", o)
		}
		time.Sleep(20 * time.Second)
		log.write(progressLine, 9)
		b.assertItems(b.after(0, "a"), 9, false)
		log.write(closingLines, 12, "shutdown")
		log.delete()
		r = b.after(0, "a")
		b.assertItems(r, 12, true)
		if !r.Done || r.Counts.FinishReason != "shutdown" || b.woken()["shop/job-of-a"] == 0 {
			b.Errorf("at the end: %+v", r)
		}
		b.collector.Want(target("a"), Final)
		if r := b.after(time.Minute, "a"); !r.Done || len(b.kubelet.openings()) != 1 {
			b.Errorf("the log was opened %d times", len(b.kubelet.openings()))
		}
	})
}

// TestFollowWakesWithinTheBudget has a container that writes progress without pause.
func TestFollowWakesWithinTheBudget(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		b.collector.Want(target("a"), Follow)
		b.after(0, "a")
		b.woken()
		wakes := 0
		for i := range 1000 {
			log.write(progressLine, i)
			time.Sleep(100 * time.Millisecond)
			wakes += len(b.woken())
		}
		if wakes < 8 || wakes > 11 {
			b.Errorf("%d wakes in 100 s, want one in each interval", wakes)
		}
	})
}

func TestFollowReopensABrokenStream(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(progressLine, 5)
		b.collector.Want(target("a"), Follow)
		b.after(20*time.Second, "a")
		// An API server that goes away may well end a stream as if the log had ended.
		log.change(func() { log.breaks = []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET} })
		b.assertItems(b.after(5*time.Second, "a"), 5, false)
		if got := len(b.kubelet.openings()); got != 4 {
			b.Errorf("opened %d times", got)
		}
		log.write(closingLines, 12, "shutdown")
		log.delete()
		r := b.after(0, "a")
		b.assertItems(r, 12, true)
		if !r.Done || r.Err != nil {
			b.Errorf("at the end: %+v", r)
		}
	})
}

func TestFollowKeepsCountsOfAPodThatIsGone(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		b.collector.Want(target("a"), Follow)
		b.after(0, "a")
		log.write(closingLines, 12, "shutdown")
		log.change(func() { log.breaks = []error{io.ErrUnexpectedEOF} })
		r := b.after(0, "a")
		b.assertItems(r, 12, false)
		if r.Done {
			b.Errorf("after it broke: %+v", r)
		}
		log.delete()
		r = b.after(3*time.Second, "a")
		b.assertItems(r, 12, true)
		if !r.Done || !apierrors.IsNotFound(r.Err) {
			b.Errorf("at the end: %+v", r)
		}
	})
}

func TestFollowOfAKilledSpiderKeepsTheLastCounts(t *testing.T) {
	for name, end := range map[string]func(*container){
		"its Pod stays":   (*container).terminate,
		"its Pod is gone": (*container).delete,
	} {
		t.Run(name, func(t *testing.T) {
			onBench(t, Options{}, func(b *bench) {
				log := b.kubelet.run("a")
				log.write(progressLine, 5)
				b.collector.Want(target("a"), Follow)
				b.after(20*time.Second, "a")
				end(log)
				r := b.after(3*time.Second, "a")
				b.assertItems(r, 5, false)
				if !r.Done {
					b.Errorf("at the end: %+v", r)
				}
				opened := len(b.kubelet.openings())
				b.collector.Want(target("a"), Final)
				if r := b.after(time.Second, "a"); !r.Done || len(b.kubelet.openings()) != opened {
					b.Errorf("a log whose end was seen was read again: %+v", r)
				}
			})
		})
	}
}

func TestFollowWaitsForAContainerToStart(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		waiting := apierrors.NewBadRequest(`container "spider" in pod "a" is waiting to start: ContainerCreating`)
		log.failures = []error{waiting, waiting, waiting}
		b.collector.Want(target("a"), Follow)
		r := b.after(0, "a")
		if r.Opened || r.Done || !errors.Is(r.Err, waiting) || b.woken()["shop/job-of-a"] != 1 {
			b.Errorf("before it starts: %+v", r)
		}
		r = b.after(3*time.Second, "a")
		if !r.Opened || r.Err != nil {
			b.Errorf("once it has started: %+v", r)
		}
	})
	onBench(t, Options{}, func(b *bench) {
		b.collector.Want(target("never there"), Follow)
		if r := b.after(0, "never there"); !r.Done || r.Opened || !apierrors.IsNotFound(r.Err) {
			b.Errorf("a Pod that does not exist: %+v", r)
		}
	})
}

// TestFollowWaitsForAPodToBeScheduled has a kube-apiserver that answers with nothing, and with success, until there is a node.
func TestFollowWaitsForAPodToBeScheduled(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.terminate()
		b.collector.Want(target("a"), Follow)
		if r := b.after(20*time.Second, "a"); r.Done {
			b.Errorf("before it is scheduled: %+v", r)
		}
		if got := len(b.kubelet.openings()); got > 15 {
			b.Errorf("asked %d times in 20 s", got)
		}
		log.change(func() { log.terminated = false })
		log.write(progressLine, 5)
		b.after(3*time.Second, "a")
		log.write(closingLines, 12, "shutdown")
		log.delete()
		b.assertItems(b.after(0, "a"), 12, true)
	})
}

// TestFinalEndsAStreamThatHangs has a container that has terminated and a stream that hangs.
func TestFinalEndsAStreamThatHangs(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		b.collector.Want(target("a"), Follow)
		b.after(0, "a")
		log.write(closingLines, 12, "shutdown")
		b.collector.Want(target("a"), Final)
		if r := b.after(time.Second, "a"); r.Done {
			b.Errorf("after a second: %+v", r)
		}
		r := b.after(2*time.Second, "a")
		b.assertItems(r, 12, true)
		if !r.Done || r.Err != nil || time.Since(r.Since) != 3*time.Second {
			b.Errorf("after three seconds: %+v", r)
		}
	})
}

func TestFollowEndsAfterItsTimeout(t *testing.T) {
	onBench(t, Options{FollowTimeout: time.Minute}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write(progressLine, 5)
		b.collector.Want(target("a"), Follow)
		if r := b.after(59*time.Second, "a"); r.Done {
			b.Errorf("before its time: %+v", r)
		}
		r := b.after(2*time.Second, "a")
		b.assertItems(r, 5, false)
		if !r.Done || !errors.Is(r.Err, context.DeadlineExceeded) {
			b.Errorf("after its time: %+v", r)
		}
		log.write(closingLines, 12, "shutdown")
		log.terminate()
		log.failures = []error{apierrors.NewInternalError(errors.New("try again"))}
		b.collector.Want(target("a"), Final)
		if r := b.after(0, "a"); r.Done {
			b.Errorf("before the final read: %+v", r)
		}
		b.assertItems(b.after(time.Second, "a"), 12, true)
	})
}

func TestStreamsAreBoundedInNumber(t *testing.T) {
	onBench(t, Options{Streams: 3}, func(b *bench) {
		for i := range 10 {
			b.kubelet.run(fmt.Sprint(i)).write(closingLines, i, "shutdown")
			b.collector.Want(target(fmt.Sprint(i)), Follow)
		}
		opened := 0
		for i := range 10 {
			if b.after(0, fmt.Sprint(i)).Opened {
				opened++
			}
		}
		if opened != 3 {
			b.Errorf("%d streams are open", opened)
		}
		// One that waits for its stream is read all the same once its container has terminated.
		b.kubelet.containers["9"].terminate()
		b.collector.Want(target("9"), Final)
		b.assertItems(b.after(0, "9"), 9, true)
		b.collector.Forget(target("8").UID)
		for i := range 8 {
			b.kubelet.containers[fmt.Sprint(i)].terminate()
		}
		for i := range 8 {
			b.assertItems(b.after(0, fmt.Sprint(i)), int64(i), true)
		}
		if b.kubelet.peak() > 4 || len(b.kubelet.openings()) != 9 {
			b.Errorf("%d logs were open at once, %d in all", b.kubelet.peak(), len(b.kubelet.openings()))
		}
	})
}

func TestStopClosesStreams(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for i := range 20 {
			b.kubelet.run(fmt.Sprint(i)).mute = i%2 == 0
			b.collector.Want(target(fmt.Sprint(i)), Follow)
		}
		b.after(time.Second, "0")
		if b.kubelet.open() != 20 {
			b.Errorf("%d streams are open", b.kubelet.open())
		}
		begun := time.Now()
		b.stop()
		if took := time.Since(begun); took != 0 {
			b.Errorf("stopping took %v", took)
		}
	})
}

// TestAFloodIsReadAtABoundedRate has containers that write 100 MB each second.
func TestAFloodIsReadAtABoundedRate(t *testing.T) {
	taken := func(b *bench, mode Mode, lasting time.Duration) (total int) {
		log := b.kubelet.run("a")
		write := flood(100e6)
		log.endless = func(p []byte) (int, error) {
			n, err := write(p)
			total += n
			return n, err
		}
		b.collector.Want(target("a"), mode)
		b.after(lasting, "a")
		b.collector.Forget(target("a").UID)
		synctest.Wait()
		return total
	}
	onBench(t, Options{}, func(b *bench) {
		if got := taken(b, Follow, time.Minute); got > 60*floodRate+(5<<20) {
			b.Errorf("%d bytes were taken from a stream in a minute", got)
		}
	})
	onBench(t, Options{}, func(b *bench) {
		if got := taken(b, Sample, time.Minute); got > 6*(5<<20)+10<<20 {
			b.Errorf("%d bytes were taken by the samples of a minute", got)
		}
	})
	onBench(t, Options{}, func(b *bench) {
		taken(b, Final, 15*time.Second)
	})
}

// TestAFloodThatEndsIsReadToItsEnd has a container that floods its log and then closes in good order.
func TestAFloodThatEndsIsReadToItsEnd(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.endless = flood(100e6)
		b.collector.Want(target("a"), Follow)
		b.after(20*time.Second, "a")
		log.change(func() {
			log.log = bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 1e5)
			log.endless = nil
		})
		log.write(closingLines, 12, "shutdown")
		time.Sleep(2 * time.Second)
		log.terminate()
		r := b.after(2*time.Second, "a")
		b.assertItems(r, 12, true)
		if !r.Done {
			b.Errorf("reading %+v", r)
		}
	})
}

func TestLongLinesAndBinaryDoNotHideCounts(t *testing.T) {
	for name, noise := range map[string][]byte{
		"lines of 10 MB": bytes.Repeat(append(bytes.Repeat([]byte("x"), 10e6), '\n'), 3),
		"no line break":  bytes.Repeat([]byte("x"), 30e6),
		"binary":         bytes.Repeat([]byte("\x00\xff\n\x1b[\r\x80'{"), 1e6),
		"half a line":    []byte("2026-11-23 [scrapy.extensions.logstats] INFO: Crawled 9"),
	} {
		for _, mode := range []Mode{Sample, Follow, Final} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				onBench(t, Options{}, func(b *bench) {
					log := b.kubelet.run("a")
					log.write("%s\n", noise)
					log.write(closingLines, 12, "finished")
					if mode != Sample {
						log.terminate()
					}
					b.collector.Want(target("a"), mode)
					b.assertItems(b.after(9*time.Second, "a"), 12, mode != Sample)
				})
			})
		}
	}
}

// TestAStreamThatKeepsBreakingWakesNoSpiderJob has a kubelet that answers, and has no log to give.
func TestAStreamThatKeepsBreakingWakesNoSpiderJob(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		log := b.kubelet.run("a")
		log.write("unable to retrieve container logs for containerd://a")
		log.terminate()
		b.collector.Want(target("a"), Follow)
		b.after(10*time.Second, "a")
		b.woken()
		if r := b.after(5*time.Minute, "a"); !r.Opened || r.Done || r.Err == nil {
			b.Errorf("after minutes of trying it is %+v", r)
		}
		if opened := len(b.kubelet.openings()); opened < 50 {
			b.Fatalf("it was opened %d times", opened)
		}
		if woken := b.woken(); len(woken) > 0 {
			b.Errorf("woken: %v", woken)
		}
	})
}
