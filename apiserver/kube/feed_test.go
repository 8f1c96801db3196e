package kube

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// names is a Sink of the names of Spiders.
type names struct {
	mu      sync.Mutex
	present []string
	changed chan struct{}
}

func (n *names) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *names) Set(_ string, name *string) {
	n.change(func() {
		if !slices.Contains(n.present, *name) {
			n.present = append(n.present, *name)
		}
	})
}

func (n *names) Delete(_ string, name *string) {
	n.change(func() { n.present = slices.DeleteFunc(n.present, func(p string) bool { return p == *name }) })
}

func (n *names) Replace(_ string, all []*string, _ string) {
	n.change(func() {
		n.present = nil
		for _, name := range all {
			n.present = append(n.present, *name)
		}
	})
}

// await returns once exactly these names are present.
func (n *names) await(t *testing.T, want ...string) {
	t.Helper()
	patience := time.After(20 * time.Second)
	for {
		n.mu.Lock()
		got, changed := slices.Sorted(slices.Values(n.present)), n.changed
		n.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-changed:
		case <-patience:
			t.Fatalf("the sink holds %q, want %q", got, want)
		}
	}
}

func spider(name string) *v1alpha1.Spider {
	return &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}}
}

func newClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	plain := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	// The fake client does not stream lists: it has to say so, as an old kube-apiserver does.
	old := interceptor.NewClient(plain, interceptor.Funcs{
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			if all := new(client.ListOptions).ApplyOptions(options); all.Raw != nil && all.Raw.SendInitialEvents != nil {
				return nil, errors.New("sendInitialEvents is not supported")
			}
			return c.Watch(ctx, list, options...)
		},
	})
	return interceptor.NewClient(old, funcs)
}

// newFeed feeds names of Spiders, and refuses the one called bad.
func newFeed(kubernetes client.WithWatch, report func(error)) (*Feed[*v1alpha1.Spider, *string], *names) {
	sink := &names{changed: make(chan struct{})}
	return &Feed[*v1alpha1.Spider, *string]{
		Client: kubernetes, Scope: "team", Sink: sink, Report: report,
		NewList: func() client.ObjectList { return &v1alpha1.SpiderList{} },
		Compact: func(s *v1alpha1.Spider) (*string, error) {
			if s.Name == "bad" {
				return nil, errors.New("a bad one")
			}
			return &s.Name, nil
		},
	}, sink
}

func run(t *testing.T, feed Runner) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		feed.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
}

func TestFeedFollowsItsResource(t *testing.T) {
	watching := make(chan struct{})
	watched := sync.OnceFunc(func() { close(watching) })
	kubernetes := newClient(t, interceptor.Funcs{
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			w, err := c.Watch(ctx, list, options...)
			if err == nil {
				watched()
			}
			return w, err
		},
	}, spider("a"))
	var reported sync.Map
	feed, sink := newFeed(kubernetes, func(err error) { reported.Store(err.Error(), true) })
	if feed.Synced() {
		t.Error("synced before it has run")
	}
	run(t, feed)
	sink.await(t, "a")
	// The fake client's watch tells nothing of what was before it.
	<-watching
	if !feed.Synced() || feed.Age(time.Now()) > time.Minute {
		t.Errorf("synced %t, age %s", feed.Synced(), feed.Age(time.Now()))
	}
	for _, object := range []client.Object{spider("bad"), spider("b")} {
		if err := kubernetes.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	sink.await(t, "a", "b")
	if _, ok := reported.Load("a bad one"); !ok {
		t.Error("the object that was left out was not reported")
	}
	if err := kubernetes.Delete(t.Context(), spider("a")); err != nil {
		t.Fatal(err)
	}
	sink.await(t, "b")
}

func TestFeedTriesAgain(t *testing.T) {
	var mu sync.Mutex
	failures := 0
	kubernetes := newClient(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			mu.Lock()
			defer mu.Unlock()
			if failures++; failures < 3 {
				return errors.New("connection refused")
			}
			return c.List(ctx, list, options...)
		},
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			mu.Lock()
			defer mu.Unlock()
			if failures < 3 {
				return nil, errors.New("connection refused")
			}
			return c.Watch(ctx, list, options...)
		},
	}, spider("a"))
	feed, sink := newFeed(kubernetes, func(error) {})
	run(t, feed)
	sink.await(t, "a")
}

func TestAgeGrowsWhileNoWatchIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c contact
		age := func() time.Duration { return c.age(time.Now()) }
		c.opened()
		c.replaced()
		time.Sleep(time.Hour)
		if age() != 0 {
			t.Errorf("age %s while a watch is open", age())
		}
		c.closed()
		time.Sleep(90 * time.Second)
		if age() != 90*time.Second {
			t.Errorf("age %s, want 90s after the watch ended", age())
		}
		c.opened()
		if age() != 0 {
			t.Errorf("age %s once a watch is open again", age())
		}
	})
}

// fixed is a feed that is as told.
type fixed struct {
	synced bool
	age    time.Duration
}

func (f fixed) Run(context.Context)         {}
func (f fixed) Synced() bool                { return f.synced }
func (f fixed) Age(time.Time) time.Duration { return f.age }

func TestFeedsAreAsGoodAsTheWorst(t *testing.T) {
	feeds := Feeds{fixed{true, time.Second}, fixed{false, time.Minute}, fixed{true, 0}}
	if feeds.Synced() || feeds.Age() != time.Minute {
		t.Errorf("synced %t, age %s; want false, 1m", feeds.Synced(), feeds.Age())
	}
	if synced := (Feeds{fixed{true, 0}}); !synced.Synced() || synced.Age() != 0 {
		t.Error("feeds that are all synced and fresh are not")
	}
}
