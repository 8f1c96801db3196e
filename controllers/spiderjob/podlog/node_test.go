package podlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// hang has Pods of a node that never answer, and asks for their logs.
func (b *bench) hang(node string, pods int, mode Mode) {
	for i := range pods {
		name := fmt.Sprint(node, "-", mode, "-", i)
		b.kubelet.run(name).mute = true
		b.collector.Want(on(node, name), mode)
	}
}

// recover has all Pods of a node answer again.
func (b *bench) recover(node string) {
	for name, c := range b.kubelet.containers {
		if strings.HasPrefix(name, node+"-") {
			c.change(func() { c.mute = false })
		}
	}
}

// openedOn returns how many logs of a node have been opened.
func (b *bench) openedOn(node string) (n int) {
	for _, o := range b.kubelet.openings() {
		if o.target.Node == node {
			n++
		}
	}
	return n
}

func (b *bench) assertUnserved(pod, node string, r Reading) {
	b.Helper()
	if !r.Done || !errors.Is(r.Err, errUnserved) || !strings.Contains(r.Err.Error(), "node "+node+" serves no logs") {
		b.Errorf("Pod %s: %+v", pod, r)
	}
}

// trusted has a node answer once.
func (b *bench) trusted(node string) {
	b.Helper()
	name := node + "-trusted"
	b.kubelet.run(name).write(closingLines, 1, "finished")
	b.collector.Want(on(node, name), Final)
	b.assertItems(b.after(0, name), 1, true)
}

func TestNodesThatHangDelayNoFinalReadOfAnother(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for _, node := range []string{"bad1", "bad2", "bad3", "good"} {
			b.trusted(node)
		}
		for _, node := range []string{"bad1", "bad2", "bad3"} {
			b.hang(node, 100, Final)
		}
		b.kubelet.run("a").write(closingLines, 20, "closespider_errorcount")
		b.collector.Want(on("good", "a"), Final)
		r := b.after(0, "a")
		b.assertItems(r, 20, true)
		if !r.Done {
			b.Errorf("reading %+v", r)
		}
	})
}

// TestManyNodesThatHangAtOnceDelayAnotherOnce has more nodes go bad in one moment than there are slots.
func TestManyNodesThatHangAtOnceDelayAnotherOnce(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for i := range 24 {
			b.hang(fmt.Sprint("bad", i), 20, Final)
		}
		for i := range 10 {
			name := fmt.Sprint("good-", i)
			b.kubelet.run(name).write(closingLines, 20, "finished")
			b.collector.Want(on("good", name), Final)
			b.after(time.Second, name)
		}
		b.after(9*time.Second, "good-0")
		for i := range 10 {
			b.assertItems(b.after(0, fmt.Sprint("good-", i)), 20, true)
		}
	})
}

func TestNodesThatHangDelayNoStreamOfAnother(t *testing.T) {
	onBench(t, Options{Streams: 8}, func(b *bench) {
		for i := range 6 {
			b.hang(fmt.Sprint("bad", i), 10, Follow)
		}
		log := b.kubelet.run("a")
		b.collector.Want(on("good", "a"), Follow)
		if r := b.after(11*time.Second, "a"); !r.Opened || r.Began.IsZero() {
			b.Errorf("reading %+v", r)
		}
		log.write(closingLines, 12, "shutdown")
		log.delete()
		b.assertItems(b.after(0, "a"), 12, true)
	})
}

func TestOneNodeNeverHasAllStreams(t *testing.T) {
	onBench(t, Options{Streams: 8}, func(b *bench) {
		for i := range 20 {
			name := fmt.Sprint("busy-", i)
			b.kubelet.run(name)
			b.collector.Want(on("busy", name), Follow)
		}
		synctest.Wait()
		if got := b.openedOn("busy"); got != 6 {
			b.Errorf("one node has %d of 8 streams, want a quarter and a half", got)
		}
		b.kubelet.run("a")
		b.collector.Want(on("good", "a"), Follow)
		if r := b.after(0, "a"); !r.Opened {
			b.Errorf("reading %+v", r)
		}
	})
}

