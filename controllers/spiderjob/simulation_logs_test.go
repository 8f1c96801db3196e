package spiderjob

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
)

// simulatedLogs is the process's podlog.Collector, and the kubelets that it reads from. The Collector's goroutines stop at each
// call, and its alarms go off, one at a time in an order of their own, when the history says so: so they tell one story.
type simulatedLogs struct {
	*podlog.Collector
	process *process
	alarms  *simulatedAlarms
	wanted  []podlog.Target // what the reconciler wants to be read

	mu    sync.Mutex // guards calls and asked: several goroutines may come to a call at once
	calls []*logCall
	asked int
}

// logCall is a call that waits for a kubelet: one that opens a log, or a read of an open stream.
type logCall struct {
	ctx    context.Context
	target podlog.Target
	follow bool
	number int
	stream *logStream // nil for one that opens a log
	answer chan logAnswer
}

type logAnswer struct {
	log  *simulated.Log
	text string
	err  error
}

// collect starts the Collector of a process.
func collect(ctx context.Context, p *process) *simulatedLogs {
	l := &simulatedLogs{process: p, alarms: &simulatedAlarms{passive: processClock{p.skew}}}
	l.Collector = podlog.New(l, podlog.Options{Clock: l.alarms})
	go func() { _ = l.Start(ctx) }()
	synctest.Wait()
	return l
}

// Want implements logReader. Reads that it begins come to their first call at once.
func (l *simulatedLogs) Want(target podlog.Target, mode podlog.Mode) {
	if !slices.ContainsFunc(l.wanted, func(t podlog.Target) bool { return t.UID == target.UID }) {
		l.wanted = append(l.wanted, target)
	}
	l.Collector.Want(target, mode)
	synctest.Wait()
}

// Keep implements logReader.
func (l *simulatedLogs) Keep(sj types.NamespacedName, pods ...types.UID) {
	l.wanted = slices.DeleteFunc(l.wanted, func(t podlog.Target) bool { return t.SpiderJob == sj && !slices.Contains(pods, t.UID) })
	l.Collector.Keep(sj, pods...)
	synctest.Wait()
}

// Open implements podlog.Source.
func (l *simulatedLogs) Open(ctx context.Context, target podlog.Target, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	a := l.await(&logCall{ctx: ctx, target: target, follow: options.Follow})
	if a.err != nil {
		return nil, a.err
	}
	s := &logStream{logs: l, ctx: ctx, target: target, text: a.log.Text, ends: !options.Follow, log: a.log}
	return s, nil
}

// await has a call wait for the history to answer it.
func (l *simulatedLogs) await(call *logCall) logAnswer {
	call.answer = make(chan logAnswer)
	l.mu.Lock()
	l.asked++
	call.number = l.asked
	l.calls = append(l.calls, call)
	l.mu.Unlock()
	return <-call.answer
}

// logStream is a log that has been opened.
type logStream struct {
	logs   *simulatedLogs
	ctx    context.Context
	target podlog.Target
	log    *simulated.Log
	text   string
	ends   bool // after text
}

// Read implements io.Reader. One that has to wait for more does so until the context ends, as closing it does.
func (s *logStream) Read(p []byte) (int, error) {
	if s.text == "" && !s.ends {
		a := s.logs.await(&logCall{ctx: s.ctx, target: s.target, follow: true, stream: s})
		if a.err != nil {
			return 0, a.err
		}
		s.text = a.text
	}
	if s.text == "" {
		return 0, io.EOF
	}
	n := copy(p, s.text)
	s.text = s.text[n:]
	return n, nil
}

// Close implements io.Closer.
func (s *logStream) Close() error { return nil }

// read lets every log be read as far as it can be now.
func (l *simulatedLogs) read() { l.run(true) }

// run lets the alarms go off that are due, and ends the calls that were given up. With answers, kubelets answer the others.
func (l *simulatedLogs) run(answers bool) {
	for {
		synctest.Wait()
		if !l.alarms.ring() && !l.release(answers) {
			return
		}
	}
}

