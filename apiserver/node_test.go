package apiserver

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/podlog"
)

// node is Pods in memory: it serves logs as a kubelet does through the API server.
type node struct {
	mu     sync.Mutex
	pods   map[string]*podInMemory
	opened []corev1.PodLogOptions
	active int
	fail   func(call string) error
}

type podInMemory struct {
	node    *node
	pod     *corev1.Pod
	lines   []logLine
	changed chan struct{} // closed at each change
	breaks  int           // how many of the streams that have nothing more to send break off
	broken  error         // with which a log that is not followed breaks off
}

// logLine is a line as a runtime notes it down.
type logLine struct {
	at   time.Time
	text string
}

func newNode() *node { return &node{pods: map[string]*podInMemory{}} }

func (n *node) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.active
}

// openings is how often a log was opened.
func (n *node) openings() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.opened)
}

// failing has calls fail, by their name; nil has them succeed again.
func (n *node) failing(fail func(call string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = fail
}

// run makes the Pod of a job, with a container that runs.
func (n *node) run(namespace, name string, job types.UID) *podInMemory {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &podInMemory{node: n, changed: make(chan struct{}), pod: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      name,
			UID:       types.UID("uid-of-" + name),
			Labels:    map[string]string{v1alpha1.LabelSpiderJobUID: string(job)},
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "sidecar", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
			{Name: v1alpha1.ContainerName, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}},
	}}
	n.pods[namespace+"/"+name] = p
	return p
}

// change changes a Pod, and lets those know who read its log.
func (p *podInMemory) change(change func()) {
	p.node.mu.Lock()
	defer p.node.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *podInMemory) write(lines ...string) {
	p.change(func() {
		for _, line := range lines {
			p.lines = append(p.lines, logLine{time.Now(), line + "\n"})
		}
	})
}

func (p *podInMemory) terminate() {
	p.change(func() {
		p.pod.Status.ContainerStatuses[1].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	})
}

// ended reports whether the process has ended. The caller holds the mutex.
func (p *podInMemory) ended() bool { return p.pod.Status.ContainerStatuses[1].State.Terminated != nil }

// cut breaks all streams off, as a rotation of the log may.
func (p *podInMemory) cut() {
	p.change(func() { p.breaks = p.node.active })
}

func (p *podInMemory) delete() {
	p.change(func() {
		p.pod.Status.ContainerStatuses[1].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		delete(p.node.pods, p.pod.Namespace+"/"+p.pod.Name)
	})
}

func (n *node) find(call, namespace, name string) (*podInMemory, error) {
	if n.fail != nil {
		if err := n.fail(call); err != nil {
			return nil, err
		}
	}
	p := n.pods[namespace+"/"+name]
	if p == nil {
		return nil, fmt.Errorf("reading: %w", apierrors.NewNotFound(corev1.Resource("pods"), name))
	}
	return p, nil
}

func (n *node) Get(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, err := n.find("get", namespace, name)
	if err != nil {
		return nil, err
	}
	return p.pod.DeepCopy(), nil
}

func (n *node) Log(namespace, name string) podlog.Opener {
	return func(ctx context.Context, options *corev1.PodLogOptions) (io.ReadCloser, error) {
		return n.open(ctx, namespace, name, *options)
	}
}

func (n *node) open(ctx context.Context, namespace, name string, options corev1.PodLogOptions) (io.ReadCloser, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, err := n.find("log", namespace, name)
	if err != nil {
		return nil, err
	}
	n.opened = append(n.opened, options)
	n.active++
	next := 0
	if options.TailLines != nil {
		next = max(0, len(p.lines)-int(*options.TailLines))
	}
	since := time.Time{}
	if options.SinceTime != nil {
		since = options.SinceTime.Truncate(time.Second)
	}
	if options.SinceSeconds != nil {
		since = time.Now().Add(-time.Duration(*options.SinceSeconds) * time.Second)
	}
	if options.Follow {
		// A kubelet does not answer a follower before there is something to tell.
		for next >= len(p.lines) && !p.ended() {
			changed := p.changed
			n.mu.Unlock()
			select {
			case <-changed:
			case <-ctx.Done():
			}
			n.mu.Lock()
			if ctx.Err() != nil {
				n.active--
				return nil, ctx.Err()
			}
		}
	}
	reader, writer := io.Pipe()
	context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
	go func() {
		err := p.send(ctx, writer, options, next, since)
		n.mu.Lock()
		n.active--
		n.mu.Unlock()
		writer.CloseWithError(err)
	}()
	return reader, nil
}

// send writes the log until there is nothing more to come, and returns how it broke off, if it did.
func (p *podInMemory) send(ctx context.Context, to io.Writer, options corev1.PodLogOptions, next int, since time.Time) error {
	for {
		p.node.mu.Lock()
		lines, changed := slices.Clone(p.lines[min(next, len(p.lines)):]), p.changed
		ended := p.ended() || !options.Follow
		broken := len(lines) == 0 && options.Follow && p.breaks > 0
		if broken {
			p.breaks--
		}
		p.node.mu.Unlock()
		for _, line := range lines {
			text := line.text
			if options.Timestamps {
				text = line.at.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + text
			}
			if line.at.Before(since) {
				continue
			}
			if _, err := io.WriteString(to, text); err != nil {
				return err
			}
		}
		next += len(lines)
		if len(lines) > 0 {
			continue
		}
		if ended || broken {
			return p.broken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// running makes a job that runs, in a Pod of the node.
func (f *testAPI) running(
	t testing.TB, namespace, name string, change ...func(*v1alpha1.SpiderJob),
) (id string, pod *podInMemory) {
	t.Helper()
	uid := types.UID("uid-of-" + name)
	id = f.apply(namespace, name, append([]func(*v1alpha1.SpiderJob){func(job *v1alpha1.SpiderJob) {
		job.UID = uid
		job.Status.Phase, job.Status.StartedAt, job.Status.Attempts, job.Status.PodName = v1alpha1.PhaseRunning, new(
			metav1.Now(),
		), 1, name+"-pod"
	}}, change...)...)
	return id, f.node.run(namespace, name+"-pod", uid)
}