// TestStreamsThatLastDelayNoStreamOfAnotherNode has two nodes whose containers take their time to end, and have every stream.
func TestStreamsThatLastDelayNoStreamOfAnotherNode(t *testing.T) {
	onBench(t, Options{Streams: 12}, func(b *bench) {
		last := func(node string, pods int) {
			for i := range pods {
				name := fmt.Sprint(node, "-", i)
				b.kubelet.run(name).write(progressLine, 7)
				b.collector.Want(on(node, name), Follow)
			}
		}
		last("slow1", 9)
		last("slow2", 9)
		b.after(time.Minute, "")
		for i := range 8 {
			name := fmt.Sprint("good-", i)
			b.kubelet.run(name).write(closingLines, 12, "shutdown")
			b.kubelet.containers[name].terminate()
			b.collector.Want(on("good", name), Follow)
		}
		for i := range 8 {
			b.assertItems(b.after(0, fmt.Sprint("good-", i)), 12, true)
		}
		last("late", 9)
		b.after(0, "")
		b.inside(func(c *Collector) {
			for _, node := range []string{"slow1", "slow2", "late"} {
				if got := c.nodes[node].streams.active; got < 3 {
					b.Errorf("node %s has %d of 12 streams, want at least a quarter", node, got)
				}
			}
		})
		before := len(b.kubelet.openings())
		b.after(5*time.Minute, "")
		if got := len(b.kubelet.openings()) - before; got != 0 {
			b.Errorf("%d streams made way for nodes that had their share", got)
		}
		for _, log := range b.kubelet.containers {
			log.write(closingLines, 30, "shutdown")
			log.terminate()
		}
		for _, node := range []string{"slow1", "slow2", "late"} {
			for i := range 9 {
				b.assertItems(b.after(0, fmt.Sprint(node, "-", i)), 30, true)
			}
		}
	})
}

// TestNodesTakeTurnsAtTheStreams has more nodes than there are streams, each with a container that does not end.
func TestNodesTakeTurnsAtTheStreams(t *testing.T) {
	onBench(t, Options{Streams: 4, FollowTimeout: time.Minute}, func(b *bench) {
		for i := range 10 {
			name := fmt.Sprint("a", i)
			b.kubelet.run(name).write(progressLine, i)
			b.collector.Want(on(fmt.Sprint("node-", i), name), Follow)
		}
		for i := range 10 {
			if r := b.after(3*time.Second, fmt.Sprint("a", i)); i < 4 && !r.Opened {
				b.Errorf("reading %+v", r)
			}
		}
		for i := range 10 {
			b.assertItems(b.after(0, fmt.Sprint("a", i)), int64(i), false)
		}
		if got := b.kubelet.peak(); got != 4 {
			b.Errorf("%d streams were open at once", got)
		}
		// A stream that makes way now and then has no more time in all than one that never does.
		for i := range 10 {
			if r := b.after(20*time.Second, fmt.Sprint("a", i)); i == 9 && (!r.Done || !errors.Is(r.Err, context.DeadlineExceeded)) {
				b.Errorf("reading %+v", r)
			}
		}
	})
}

func TestNodesThatHangDelayNoSampleOfAnother(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.kubelet.run("a").write(progressLine, 5)
		b.collector.Want(on("good", "a"), Sample)
		for i := range 3 {
			b.hang(fmt.Sprint("bad", i), 100, Sample)
		}
		b.after(2*time.Minute, "a")
		before := len(b.kubelet.opensOf("a"))
		b.after(time.Minute, "a")
		if got := len(b.kubelet.opensOf("a")) - before; got < 5 {
			b.Errorf("the one Pod of a node that answers was read %d times in a minute, want 6", got)
		}
	})
}

func TestANodeHasAtMostFourReadsAtOnce(t *testing.T) {
	onBench(t, Options{Concurrency: 32}, func(b *bench) {
		b.trusted("bad")
		b.kubelet.forgetPeak()
		b.hang("bad", 10, Sample)
		time.Sleep(6 * time.Second)
		b.hang("bad", 30, Final)
		synctest.Wait()
		if b.kubelet.peak() != nodeReads || b.kubelet.open() != nodeReads {
			b.Errorf("%d logs were open at once, now %d", b.kubelet.peak(), b.kubelet.open())
		}
	})
}