// release lets one call return, if one can. They are in the order of the Pods, not in that in which goroutines came to them.
func (l *simulatedLogs) release(answers bool) bool {
	if len(l.calls) == 0 {
		return false
	}
	slices.SortFunc(l.calls, func(a, b *logCall) int {
		return cmp.Or(cmp.Compare(a.target.UID, b.target.UID), cmp.Compare(a.number, b.number))
	})
	for i, call := range l.calls {
		a, ok := logAnswer{}, false
		switch {
		case call.ctx.Err() != nil:
			a.err, ok = context.Cause(call.ctx), true
		case !answers:
		case call.stream == nil:
			a.log, ok, a.err = l.process.h.cluster.OpenLog(call.target.Namespace, call.target.Name)
		default:
			a.text, call.stream.ends, ok = call.stream.log.Follow()
		}
		if ok {
			l.calls = slices.Delete(l.calls, i, i+1)
			call.answer <- a
			return true
		}
	}
	return false
}

// held are the Pods whose logs are wanted or read.
func (l *simulatedLogs) held() int {
	pods := map[types.UID]bool{}
	for _, target := range l.wanted {
		pods[target.UID] = true
	}
	for _, call := range l.calls {
		pods[call.target.UID] = true
	}
	return len(pods)
}

// simulatedAlarms is the Collector's clock. The history lets its alarms go off, one at a time: the earliest first, and of
// one time the one that was set first.
type simulatedAlarms struct {
	clock.WithTickerAndDelayedExecution // what the Collector does not use
	passive                             processClock

	mu  sync.Mutex
	set []*simulatedAlarm
}

// simulatedAlarm implements clock.Timer.
type simulatedAlarm struct {
	clock.Timer // what the Collector does not use
	alarms      *simulatedAlarms
	at          time.Time // true time
	ring        func()
	rings       chan time.Time
}

// Now implements clock.PassiveClock.
func (c *simulatedAlarms) Now() time.Time { return c.passive.Now() }

// AfterFunc implements clock.WithDelayedExecution.
func (c *simulatedAlarms) AfterFunc(d time.Duration, f func()) clock.Timer {
	return c.add(d, &simulatedAlarm{ring: f})
}

// NewTimer implements clock.Clock.
func (c *simulatedAlarms) NewTimer(d time.Duration) clock.Timer {
	a := &simulatedAlarm{rings: make(chan time.Time, 1)}
	a.ring = func() { a.rings <- c.Now() }
	return c.add(d, a)
}

func (c *simulatedAlarms) add(d time.Duration, a *simulatedAlarm) *simulatedAlarm {
	a.alarms, a.at = c, time.Now().Add(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := slices.BinarySearchFunc(c.set, a.at, func(other *simulatedAlarm, at time.Time) int {
		if other.at.After(at) {
			return 1
		}
		return -1
	})
	c.set = slices.Insert(c.set, i, a)
	return a
}

// C implements clock.Timer.
func (a *simulatedAlarm) C() <-chan time.Time { return a.rings }

// Stop implements clock.Timer.
func (a *simulatedAlarm) Stop() bool {
	a.alarms.mu.Lock()
	defer a.alarms.mu.Unlock()
	i := slices.Index(a.alarms.set, a)
	if i >= 0 {
		a.alarms.set = slices.Delete(a.alarms.set, i, i+1)
	}
	return i >= 0
}

// ring lets the next alarm go off if it is due.
func (c *simulatedAlarms) ring() bool {
	c.mu.Lock()
	if len(c.set) == 0 || c.set[0].at.After(time.Now()) {
		c.mu.Unlock()
		return false
	}
	a := c.set[0]
	c.set = slices.Delete(c.set, 0, 1)
	c.mu.Unlock()
	a.ring()
	return true
}

// next is when the next alarm is due.
func (c *simulatedAlarms) next() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.set) == 0 {
		return time.Time{}, false
	}
	return c.set[0].at, true
}
