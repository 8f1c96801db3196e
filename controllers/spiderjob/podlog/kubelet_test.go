package podlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// kubelet is a Source that serves the logs of containers in memory, as a kubelet does through the API server: the last
// lines asked for, and with follow what is written from then on until the container terminates. Its fields are guarded by mu,
// even from a test that waited until all is quiet: the next timer orders nothing that it starts after what the test did before.
type kubelet struct {
	mu         sync.Mutex
	containers map[string]*container
	opened     []opening
	active     int // logs now being opened or read
	most       int // the most there were at once
}

// opening is one call of Open.
type opening struct {
	at      time.Time
	target  Target
	options corev1.PodLogOptions
}

// container is a container with a log. Its fields are guarded by the kubelet's mutex.
type container struct {
	kubelet    *kubelet
	log        []byte
	terminated bool
	gone       bool          // the Pod does not exist any more
	changed    chan struct{} // closed at each change
	failures   []error       // of the next calls of Open
	breaks     []error       // with which streams break off from now on, when there is nothing more to read
	mute       bool          // never answers
	endless    func(p []byte) (int, error)
}

func newKubelet() *kubelet {
	return &kubelet{containers: map[string]*container{}}
}

func (k *kubelet) run(pod string) *container {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &container{kubelet: k, changed: make(chan struct{})}
	k.containers[pod] = c
	return c
}

// change changes a container, and lets those know who follow its log.
func (c *container) change(change func()) {
	c.kubelet.mu.Lock()
	defer c.kubelet.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *container) write(format string, arguments ...any) {
	c.change(func() { c.log = fmt.Appendf(c.log, format, arguments...) })
}

func (c *container) terminate() { c.change(func() { c.terminated = true }) }

// delete removes the Pod, and with it the log; streams come to their end.
func (c *container) delete() { c.change(func() { c.terminated, c.gone = true, true }) }

func podGone(pod string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod)
}

func (k *kubelet) Open(ctx context.Context, target Target, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened = append(k.opened, opening{time.Now(), target, *options})
	c := k.containers[target.Name]
	if c == nil || c.gone {
		return nil, podGone(target.Name)
	}
	if len(c.failures) > 0 {
		err := c.failures[0]
		c.failures = c.failures[1:]
		return nil, err
	}
	k.active++
	k.most = max(k.most, k.active)
	if c.mute {
		k.mu.Unlock()
		<-ctx.Done()
		k.mu.Lock()
		k.active--
		return nil, ctx.Err()
	}
	next := 0
	if options.TailLines != nil {
		next = c.tail(*options.TailLines)
	}
	return &body{container: c, options: options, next: next, closed: make(chan struct{})}, nil
}

// tail returns where the last lines begin. As in a kubelet's files, a line has at most 16 KiB.
func (c *container) tail(lines int64) int {
	start := len(c.log)
	for ; lines > 0 && start > 0; lines-- {
		longest := max(0, start-16<<10)
		start = longest + bytes.LastIndexByte(c.log[longest:start-1], '\n') + 1
	}
	return start
}

// openings returns all calls of Open so far, the first one first.
func (k *kubelet) openings() []opening {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.opened)
}

// open returns how many logs are now being opened or read.
func (k *kubelet) open() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.active
}

// peak returns the most logs that were open at once.
func (k *kubelet) peak() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.most
}

// forgetPeak begins the count of the most logs open at once anew.
func (k *kubelet) forgetPeak() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.most = k.active
}

// opensOf returns the openings of a Pod's log.
func (k *kubelet) opensOf(pod string) []opening {
	k.mu.Lock()
	defer k.mu.Unlock()
	var of []opening
	for _, o := range k.opened {
		if o.target.Name == pod {
			of = append(of, o)
		}
	}
	return of
}

// body is a log that has been opened. Like that of an HTTP response its reads do not look at a context, only at Close.
type body struct {
	container *container
	options   *corev1.PodLogOptions
	next      int
	once      sync.Once
	closed    chan struct{}
}

func (b *body) Read(p []byte) (int, error) {
	c, k := b.container, b.container.kubelet
	for {
		select {
		case <-b.closed:
			return 0, io.ErrClosedPipe
		default:
		}
		k.mu.Lock()
		end := len(c.log)
		if limit := b.options.LimitBytes; limit != nil {
			end = min(end, int(*limit))
		}
		n := copy(p, c.log[min(b.next, end):end])
		b.next += n
		endless, ended, changed := c.endless, c.terminated || !b.options.Follow, c.changed
		var broken error
		if n == 0 && endless == nil && b.options.Follow && len(c.breaks) > 0 {
			broken, c.breaks = c.breaks[0], c.breaks[1:]
		}
		k.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case endless != nil:
			return endless(p)
		case broken != nil:
			return 0, broken
		case ended:
			return 0, io.EOF
		}
		select {
		case <-changed:
		case <-b.closed:
		}
	}
}

func (b *body) Close() error {
	b.once.Do(func() {
		close(b.closed)
		b.container.kubelet.mu.Lock()
		defer b.container.kubelet.mu.Unlock()
		b.container.kubelet.active--
	})
	return nil
}

// flood returns endless log of so many bytes per second.
func flood(bytesPerSecond int) func([]byte) (int, error) {
	return func(p []byte) (int, error) {
		time.Sleep(time.Second * time.Duration(len(p)) / time.Duration(bytesPerSecond))
		for i := range p {
			p[i] = 'x'
		}
		p[len(p)-1] = '\n'
		return len(p), nil
	}
}

// target returns the target of a Pod of that name.
func target(pod string) Target {
	return Target{
		Namespace: "shop", Name: pod, UID: types.UID("uid-" + pod), Container: "spider",
		SpiderJob: types.NamespacedName{Namespace: "shop", Name: "job-of-" + pod},
	}
}

// on returns the target of a Pod on a node.
func on(node, pod string) Target {
	t := target(pod)
	t.Node = node
	return t
}

// What Scrapy writes.
const progressLine = "2026-11-23 12:30:22 [scrapy.extensions.logstats] INFO: " +
	"Crawled %[1]d pages (at 60 pages/min), scraped %[1]d items (at 60 items/min)\n"

const closingLines = "2026-11-23 12:30:32 [scrapy.statscollectors] INFO: Dumping Scrapy stats:\n" +
	"{'downloader/request_count': %[1]d,\n" +
	" 'finish_reason': '%[2]s',\n" +
	" 'item_scraped_count': %[1]d,\n" +
	" 'response_received_count': %[1]d}\n" +
	"2026-11-23 12:30:32 [scrapy.core.engine] INFO: Spider closed (%[2]s)\n"
