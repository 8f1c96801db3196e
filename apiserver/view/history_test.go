package view

import (
	"fmt"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// follower is a client that keeps a picture of a user's jobs by reading changes.
type follower struct {
	user         string
	view         *Jobs
	subscription *Subscription
	known        map[string]string // status by name
	lastID       string
}

func (f *follower) connect(view *Jobs) {
	if f.subscription != nil {
		f.subscription.Stop()
	}
	f.view = view
	var known bool
	if f.subscription, known = view.Subscribe(ns, f.user, f.lastID); !known {
		f.snapshot()
	}
}

func (f *follower) snapshot() {
	f.lastID = f.subscription.Renew()
	f.known = picture(f.view, f.user)
}

// read takes up to n changes.
func (f *follower) read(n int) {
	for range n {
		entry, ok := f.subscription.Next()
		switch {
		case !ok:
			f.snapshot()
		case entry == nil:
			return
		default:
			f.lastID = entry.ResourceVersion
			if entry.Deleted {
				delete(f.known, entry.Job.Name)
			} else {
				f.known[entry.Job.Name] = entry.Job.Status.String()
			}
		}
	}
}

func picture(v *Jobs, user string) map[string]string {
	known := map[string]string{}
	jobs, _ := v.List(Query{Namespace: ns, User: user, Limit: 1000})
	for _, job := range jobs {
		known[job.Name] = job.Status.String()
	}
	return known
}

// TestFollowersKnowWhatTheViewShows has clients read the changes of two replicas, break off and come back to either of them,
// whatever happens: in the end each knows exactly what the view shows.
func TestFollowersKnowWhatTheViewShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type replica struct {
			spiders *Spiders
			jobs    *Jobs
			events  []func(*replica) // that its watch has not shown yet
		}
		replicas := make([]*replica, 2)
		for i := range replicas {
			spiders := NewSpiders()
			replicas[i] = &replica{spiders: spiders, jobs: NewJobs(spiders)}
			spiders.OnChange(replicas[i].jobs.RefreshSpider)
			replicas[i].jobs.history.most = rapid.IntRange(1, 20).Draw(t, "history")
			replicas[i].jobs.Replace("", nil, "1")
		}
		revision := 1
		stored := map[string]*v1alpha1.SpiderJob{}
		happen := func(event func(*replica)) {
			for _, r := range replicas {
				r.events = append(r.events, event)
			}
		}
		show := func(r *replica, n int) {
			n = min(n, len(r.events))
			for _, event := range r.events[:n] {
				event(r)
			}
			r.events = r.events[n:]
		}
		users := []string{"", "alice"}
		anyName := rapid.Custom(func(t *rapid.T) string { return "job-" + strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "n")) })
		anyReplica := rapid.Custom(func(t *rapid.T) *replica { return replicas[rapid.IntRange(0, 1).Draw(t, "replica")] })
		followers := []*follower{{user: ns}, {user: "alice"}, {user: "alice"}}
		for _, f := range followers {
			f.connect(replicas[0].jobs)
		}
		anyFollower := rapid.Custom(func(t *rapid.T) *follower { return followers[rapid.IntRange(0, len(followers)-1).Draw(t, "follower")] })
		t.Repeat(map[string]func(*rapid.T){
			"a job changes": func(t *rapid.T) {
				name := anyName.Draw(t, "name")
				revision++
				object := spiderJob(name, revision, func(job *v1alpha1.SpiderJob) {
					job.Spec.UserID = users[uuid.NewSHA1(uuid.Nil, []byte(name))[0]%2]
					job.Status.Phase = rapid.SampledFrom([]v1alpha1.Phase{"", v1alpha1.PhaseRunning, v1alpha1.PhaseFinished}).Draw(t, "phase")
				})
				stored[name] = object
				happen(func(r *replica) { r.jobs.Set("", compact(t, object)) })
				if rapid.Bool().Draw(t, "by a replica's own write") {
					if _, err := anyReplica.Draw(t, "writer").jobs.Put(object); err != nil {
						t.Fatal(err)
					}
				}
			},
			"a job is deleted": func(t *rapid.T) {
				object := stored[anyName.Draw(t, "name")]
				if object == nil {
					t.Skip("there is no such job")
				}
				delete(stored, object.Name)
				revision++
				last := object.DeepCopy()
				last.ResourceVersion = strconv.Itoa(revision)
				happen(func(r *replica) { r.jobs.Delete("", compact(t, last)) })
			},
			"a spider is renamed": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "spider name")
				for _, r := range replicas {
					spider, err := FromSpider(&v1alpha1.Spider{
						ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "books"}, Spec: v1alpha1.SpiderSpec{Name: name},
					})
					if err != nil {
						t.Fatal(err)
					}
					r.spiders.Set("", spider)
				}
			},
			"a watch shows something": func(t *rapid.T) { show(anyReplica.Draw(t, "replica"), rapid.IntRange(1, 5).Draw(t, "n")) },
			"a watch begins anew": func(t *rapid.T) {
				r := anyReplica.Draw(t, "replica")
				r.events = nil
				var list []*Job
				for _, object := range stored {
					list = append(list, compact(t, object))
				}
				r.jobs.Replace("", list, strconv.Itoa(revision))
			},
			"a follower reads":    func(t *rapid.T) { anyFollower.Draw(t, "follower").read(rapid.IntRange(1, 5).Draw(t, "n")) },
			"a follower connects": func(t *rapid.T) { anyFollower.Draw(t, "follower").connect(anyReplica.Draw(t, "replica").jobs) },
		})
		for _, r := range replicas {
			show(r, len(r.events))
		}
		for i, f := range followers {
			f.read(1_000_000)
			if diff := gocmp.Diff(picture(f.view, f.user), f.known); diff != "" {
				t.Fatalf("follower %d knows (-view +follower):\n%s", i, diff)
			}
			f.subscription.Stop()
		}
		for _, r := range replicas {
			if n := len(r.jobs.history.chains); n != 0 {
				t.Fatalf("%d chains are left without subscribers", n)
			}
		}
	})
}

