package view

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestSpidersAreAsNewAsOwnWrites writes Spiders as a replica does, beside others, while its watch lags behind and begins anew:
// what was written is seen at once and never undone, pages show each Spider once, and in the end the view is right.
func TestSpidersAreAsNewAsOwnWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		view := NewSpiders()
		view.Replace("", nil, "1")
		revision := 1
		stored := map[string]*v1alpha1.Spider{}
		own := map[string]bool{} // written by this replica last
		var events []event
		var pages [][]*Spider // of a complete list that is under way
		var page func([]*Spider)
		var done func()
		store := func(name, spiderName string) *v1alpha1.Spider {
			revision++
			stored[name] = &v1alpha1.Spider{
				ObjectMeta: metav1.ObjectMeta{
					Namespace:         ns,
					Name:              name,
					ResourceVersion:   strconv.Itoa(revision),
					CreationTimestamp: metav1.Unix(int64(1000+len(name)%2), 0),
				},
				Spec: v1alpha1.SpiderSpec{Name: spiderName, UserID: map[bool]string{true: "alice"}[strings.HasSuffix(name, "a")]},
			}
			compact := compactSpider(t, stored[name])
			events = append(events, event{revision, func() { view.Set("", compact) }})
			return stored[name]
		}
		remove := func(name string) {
			revision++
			last := stored[name].DeepCopy()
			last.ResourceVersion = strconv.Itoa(revision)
			delete(stored, name)
			events = append(events, event{revision, func() { view.Delete("", compactSpider(t, last)) }})
		}
		anyName := rapid.SampledFrom([]string{"a", "b", "ca", "db", "ea"})
		anySpiderName := rapid.SampledFrom([]string{"books", "news"})
		seen := func(name string) string {
			names, _, ok := view.SpiderNames(ns, name)
			if !ok {
				return "absent"
			}
			return names
		}
		t.Repeat(map[string]func(*rapid.T){
			"another writes": func(t *rapid.T) {
				name := anyName.Draw(t, "name")
				store(name, anySpiderName.Draw(t, "spider name"))
				own[name] = false
			},
			"another deletes": func(t *rapid.T) {
				name := anyName.Draw(t, "name")
				if stored[name] == nil {
					t.Skip("there is none")
				}
				remove(name)
				own[name] = false
			},
			"this replica writes": func(t *rapid.T) {
				name := anyName.Draw(t, "name")
				if _, err := view.Put(store(name, anySpiderName.Draw(t, "spider name"))); err != nil {
					t.Fatal(err)
				}
				own[name] = true
			},
			"this replica deletes": func(t *rapid.T) {
				name := anyName.Draw(t, "name")
				spider := stored[name]
				if spider == nil || seen(name) == "absent" {
					t.Skip("there is none, or none that is known")
				}
				remove(name)
				view.Remove(ns, name, spider.ResourceVersion)
				own[name] = true
			},
			"the watch shows something": func(t *rapid.T) {
				if done != nil {
					t.Skip("there is no watch while a list is read")
				}
				n := min(len(events), rapid.IntRange(1, 4).Draw(t, "n"))
				for _, event := range events[:n] {
					event.show()
				}
				events = events[n:]
			},
			"the watch begins anew": func(t *rapid.T) {
				var list []*Spider
				for _, name := range slices.Sorted(maps.Keys(stored)) {
					list = append(list, compactSpider(t, stored[name]))
				}
				// A list that was not read to its end is followed by another.
				pages = slices.Collect(slices.Chunk(list, rapid.IntRange(1, 3).Draw(t, "page")))
				page, done = view.Relist("", strconv.Itoa(revision))
				events = slices.DeleteFunc(events, func(e event) bool { return e.revision <= revision })
			},
			"a page of the list is read": func(t *rapid.T) {
				switch {
				case done == nil:
					t.Skip("there is no list")
				case len(pages) == 0:
					done()
					done = nil
				default:
					page(pages[0])
					pages = pages[1:]
				}
			},
			"": func(t *rapid.T) {
				for name, wrote := range own {
					want := "absent"
					if stored[name] != nil {
						want = stored[name].Spec.Name
					}
					if got := seen(name); wrote && got != want {
						t.Fatalf("after this replica's own write Spider %s is %s, want %s", name, got, want)
					}
				}
			},
		})
		if done != nil {
			for _, p := range pages {
				page(p)
			}
			done()
		}
		for _, event := range events {
			event.show()
		}
		for _, user := range []string{"", ns, "alice", "bob"} {
			var got, want []string
			for q := (SpiderQuery{Namespace: ns, UserID: user, Limit: rapid.IntRange(1, 3).Draw(t, "limit")}); ; {
				page, more := view.List(q)
				for _, spider := range page {
					got = append(got, spider.ResourceName+" "+spider.Name)
				}
				if !more {
					break
				}
				last := page[len(page)-1].Position()
				q.After = &last
			}
			for name, spider := range stored {
				if spider.VisibleTo(user) {
					want = append(want, name+" "+spider.Spec.Name)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("the Spiders of %s (-stored +listed):\n%s", user, diff)
			}
		}
		if n := len(view.removed); n != 0 {
			t.Fatalf("%d deletions are remembered after the watch has shown them", n)
		}
	})
}

// event is what a watch is about to show.
type event struct {
	revision int
	show     func()
}

func compactSpider(t rapid.TB, spider *v1alpha1.Spider) *Spider {
	t.Helper()
	compact, err := FromSpider(spider)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}
