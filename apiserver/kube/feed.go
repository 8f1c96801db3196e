package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Sink takes what watches show. Each call names the scope of the watch it comes from: a namespace, or "" for all of them.
type Sink[T any] interface {
	// Set takes the present state of an object.
	Set(scope string, item T)
	// Delete takes the last state of an object that is gone.
	Delete(scope string, item T)
	// Bookmark takes how far the watch has come where it has nothing else to show.
	Bookmark(scope, resourceVersion string)
	// Relist takes all objects of the scope as of the given resource version: page is called with some of them at a time, and done
	// after the last. done is not called when the list could not be read to its end; another Relist follows then.
	Relist(scope, resourceVersion string) (page func(items []T), done func())
}

// Feed keeps a Sink up to date with one kind of resource in one scope. Objects are turned into the Sink's compact form as
// they arrive, so that they are never held in full: but for one page of a list.
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
	// reported is what was reported last, so that it is not reported again on each attempt.
	reported string
}

const (
	// pageSize is how many objects of a list are held in full at once.
	pageSize = 250
	// pageTimeout bounds the read of one page.
	pageTimeout = 60 * time.Second
	// probeTimeout bounds a read that shall show whether etcd answers, and probePause is how long the next one waits when it did not.
	probeTimeout = 10 * time.Second
	probePause   = 5 * time.Second
	// longStep is how long following lasts at least that makes the next pause a short one again.
	longStep = 10 * time.Second
	// shortWatch is how long a watch lasts at least that ends for no reason to pause.
	shortWatch = time.Second
)

// pages bounds how many pages of lists, of all kinds and scopes, are held in full at once. One that hangs does not hold up all
// others.
var pages = make(chan struct{}, 2)

// reconnect is how long a feed waits between attempts to reach Kubernetes: from half a second to five.
var reconnect = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 4, Cap: 5 * time.Second}

// Run feeds the Sink until the context ends.
func (f *Feed[O, T]) Run(ctx context.Context) {
	backoff := reconnect
	resourceVersion := "" // how far the Sink knows all changes; empty when it needs a complete list
	for ctx.Err() == nil {
		begun := time.Now()
		err := f.step(ctx, &resourceVersion)
		if time.Since(begun) > longStep {
			backoff = reconnect
		}
		if err == nil {
			continue
		}
		if f.contact.failed(err) {
			err = fmt.Errorf("callers of what may not be read are answered 503: %w", err)
		}
		f.report(ctx, err)
		select {
		case <-time.After(backoff.Step()):
		case <-ctx.Done():
		}
	}
}

// step reads a complete list where one is needed, and then follows the watch until that ends.
func (f *Feed[O, T]) step(ctx context.Context, resourceVersion *string) error {
	if f.contact.isDoubtful() {
		switch err := f.probe(ctx, *resourceVersion); {
		case errors.Is(err, errRestored):
			*resourceVersion = ""
		case err != nil:
			return fmt.Errorf("reading one of %s: %w", f.name(), err)
		}
		f.contact.heard()
	}
	if *resourceVersion == "" {
		listed, err := f.list(ctx)
		if err != nil {
			return fmt.Errorf("listing %s: %w", f.name(), err)
		}
		*resourceVersion = listed
		f.contact.listed()
	}
	err := f.watch(ctx, resourceVersion)
	if err == nil {
		return nil
	}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		*resourceVersion = ""
	}
	return fmt.Errorf("watching %s: %w", f.name(), err)
}

// errRestored says that Kubernetes is in an older state than the watch has shown: etcd was restored from a backup. No watch would
// show anything until it has caught up, so a complete list is needed.
var errRestored = errors.New("its state is older than what was shown: etcd was restored")

// probe asks Kubernetes for its present state, which only an etcd that answers can tell.
func (f *Feed[O, T]) probe(ctx context.Context, resourceVersion string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	list := f.NewList()
	if err := f.Client.List(ctx, list, &client.ListOptions{Namespace: f.Scope, Limit: 1}); err != nil {
		return err
	}
	order, err := resourceversion.CompareResourceVersion(list.GetResourceVersion(), resourceVersion)
	if err == nil && order < 0 {
		return errRestored
	}
	return nil
}

// Watches returns the scope.
func (f *Feed[O, T]) Watches() string { return f.Scope }

// State tells how the feed stands.
func (f *Feed[O, T]) State(now time.Time) State { return f.contact.state(now) }

// list gives the Sink a complete list, and returns its resource version. It asks for the present state, and not for what a
// kube-apiserver remembers, which may be older than what the Sink has seen; and page by page, each of which is compacted before
// the next is read.
func (f *Feed[O, T]) list(ctx context.Context) (resourceVersion string, err error) {
	options := &client.ListOptions{Namespace: f.Scope, Limit: pageSize}
	var page func([]T)
	var done func()
	for {
		items, head, err := f.readPage(ctx, options)
		if err != nil {
			return "", err
		}
		if page == nil {
			resourceVersion = head.GetResourceVersion()
			page, done = f.Sink.Relist(f.Scope, resourceVersion)
		}
		page(items)
		if options.Continue = head.GetContinue(); options.Continue == "" {
			done()
			return resourceVersion, nil
		}
	}
}