func TestSubscriberThatDoesNotReadIsLeftBehind(t *testing.T) {
	jobs := NewJobs(unnamed{})
	jobs.Replace("", nil, "1")
	slow, _ := jobs.Subscribe(ns, ns, "")
	quick, _ := jobs.Subscribe(ns, ns, "")
	other, _ := jobs.Subscribe(ns, "alice", "")
	for i := range mostBehind + 1 {
		jobs.Set("", compact(t, spiderJob(fmt.Sprint("job-", i%7), 10+i)))
		if entry, ok := quick.Next(); entry == nil || !ok {
			t.Fatalf("change %d is not told", i)
		}
	}
	if _, ok := slow.Next(); ok {
		t.Errorf("a subscriber that is %d changes behind goes on", mostBehind+1)
	}
	if position := slow.Renew(); position != strconv.Itoa(10+mostBehind) {
		t.Errorf("it is renewed at %s", position)
	}
	for _, s := range []*Subscription{slow, quick, other} {
		if entry, ok := s.Next(); entry != nil || !ok {
			t.Errorf("there is more to read: %v, %t", entry, ok)
		}
	}
}

func TestChangesAreKnownAsFarAsTheHistoryReaches(t *testing.T) {
	jobs := NewJobs(unnamed{})
	jobs.history.most = 3
	if _, known := jobs.Subscribe(ns, ns, "5"); known {
		t.Error("before the first list something is known")
	}
	jobs.Replace("", nil, "10")
	for revision := 11; revision <= 15; revision++ {
		jobs.Set("", compact(t, spiderJob("job", revision, user(map[bool]string{true: "", false: "alice"}[revision%2 == 1]))))
		jobs.Delete("", compact(t, spiderJob("other", revision)))
	}
	jobs.Set("", compact(t, spiderJob("job", 16)))
	for after, want := range map[string]string{"": "unknown", "x": "unknown", "-1": "unknown", "12": "unknown", "13": "1", "14": "1", "15": "1", "16": "0", "17": "unknown"} {
		s, known := jobs.Subscribe(ns, "alice", after)
		own, ownKnown := jobs.Subscribe(ns, ns, after)
		got := "unknown"
		if known {
			got = fmt.Sprint(len(own.backlog) + len(s.backlog))
		}
		if known != ownKnown || got == "unknown" != (want == "unknown") {
			t.Errorf("after %q: known %t and %t (%s), want %s", after, known, ownKnown, got, want)
		}
	}
}

func TestRenamedSpiderIsAChangeOfItsPendingJobs(t *testing.T) {
	spiders := NewSpiders()
	jobs := NewJobs(spiders)
	spiders.OnChange(jobs.RefreshSpider)
	jobs.Replace("", nil, "1")
	jobs.Set("", compact(t, spiderJob("job", 2)))
	connected, _ := jobs.Subscribe(ns, ns, "2")
	spider, err := FromSpider(&v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "books"}, Spec: v1alpha1.SpiderSpec{Name: "tomes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	spiders.Set("", spider)
	returned, _ := jobs.Subscribe(ns, ns, "2")
	for _, s := range []*Subscription{connected, returned} {
		if entry, ok := s.Next(); !ok || entry == nil || entry.Job.SpiderName != "tomes" || entry.ResourceVersion != "2" {
			t.Errorf("the change is %+v, %t", entry, ok)
		}
	}
	spiders.Set("", spider) // Which is no change.
	if entry, _ := connected.Next(); entry != nil {
		t.Errorf("a change is told that is none: %+v", entry)
	}
}
