package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	// pages are the lengths of all pieces of complete lists.
	pages    []int
	bookmark string
	changed  chan struct{}
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

func (n *names) Bookmark(_, resourceVersion string) {
	n.change(func() { n.bookmark = resourceVersion })
}

func (n *names) Relist(_, _ string) (page func([]*string), done func()) {
	var all []string
	return func(some []*string) {
			n.change(func() { n.pages = append(n.pages, len(some)) })
			for _, name := range some {
				all = append(all, *name)
			}
		}, func() {
			n.change(func() { n.present = all })
		}
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
	return interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), funcs)
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

func run(t *testing.T, feed runner) {
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
	if feed.State(time.Now()).Synced {
		t.Error("synced before it has run")
	}
	run(t, feed)
	sink.await(t, "a")
	// The fake client's watch tells nothing of what was before it.
	<-watching
	if state := feed.State(time.Now()); !state.Synced || state.Age > time.Minute {
		t.Errorf("%+v", state)
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

// scripted is a Kubernetes whose lists and watches a test tells. Its clock is the test's.
type scripted struct {
	// list is asked for a page behind a continue token.
	list func(options *client.ListOptions) (page *v1alpha1.SpiderList, err error)
	// watch is asked for a watch behind a resource version.
	watch func(resourceVersion string) (watch.Interface, error)
}

func (s scripted) client(t *testing.T) client.WithWatch {
	return newClient(t, interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			page, err := s.list(new(client.ListOptions).ApplyOptions(options))
			if err != nil {
				return err
			}
			spiders, ok := list.(*v1alpha1.SpiderList)
			if !ok {
				return errors.New("only Spiders are listed")
			}
			page.DeepCopyInto(spiders)
			return nil
		},
		Watch: func(_ context.Context, _ client.WithWatch, _ client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			all := new(client.ListOptions).ApplyOptions(options)
			if !all.Raw.AllowWatchBookmarks {
				return nil, errors.New("without bookmarks nobody knows that the watch is alive")
			}
			return s.watch(all.Raw.ResourceVersion)
		},
	})
}

func spiderPage(resourceVersion, next string, spiders ...string) *v1alpha1.SpiderList {
	page := &v1alpha1.SpiderList{}
	page.ResourceVersion, page.Continue = resourceVersion, next
	for _, name := range spiders {
		page.Items = append(page.Items, *spider(name))
	}
	return page
}

// pass lets time pass, and all that happens meanwhile come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// The list is read page by page, of the present state, and each page is handed on before the next is read. One that expires on
// the way is begun anew.
func TestListsAreReadInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		var sink *names
		expire := true
		kubernetes := scripted{
			list: func(options *client.ListOptions) (*v1alpha1.SpiderList, error) {
				if options.Limit != pageSize || options.Raw != nil && options.Raw.ResourceVersion != "" {
					t.Errorf("a list is asked for with %+v", options)
				}
				asked = append(asked, fmt.Sprintf("%s after %d", options.Continue, len(sink.pages)))
				switch {
				case options.Continue == "":
					return spiderPage("7", "more", "a", "b"), nil
				case expire:
					expire = false
					return nil, apierrors.NewResourceExpired("too old a token")
				default:
					return spiderPage("7", "", "c"), nil
				}
			},
			watch: func(resourceVersion string) (watch.Interface, error) {
				if resourceVersion != "7" {
					t.Errorf("the watch begins behind %s, want 7", resourceVersion)
				}
				return watch.NewRaceFreeFake(), nil
			},
		}
		var feed *Feed[*v1alpha1.Spider, *string]
		feed, sink = newFeed(kubernetes.client(t), func(error) {})
		run(t, feed)
		synctest.Wait()
		if feed.State(time.Now()).Synced {
			t.Error("synced by half a list")
		}
		pass(10 * time.Second)
		sink.await(t, "a", "b", "c")
		if want := []string{" after 0", "more after 1", " after 1", "more after 2"}; !slices.Equal(asked, want) {
			t.Errorf("the pages that were asked for are %q, want %q", asked, want)
		}
		if !feed.State(time.Now()).Synced {
			t.Error("not synced by a whole list")
		}
	})
}

