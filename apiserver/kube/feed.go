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

// Sink receives what watches show. Each call names the scope of the watch: a namespace, or "" for all of them.
type Sink[T any] interface {
	// Set takes the current state of an object.
	Set(scope string, item T)
	// Delete takes the last state of a deleted object.
	Delete(scope string, item T)
	// Bookmark takes the progress of the watch if it has nothing else to show.
	Bookmark(scope, resourceVersion string)
	// Relist takes all objects of the scope as of the given resource version: page is called with some of them at a time, and
	// done after the last. done is not called if the list could not be read to its end; another Relist follows then.
	Relist(scope, resourceVersion string) (page func(items []T), done func())
}

// Feed keeps a Sink up to date with one kind of resource in one scope. It turns objects into the Sink's compact form as they
// arrive, so they are never held in full, except for one page of a list.
type Feed[O client.Object, T any] struct {
	// Client reads the resource.
	Client client.WithWatch
	// NewList makes an empty list of the resource.
	NewList func() client.ObjectList
	// Scope is the namespace to watch; empty for all of them.
	Scope string
	// Compact turns an object into the Sink's form. An object that it refuses is left out, and reported.
	Compact func(O) (T, error)
	Sink    Sink[T]
	// Report takes errors of the watch and refused objects, for the log.
	Report func(error)

	contact contact
	// reported is the last report, so that it is not repeated on each attempt.
	reported string
}

const (
	// pageSize is how many objects of a list are held in full at once.
	pageSize = 250
	// pageTimeout bounds the read of one page.
	pageTimeout = 60 * time.Second
	// probeTimeout bounds a read that checks whether etcd answers; probePause is the pause after one that failed.
	probeTimeout = 10 * time.Second
	probePause   = 5 * time.Second
	// longStep is how long a watch has to last to reset the pause to a short one.
	longStep = 10 * time.Second
	// shortWatch is how long a watch has to last to be reopened without a pause.
	shortWatch = time.Second
)

// pages bounds how many pages of lists, of all kinds and scopes, are held in full at once. One that hangs does not delay all
// others.
var pages = make(chan struct{}, 2)

// reconnect is the pause between attempts to reach Kubernetes: from half a second to five.
var reconnect = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 4, Cap: 5 * time.Second}

// Run feeds the Sink until the context ends.
func (f *Feed[O, T]) Run(ctx context.Context) {
	backoff := reconnect
	resourceVersion := "" // up to which the Sink knows all changes; empty if it needs a complete list
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

// step reads a complete list if one is needed, and then follows the watch until that ends.
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

// errRestored means that Kubernetes is in an older state than the watch has shown: etcd was restored from a backup. No watch
// would show anything until it has caught up, so a complete list is needed.
var errRestored = errors.New("its state is older than what was shown: etcd was restored")

// probe reads the current state from Kubernetes, which only an etcd that answers can provide.
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

// State returns the state of the feed.
func (f *Feed[O, T]) State(now time.Time) State { return f.contact.state(now) }

// list gives the Sink a complete list, and returns its resource version. It requests the current state, not the cache of
// kube-apiserver, which may be older than what the Sink has seen; and page by page, each of which is compacted before the next
// is read.
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

// compact turns an object into the Sink's form. ok is false for an object that is left out.
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

// unreadable is the cause that client-go gives if a watch breaks, as opposed to a watch that Kubernetes ends.
const unreadable = "ClientWatchDecoding"

// errSilent means that a watch is open but silent.
var errSilent = fmt.Errorf("nothing was heard for %s, not even a bookmark", silence)

// watch forwards what a watch shows after the resource version, and advances that. It returns nil if the watch has ended and
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
	var probed chan error // the result of the current probe
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
				if apierrors.HasStatusCause(err, unreadable) { // Pings have not been answered for that long.
					until = until.Add(-pingIdle - pingTimeout)
				}
				f.contact.closed(until)
				return err
			}
			quiet.Reset(silence)
			switch moved := f.take(event, resourceVersion); {
			case moved:
				f.contact.heard()
				probed = nil // Its answer says nothing else.
			case probed == nil:
				// A bookmark that does not move shows that kube-apiserver works, but says nothing about its etcd.
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

// take forwards an event, and reports whether it advances the watch.
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
	case !ok: // It has been reported. The next event shows the progress of the watch.
	case event.Type == watch.Deleted:
		f.Sink.Delete(f.Scope, item)
	default:
		f.Sink.Set(f.Scope, item)
	}
	return true
}

// startProbe checks, after a pause, whether Kubernetes can still read what the watch shows.
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

// report reports an error once, not on each attempt.
func (f *Feed[O, T]) report(ctx context.Context, err error) {
	if ctx.Err() == nil && err.Error() != f.reported {
		f.reported = err.Error()
		f.Report(err)
	}
}

// name describes the feed, for errors.
func (f *Feed[O, T]) name() string {
	var example O
	if f.Scope == "" {
		return fmt.Sprintf("%T of all namespaces", example)
	}
	return fmt.Sprintf("%T of namespace %s", example, f.Scope)
}
