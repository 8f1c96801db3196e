package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Sink takes what watches show. Each call names the scope of the watch it comes from: a namespace, or "" for all of them.
type Sink[T any] interface {
	// Set takes the present state of an object.
	Set(scope string, item T)
	// Delete takes the last state of an object that is gone.
	Delete(scope string, item T)
	// Replace takes all objects of the scope, as of the given resource version.
	Replace(scope string, items []T, resourceVersion string)
}

// Feed keeps a Sink up to date with one kind of resource in one scope. Objects are turned into the Sink's compact form as
// they arrive, so that they are never held in full.
type Feed[O client.Object, T any] struct {
	// Client reads the resource.
	Client client.WithWatch
	// NewList makes an empty list of the resource.
	NewList func() client.ObjectList
	// Scope is the namespace to watch; empty for all of them.
	Scope string
	// Compact turns an object into the Sink's form. An object it refuses is left out, and reported.
	Compact func(O) (T, error)
	Sink    Sink[T]
	// Report takes errors of the watch and refused objects, for the log.
	Report func(error)

	contact contact
}

// reconnect is how long a feed waits between attempts to reach Kubernetes: from half a second to five.
var reconnect = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 4, Cap: 5 * time.Second}

// Run feeds the Sink until the context ends.
func (f *Feed[O, T]) Run(ctx context.Context) {
	var example O
	backoff := reconnect
	reflector := cache.NewReflectorWithOptions(f, example, store[O, T]{f}, cache.ReflectorOptions{
		Name:    fmt.Sprintf("%T", example),
		Backoff: &backoff,
	})
	// The reflector logs what it is told by List and Watch, which report it themselves.
	reflector.RunWithContext(klog.NewContext(ctx, logr.Discard()))
}

// Synced reports whether the Sink has been given the complete state of the scope at least once.
func (f *Feed[O, T]) Synced() bool { return f.contact.isSynced() }

// Age returns for how long nothing has been heard from Kubernetes: 0 as long as the watch is open.
func (f *Feed[O, T]) Age(now time.Time) time.Duration { return f.contact.age(now) }

// List implements cache.ListerWatcher.
func (f *Feed[O, T]) List(options metav1.ListOptions) (runtime.Object, error) {
	return f.ListWithContext(context.Background(), options)
}

// Watch implements cache.ListerWatcher.
func (f *Feed[O, T]) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return f.WatchWithContext(context.Background(), options)
}

// ListWithContext implements cache.ListerWatcherWithContext.
func (f *Feed[O, T]) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	list := f.NewList()
	paged := &client.ListOptions{Namespace: f.Scope, Raw: &options, Limit: options.Limit, Continue: options.Continue}
	if err := f.Client.List(ctx, list, paged); err != nil {
		f.Report(fmt.Errorf("listing %T: %w", list, err))
		return nil, err
	}
	return list, nil
}

// WatchWithContext implements cache.ListerWatcherWithContext.
func (f *Feed[O, T]) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	list := f.NewList()
	w, err := f.Client.Watch(ctx, list, &client.ListOptions{Namespace: f.Scope, Raw: &options})
	if err != nil {
		f.Report(fmt.Errorf("watching %T: %w", list, err))
		return nil, err
	}
	f.contact.opened()
	return &observedWatch{Interface: w, stopped: sync.OnceFunc(f.contact.closed)}, nil
}

// observedWatch tells when a watch is over: whoever reads it stops it then.
type observedWatch struct {
	watch.Interface
	stopped func()
}

func (w *observedWatch) Stop() {
	w.Interface.Stop()
	w.stopped()
}

// contact knows whether Kubernetes is heard of.
type contact struct {
	mu     sync.Mutex
	synced bool
	open   int
	last   time.Time
}

func (c *contact) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
}

func (c *contact) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	c.last = time.Now()
}

func (c *contact) replaced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = true
	c.last = time.Now()
}

func (c *contact) isSynced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.synced
}

func (c *contact) age(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open > 0 || c.last.IsZero() {
		return 0
	}
	return max(0, now.Sub(c.last))
}

// store is the face of a Feed to the reflector that writes to it.
type store[O client.Object, T any] struct {
	feed *Feed[O, T]
}

var _ cache.TransformingStore = store[client.Object, any]{}

// Transformer makes the reflector keep only compact objects while it gathers a list.
func (s store[O, T]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		o, ok := object.(O)
		if !ok {
			return object, nil
		}
		item, err := s.feed.Compact(o)
		if err != nil {
			s.feed.Report(err)
			return refused{}, nil
		}
		return item, nil
	}
}

// refused stands for an object that Compact did not accept.
type refused struct{}

func (s store[O, T]) Add(object any) error { return s.Update(object) }

func (s store[O, T]) Update(object any) error {
	item, ok, err := s.compact(object)
	if ok {
		s.feed.Sink.Set(s.feed.Scope, item)
	}
	return err
}

func (s store[O, T]) Delete(object any) error {
	item, ok, err := s.compact(object)
	if ok {
		s.feed.Sink.Delete(s.feed.Scope, item)
	}
	return err
}

func (s store[O, T]) Replace(objects []any, resourceVersion string) error {
	items := make([]T, 0, len(objects))
	for _, object := range objects {
		item, ok, err := s.compact(object)
		if err != nil {
			return err
		}
		if ok {
			items = append(items, item)
		}
	}
	s.feed.Sink.Replace(s.feed.Scope, items, resourceVersion)
	s.feed.contact.replaced()
	return nil
}

func (s store[O, T]) Resync() error { return nil }

// compact accepts an object in full or in its compact form. ok is false for one that is to be left out.
func (s store[O, T]) compact(object any) (item T, ok bool, err error) {
	if full, isFull := object.(O); isFull {
		object, err = s.Transformer()(full)
		if err != nil {
			return item, false, err
		}
	}
	switch o := object.(type) {
	case refused:
		return item, false, nil
	case T:
		return o, true, nil
	default:
		return item, false, fmt.Errorf("unexpected %T from a watch of %T", object, *new(O))
	}
}
