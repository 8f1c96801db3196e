package view

import (
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
		var events []func()
		store := func(name, spiderName string) *v1alpha1.Spider {
			revision++
			stored[name] = &v1alpha1.Spider{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: ns, Name: name, ResourceVersion: strconv.Itoa(revision), CreationTimestamp: metav1.Unix(int64(1000+len(name)%2), 0),
				},
				Spec: v1alpha1.SpiderSpec{Name: spiderName, UserID: map[bool]string{true: "alice"}[strings.HasSuffix(name, "a")]},
			}
			compact := compactSpider(t, stored[name])
			events = append(events, func() { view.Set("", compact) })
			return stored[name]
		}
		remove := func(name string) {
			revision++
			last := stored[name].DeepCopy()
			last.ResourceVersion = strconv.Itoa(revision)
			delete(stored, name)
			events = append(events, func() { view.Delete("", compactSpider(t, last)) })
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
				n := min(len(events), rapid.IntRange(1, 4).Draw(t, "n"))
				for _, event := range events[:n] {
					event()
				}
				events = events[n:]
			},
			"the watch begins anew": func(*rapid.T) {
				var list []*Spider
				for _, spider := range stored {
					list = append(list, compactSpider(t, spider))
				}
				view.Replace("", list, strconv.Itoa(revision))
				events = nil
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
		for _, event := range events {
			event()
		}
		for _, user := range []string{ns, "alice", "bob"} {
			var got, want []string
			for q := (SpiderQuery{Namespace: ns, User: user, Limit: rapid.IntRange(1, 3).Draw(t, "limit")}); ; {
				page, more := view.List(q)
				for _, spider := range page {
					got = append(got, spider.Ref+" "+spider.Name)
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

func compactSpider(t rapid.TB, spider *v1alpha1.Spider) *Spider {
	t.Helper()
	compact, err := FromSpider(spider)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}