// A watch goes on where it has come to, by bookmarks as well, and begins anew with a complete list when it is told to.
func TestWatchGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists := 0
		var begun []string
		var current *watch.RaceFreeFakeWatcher
		kubernetes := scripted{
			list: func(*client.ListOptions) (*v1alpha1.SpiderList, error) {
				lists++
				return spiderPage(strconv.Itoa(10*lists), "", "a"), nil
			},
			watch: func(resourceVersion string) (watch.Interface, error) {
				begun = append(begun, resourceVersion)
				current = watch.NewRaceFreeFake()
				return current, nil
			},
		}
		feed, sink := newFeed(kubernetes.client(t), func(error) {})
		run(t, feed)
		synctest.Wait()
		bookmark := &v1alpha1.Spider{}
		bookmark.ResourceVersion = "12"
		current.Action(watch.Bookmark, bookmark)
		pass(time.Minute)
		current.Stop() // Its time is over.
		synctest.Wait()
		b := spider("b")
		b.ResourceVersion = "13"
		current.Add(b)
		synctest.Wait()
		pass(time.Minute)
		current.Error(&apierrors.NewInternalError(errors.New("the connection is lost")).ErrStatus)
		pass(10 * time.Second)
		current.Error(&apierrors.NewResourceExpired("compacted").ErrStatus)
		pass(10 * time.Second)
		if want := []string{"10", "12", "13", "20"}; !slices.Equal(begun, want) || sink.bookmark != "12" {
			t.Errorf("watches began behind %q, want %q; the bookmark is %q", begun, want, sink.bookmark)
		}
		sink.await(t, "a")
	})
}

// Fresh is what was heard of on this watch. One that says nothing for longer than bookmarks take is given up: Kubernetes is asked
// then, and only its answer makes the picture fresh again. After a restore of etcd that answer calls for a complete list.
func TestSilentWatchIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung, restored atomic.Bool
		lists := 0
		var begun []string
		kubernetes := scripted{
			list: func(options *client.ListOptions) (*v1alpha1.SpiderList, error) {
				if hung.Load() {
					return nil, errors.New("etcd does not answer")
				}
				if options.Limit != 1 {
					lists++
				}
				if restored.Load() {
					return spiderPage("8", "", "a"), nil
				}
				return spiderPage("10", "", "a"), nil
			},
			watch: func(resourceVersion string) (watch.Interface, error) {
				begun = append(begun, resourceVersion)
				return watch.NewRaceFreeFake(), nil
			},
		}
		feed, _ := newFeed(kubernetes.client(t), func(error) {})
		run(t, feed)
		age := func() time.Duration { return feed.State(time.Now()).Age.Round(time.Second) }
		pass(70 * time.Second)
		hung.Store(true)
		if age() != 0 {
			t.Errorf("age %s while a bookmark may still come", age())
		}
		pass(20 * time.Second)
		if age() != 90*time.Second || len(begun) != 1 {
			t.Errorf("age %s after 90 s of silence, and %d watches", age(), len(begun))
		}
		hung.Store(false)
		pass(10 * time.Second)
		if age() != 0 || len(begun) != 2 || lists != 1 {
			t.Errorf("age %s once Kubernetes has answered; %d watches, %d lists", age(), len(begun), lists)
		}
		restored.Store(true)
		pass(90 * time.Second)
		if age() != 0 || lists != 2 || begun[len(begun)-1] != "8" {
			t.Errorf("age %s after a restore of etcd; %d lists, watches behind %q", age(), lists, begun)
		}
	})
}