func TestAfterThreeHangsAllReadsOfTheNodeEnd(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.hang("bad", 50, Final)
		waiting := b.after(14*time.Second, "bad-final-49")
		if waiting.Done || !waiting.Began.IsZero() || waiting.Err != nil {
			b.Errorf("while it waits: %+v", waiting)
		}
		time.Sleep(time.Second + time.Millisecond)
		for i := range 50 {
			name := fmt.Sprint("bad-final-", i)
			b.assertUnserved(name, "bad", b.after(0, name))
		}
		if got := len(b.woken()); got != 50 {
			b.Errorf("%d SpiderJobs were woken", got)
		}
		b.hang("bad", 51, Final)
		b.assertUnserved("bad-final-50", "bad", b.after(0, "bad-final-50"))
		if got := b.openedOn("bad"); got != 3 {
			b.Errorf("%d logs were opened", got)
		}
	})
}

func TestStreamsOfANodeThatServesNoLogsWaitForIt(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.hang("bad", 10, Final)
		b.after(16*time.Second, "")
		log := b.kubelet.run("a")
		b.collector.Want(on("bad", "a"), Follow)
		r := b.after(0, "a")
		if r.Done || r.Opened || !errors.Is(r.Err, errUnserved) || b.woken()["shop/job-of-a"] != 1 {
			b.Errorf("while its node serves no logs: %+v", r)
		}
		b.recover("bad")
		r = b.after(time.Minute, "a")
		log.write(closingLines, 12, "shutdown")
		log.delete()
		b.assertItems(b.after(0, "a"), 12, true)
		if !r.Opened || r.Err != nil {
			b.Errorf("once its node serves logs again: %+v", r)
		}
	})
}

func TestANodeThatServesNoLogsIsProbed(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.hang("bad", 20, Sample)
		b.after(time.Minute, "")
		before := b.openedOn("bad")
		b.after(10*time.Minute, "")
		if got := b.openedOn("bad") - before; got < 8 || got > 11 {
			b.Errorf("%d probes in ten minutes", got)
		}
		b.inside(func(c *Collector) {
			if got := c.roundRobin.turns.Len(); got != 0 {
				b.Errorf("%d Pods of a node that serves no logs take turns", got)
			}
		})
		b.recover("bad")
		b.after(80*time.Second, "")
		before = b.openedOn("bad")
		b.after(time.Minute, "")
		if got := b.openedOn("bad") - before; got < 115 || got > 125 {
			b.Errorf("%d samples of 20 Pods in a minute after the node recovered, want 120", got)
		}
		b.kubelet.run("late").write(closingLines, 20, "finished")
		b.collector.Want(on("bad", "late"), Final)
		b.assertItems(b.after(0, "late"), 20, true)
	})
}

func TestASlowNodeIsNotTakenForOneThatHangs(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for i := range 6 {
			name := fmt.Sprint(i)
			b.kubelet.run(name).endless = flood(100000)
			b.collector.Want(on("slow", name), Final)
		}
		r := b.after(90*time.Second, "5")
		if !r.Done || !errors.Is(r.Err, errSlow) || !errors.Is(r.Err, context.DeadlineExceeded) {
			b.Errorf("reading %+v", r)
		}
	})
}

func TestPatienceWithAFinalReadStartsWithTheRead(t *testing.T) {
	onBench(t, Options{Concurrency: 2}, func(b *bench) {
		b.hang("bad", 1, Final)
		b.kubelet.run("a").mute = true
		asked := time.Now()
		b.collector.Want(on("good", "a"), Final)
		r := b.after(4*time.Second, "a")
		if !r.Since.Equal(asked) || !r.Began.IsZero() {
			b.Errorf("while it waits: %+v", r)
		}
		r = b.after(2*time.Second, "a")
		if began := r.Began.Sub(asked); began != 5*time.Second || !r.Since.Equal(asked) {
			b.Errorf("began after %v: %+v", began, r)
		}
	})
}

func TestPatienceStartsAgainWhenAStreamIsCutShort(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.kubelet.run("a")
		b.collector.Want(target("a"), Follow)
		begun := time.Now()
		if r := b.after(time.Minute, "a"); !r.Began.Equal(begun) {
			b.Errorf("following: %+v", r)
		}
		b.collector.Want(target("a"), Final)
		if r := b.after(time.Second, "a"); time.Since(r.Began) != time.Second {
			b.Errorf("ending: %+v", r)
		}
	})
}