func (f *Feed[O, T]) readPage(ctx context.Context, options *client.ListOptions) ([]T, metav1.ListInterface, error) {
	select {
	case pages <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-pages }()
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	list := f.NewList()
	if err := f.Client.List(ctx, list, options); err != nil {
		return nil, nil, err
	}
	items := make([]T, 0, pageSize)
	err := meta.EachListItem(list, func(object runtime.Object) error {
		if item, ok := f.compact(object); ok {
			items = append(items, item)
		}
		return nil
	})
	head := &metav1.ListMeta{ResourceVersion: list.GetResourceVersion(), Continue: list.GetContinue()}
	return items, head, err
}

// compact turns an object into the Sink's form. ok is false for one that is left out.
func (f *Feed[O, T]) compact(object runtime.Object) (item T, ok bool) {
	full, ok := object.(O)
	if !ok {
		f.Report(fmt.Errorf("unexpected %T among %s", object, f.name()))
		return item, false
	}
	item, err := f.Compact(full)
	if err != nil {
		f.Report(err)
		return item, false
	}
	return item, true
}

// unreadable is the cause that client-go gives where a watch breaks off, rather than that Kubernetes ends it.
const unreadable = "ClientWatchDecoding"

// errSilent says that a watch is open and tells nothing.
var errSilent = fmt.Errorf("nothing was heard for %s, not even a bookmark", silence)

// watch hands on what a watch shows behind the resource version, and moves that on. It returns nil when the watch has ended and
// another may follow at once.
func (f *Feed[O, T]) watch(ctx context.Context, resourceVersion *string) error {
	begun := time.Now()
	lasting := int64(300 + rand.IntN(300)) //nolint:gosec // Spreads the load.
	w, err := f.Client.Watch(ctx, f.NewList(), &client.ListOptions{Namespace: f.Scope, Raw: &metav1.ListOptions{
		ResourceVersion: *resourceVersion, AllowWatchBookmarks: true, TimeoutSeconds: &lasting,
	}})
	if err != nil {
		return err
	}
	defer w.Stop()
	f.contact.opened()
	f.reported = ""
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	probing, stopProbing := context.WithCancel(ctx)
	defer stopProbing()
	var probed chan error // of the probe that is under way
	for {
		select {
		case err := <-probed:
			probed = nil
			switch {
			case errors.Is(err, errRestored):
				*resourceVersion = ""
				f.contact.closed(time.Now())
				return err
			case err != nil:
				f.contact.doubt()
				f.report(ctx, fmt.Errorf("reading one of %s: %w", f.name(), err))
				probed = f.startProbe(probing, *resourceVersion, probePause)
			default:
				f.contact.heard()
				f.reported = ""
			}
		case event, open := <-w.ResultChan():
			switch {
			case !open && time.Since(begun) < shortWatch:
				f.contact.closed(time.Now())
				return errors.New("it ended at once")
			case !open:
				f.contact.closed(time.Now())
				return nil
			case event.Type == watch.Error:
				err, until := apierrors.FromObject(event.Object), time.Now()
				if apierrors.HasStatusCause(err, unreadable) { // Pings have not been answered for as long.
					until = until.Add(-pingIdle - pingTimeout)
				}
				f.contact.closed(until)
				return err
			}
			quiet.Reset(silence)
			switch moved := f.take(event, resourceVersion); {
			case moved:
				f.contact.heard()
				probed = nil // Its answer says no more than that.
			case probed == nil:
				// A bookmark that does not move tells that kube-apiserver is there. Of its etcd it tells nothing.
				probed = f.startProbe(probing, *resourceVersion, 0)
			}
		case <-quiet.C:
			f.contact.silent()
			return errSilent
		case <-ctx.Done():
			return nil
		}
	}
}

// take hands on an event, and reports whether it moves the watch on.
func (f *Feed[O, T]) take(event watch.Event, resourceVersion *string) (moved bool) {
	object, ok := event.Object.(O)
	if !ok {
		f.Report(fmt.Errorf("unexpected %T in a watch of %s", event.Object, f.name()))
		return true
	}
	moved = *resourceVersion != object.GetResourceVersion()
	*resourceVersion = object.GetResourceVersion()
	if event.Type == watch.Bookmark {
		f.Sink.Bookmark(f.Scope, *resourceVersion)
		return moved
	}
	item, ok := f.compact(object)
	switch {
	case !ok: // It has been reported. How far the watch has come is told by the next event.
	case event.Type == watch.Deleted:
		f.Sink.Delete(f.Scope, item)
	default:
		f.Sink.Set(f.Scope, item)
	}
	return true
}

// startProbe asks, after a pause, whether Kubernetes can still read what the watch shows.
func (f *Feed[O, T]) startProbe(ctx context.Context, resourceVersion string, pause time.Duration) chan error {
	result := make(chan error, 1)
	go func() {
		select {
		case <-time.After(pause):
			result <- f.probe(ctx, resourceVersion)
		case <-ctx.Done():
		}
	}()
	return result
}

// report reports an error, but not again on each attempt.
func (f *Feed[O, T]) report(ctx context.Context, err error) {
	if ctx.Err() == nil && err.Error() != f.reported {
		f.reported = err.Error()
		f.Report(err)
	}
}

// name says what is fed, for errors.
func (f *Feed[O, T]) name() string {
	var example O
	if f.Scope == "" {
		return fmt.Sprintf("%T of all namespaces", example)
	}
	return fmt.Sprintf("%T of namespace %s", example, f.Scope)
}