// An etcd that hangs is not seen by the watch: kube-apiserver goes on to send a bookmark every minute, of where it was. Such a
// bookmark has the feed ask for the present state, and while that has no answer the picture is as old as what was heard last.
func TestHungEtcdIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung, moving atomic.Bool
		var probes, revision atomic.Int64
		revision.Store(10)
		current := make(chan *watch.RaceFreeFakeWatcher, 1)
		kubernetes := scripted{
			list: func(options *client.ListOptions) (*v1alpha1.SpiderList, error) {
				if options.Limit != 1 {
					return spiderPage("10", "", "a"), nil
				}
				probes.Add(1)
				if hung.Load() {
					time.Sleep(probeTimeout)
					return nil, context.DeadlineExceeded
				}
				return spiderPage(fmt.Sprint(revision.Load()), "", "a"), nil
			},
			watch: func(string) (watch.Interface, error) {
				w := watch.NewRaceFreeFake()
				current <- w
				return w, nil
			},
		}
		feed, _ := newFeed(kubernetes.client(t), func(error) {})
		run(t, feed)
		w := <-current
		bookmarks, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			for ticker := time.NewTicker(time.Minute); ; {
				select {
				case <-ticker.C:
					if moving.Load() {
						revision.Add(1)
					}
					bookmark := &v1alpha1.Spider{}
					bookmark.ResourceVersion = fmt.Sprint(revision.Load())
					w.Action(watch.Bookmark, bookmark)
				case <-bookmarks.Done():
					ticker.Stop()
					return
				}
			}
		}()
		age := func() time.Duration { return feed.State(time.Now()).Age.Round(time.Second) }
		pass(5*time.Minute + time.Second)
		if age() != 0 || probes.Load() != 5 {
			t.Errorf("age %s with an etcd in which nothing happens, asked %d times in five minutes", age(), probes.Load())
		}
		moving.Store(true)
		pass(5 * time.Minute)
		if age() != 0 || probes.Load() != 5 {
			t.Errorf("age %s while bookmarks move, asked %d times more", age(), probes.Load()-5)
		}
		moving.Store(false)
		hung.Store(true)
		pass(time.Minute + probeTimeout - 2*time.Second)
		if age() != 0 {
			t.Errorf("age %s before the probe is over", age())
		}
		pass(3 * time.Second)
		if want := time.Minute + probeTimeout + 2*time.Second; age() != want {
			t.Errorf("age %s, want %s since the last bookmark that moved", age(), want)
		}
		pass(5 * time.Minute)
		if age() < 6*time.Minute {
			t.Errorf("age %s after six minutes", age())
		}
		hung.Store(false)
		pass(probeTimeout + probePause + time.Second)
		if age() != 0 {
			t.Errorf("age %s once etcd answers", age())
		}
	})
}

func TestAgeGrowsWhileNoWatchIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c contact
		age := func() time.Duration { return c.state(time.Now()).Age }
		c.listed()
		c.opened()
		time.Sleep(time.Minute)
		if age() != 0 {
			t.Errorf("age %s while a watch is open", age())
		}
		c.closed(time.Now().Add(-4 * time.Second))
		if age() != 4*time.Second {
			t.Errorf("age %s, want 4s once pings were not answered for as long", age())
		}
		time.Sleep(90 * time.Second)
		if age() != 94*time.Second {
			t.Errorf("age %s, want 94s", age())
		}
		c.opened()
		if age() != 0 {
			t.Errorf("age %s once a watch is open again", age())
		}
	})
}

func TestRefusedIsWhatKubernetesRefusesAgainAndAgain(t *testing.T) {
	forbidden := apierrors.NewForbidden(v1alpha1.Resource("spiders"), "", errors.New("no role"))
	var c contact
	for range refusedAfter {
		if c.state(time.Now()).Refused {
			t.Error("refused by a kube-apiserver that may have just started")
		}
		c.failed(fmt.Errorf("listing: %w", forbidden))
		c.failed(errors.New("connection refused"))
	}
	if !c.state(time.Now()).Refused {
		t.Error("not refused though Kubernetes has refused it again and again")
	}
	c.listed()
	if c.state(time.Now()).Refused {
		t.Error("refused though it could be read")
	}
}

// fixed is a feed that is as told.
type fixed struct {
	scope string
	state State
}

func (f fixed) Run(context.Context)   {}
func (f fixed) Watches() string       { return f.scope }
func (f fixed) State(time.Time) State { return f.state }

func TestScopesAreAsGoodAsTheirWorstFeed(t *testing.T) {
	fresh, old := State{Synced: true}, State{Synced: true, Age: time.Minute}
	for _, test := range []struct {
		name         string
		feeds        Feeds
		team, other  State
		scopes       string
		teamInScopes State
	}{
		{"each namespace by itself",
			Feeds{fixed{"team", fresh}, fixed{"team", fresh}, fixed{"other", old}, fixed{"other", State{Refused: true}}},
			fresh, State{Refused: true, Age: time.Minute}, "team", fresh},
		{"all of them", Feeds{fixed{"", fresh}, fixed{"", old}}, old, old, "", old},
		{"another", Feeds{fixed{"another", fresh}}, State{}, State{}, "another", fresh},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.feeds.Of("team"); got != test.team {
				t.Errorf("team is %+v, want %+v", got, test.team)
			}
			if got := test.feeds.Of("other"); got != test.other {
				t.Errorf("other is %+v, want %+v", got, test.other)
			}
			if got := test.feeds.Scopes()[test.scopes]; got != test.teamInScopes {
				t.Errorf("scope %q is %+v, want %+v", test.scopes, got, test.teamInScopes)
			}
		})
	}
}