func TestAFinalReadWaitsNoLongerThanQueuePatience(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		for i := range 300 {
			name := fmt.Sprint(i)
			b.kubelet.run(name).endless = flood(100000)
			b.collector.Want(on("slow", name), Final)
		}
		r := b.after(queuePatience+time.Second, "299")
		if !r.Done || r.Err == nil || !strings.Contains(r.Err.Error(), "waited for its turn") {
			b.Errorf("reading %+v", r)
		}
	})
}

func TestAPodsNodeMayBecomeKnownLater(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.hang("bad", 10, Final)
		b.after(16*time.Second, "")
		for _, mode := range []Mode{Sample, Follow, Final} {
			name := "late-" + mode.String()
			b.kubelet.run(name).mute = true
			b.collector.Want(target(name), mode)
			b.collector.Want(on("bad", name), mode)
		}
		b.inside(func(c *Collector) {
			if c.roundRobin.turns.Len() != 0 {
				b.Error("a Pod of a node that serves no logs takes turns")
			}
		})
		b.assertUnserved("late-final", "bad", b.after(11*time.Second, "late-final"))
		b.inside(func(c *Collector) {
			if got := len(c.nodes); got != 1 {
				b.Errorf("%d nodes are known", got)
			}
		})
	})
}

// TestKeepForgetsTheOtherPods has a SpiderJob with Pods in every state: none leaves a goroutine, a stream, a turn or a timer.
func TestKeepForgetsTheOtherPods(t *testing.T) {
	onBench(t, Options{Streams: 1, Concurrency: 4}, func(b *bench) {
		job := target("a").SpiderJob
		want := func(node, pod string, mode Mode) {
			wanted := on(node, pod)
			wanted.SpiderJob = job
			b.collector.Want(wanted, mode)
		}
		for i, mode := range []Mode{Sample, Follow, Follow, Final, Final, Final} {
			name := fmt.Sprint("old-", i)
			b.kubelet.run(name).mute = true
			want("n", name, mode)
		}
		b.kubelet.run("failing").failures = []error{errors.New("no"), errors.New("no"), errors.New("no"), errors.New("no")}
		want("m", "failing", Final)
		b.kubelet.run("kept").write(progressLine, 5)
		want("n", "kept", Sample)
		b.kubelet.run("other").write(progressLine, 6)
		b.collector.Want(target("other"), Sample)
		b.after(6*time.Second, "")
		if b.kubelet.open() < 2 {
			b.Fatalf("%d logs are open", b.kubelet.open())
		}
		b.woken()

		b.collector.Keep(job, target("kept").UID)
		synctest.Wait()
		b.inside(func(c *Collector) {
			if b.kubelet.open() != 0 || len(c.pods) != 2 || c.roundRobin.turns.Len() != 2 || c.streams.active+c.streams.waiting != 0 ||
				c.finals.active+c.finals.waiting != 0 || c.silent.Len()+c.seasoned.Len() != 0 ||
				c.jobs[job] != c.pods[target("kept").UID] {
				b.Errorf("%d logs are open, %d Pods known, %d take turns", b.kubelet.open(), len(c.pods), c.roundRobin.turns.Len())
			}
		})
		opened := len(b.kubelet.openings())
		b.after(time.Minute, "")
		for _, o := range b.kubelet.openings()[opened:] {
			if o.target.Name != "kept" && o.target.Name != "other" {
				b.Errorf("a forgotten Pod, %s, was read", o.target.Name)
			}
		}
		b.assertItems(b.after(0, "kept"), 5, false)
		b.assertItems(b.after(0, "other"), 6, false)

		b.collector.Keep(job)
		b.collector.Keep(target("other").SpiderJob)
		b.collector.Keep(target("unheard").SpiderJob, "of")
		b.inside(func(c *Collector) {
			if len(c.pods) != 0 || len(c.jobs) != 0 || c.roundRobin.turns.Len() != 0 {
				b.Errorf("%d Pods of %d SpiderJobs are known", len(c.pods), len(c.jobs))
			}
		})
	})
}

func TestNodesWithoutPodsAreForgotten(t *testing.T) {
	onBench(t, Options{}, func(b *bench) {
		b.hang("bad", 10, Final)
		b.after(16*time.Second, "")
		for i := range 2 * maxIdleNodes {
			pod := on(fmt.Sprint("node-", i), fmt.Sprint(i))
			b.collector.Want(pod, Sample)
			b.collector.Forget(pod.UID)
		}
		b.inside(func(c *Collector) {
			if got := len(c.nodes); got != maxIdleNodes+1 {
				b.Errorf("%d nodes are known", got)
			}
		})
		for i := range 10 {
			b.collector.Forget(target(fmt.Sprint("bad-final-", i)).UID)
		}
		b.after(time.Minute, "")
		b.inside(func(c *Collector) {
			if c.nodes["bad"] != nil {
				b.Error("a node that serves no logs is remembered though it has no Pods to probe it with")
			}
		})
	})
}

// TestReadsOfAHealthyNodeBeginInTime has nodes behave in any way, in any order.
func TestReadsOfAHealthyNodeBeginInTime(t *testing.T) {
	// Between two reads of the healthy node each other node has at most one turn, and may hang in it out of the blue: for 5 s in
	// a final read, of which there are eight at once, or for 10 s, whether answered or not, in a stream, of which there are twelve.
	const nodes = 20
	const round = 5 * time.Second * (nodes/8 + 2)
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(drawAct), 1, 60).Draw(r, "acts")
		onBench(t, Options{Streams: 12}, func(b *bench) {
			asked, bound := map[string]time.Time{}, map[string]time.Duration{}
			for i, a := range acts {
				for j := range a.pods {
					name := fmt.Sprint("pod-", i, "-", j)
					a.behave(b.kubelet.run(name))
					if a.node == 0 {
						asked[name], bound[name] = time.Now(), round
						for other := range asked {
							if len(b.kubelet.opensOf(other)) == 0 {
								bound[name] += round
							}
						}
					}
					b.collector.Want(on(fmt.Sprint("node-", a.node), name), a.mode)
				}
				time.Sleep(a.pause)
			}
			time.Sleep(queuePatience)
			synctest.Wait()
			for name, at := range asked {
				opened := b.kubelet.opensOf(name)
				sampled := b.collector.pods[target(name).UID].mode == Sample
				switch {
				case sampled: // its turn comes at an interval, and may be missed
				case len(opened) == 0:
					r.Errorf("%s was not read within %v", name, time.Since(at))
				case opened[0].at.Sub(at) > bound[name]:
					r.Errorf("%s was read after %v, want at most %v", name, opened[0].at.Sub(at), bound[name])
				}
			}
			if active := b.collector.finals.active + b.collector.samples.active; active > 16 {
				r.Errorf("%d reads at once", active)
			}
		})
	})
}

// act is the start of some Pods on a node, of which node 0 is healthy.
type act struct {
	node, pods int
	does       string
	mode       Mode
	pause      time.Duration
}

func drawAct(r *rapid.T) act {
	return act{
		node:  rapid.IntRange(0, 19).Draw(r, "node"),
		pods:  rapid.IntRange(1, 8).Draw(r, "pods"),
		does:  rapid.SampledFrom([]string{"hang", "trickle", "fail", "answer"}).Draw(r, "does"),
		mode:  rapid.SampledFrom([]Mode{Sample, Follow, Final}).Draw(r, "mode"),
		pause: rapid.SampledFrom([]time.Duration{0, 0, 0, 100 * time.Millisecond, 6 * time.Second}).Draw(r, "pause"),
	}
}

func (a act) behave(log *container) {
	switch {
	case a.node == 0 || a.does == "answer":
		log.write(closingLines, 20, "finished")
		if a.node == 0 {
			log.terminate()
		}
	case a.does == "trickle" && a.mode == Follow: // its stream is answered, and lasts
	case a.does == "hang", a.mode == Follow:
		log.mute = true
	case a.does == "trickle":
		log.endless = flood(20000)
	default:
		log.failures = []error{errors.New("a"), errors.New("b"), errors.New("c")}
	}
}
