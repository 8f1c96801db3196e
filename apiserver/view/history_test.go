package view

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	known        map[uuid.UUID]string // what is shown, by id
	lastID       string
	resets       int
}

func (f *follower) connect(ctx context.Context, view *Jobs) {
	if f.subscription != nil {
		f.subscription.Stop()
	}
	f.view = view
	var known bool
	if f.subscription, known = view.Subscribe(ctx, ns, f.user, f.lastID); !known {
		f.snapshot()
	}
}

func (f *follower) snapshot() {
	f.resets++
	f.lastID = f.subscription.Renew()
	f.known = picture(f.view, f.user, true)
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
			f.lastID = entry.Position
			if entry.Deleted {
				delete(f.known, entry.Job.ID)
			} else {
				f.known[entry.Job.ID] = looks(entry.Job)
			}
		}
	}
}

func looks(job *Job) string { return job.Status.String() + " of " + job.SpiderName }

func picture(v *Jobs, user string, shown bool) map[uuid.UUID]string {
	known := map[uuid.UUID]string{}
	jobs, _ := v.List(Query{Namespace: ns, UserID: user, Limit: 1000, Shown: shown})
	for _, job := range jobs {
		known[job.ID] = looks(job)
	}
	return known
}

// replica is a view as one of several processes has it: the watch of each shows the same, at its own pace.
type replica struct {
	spiders *Spiders
	jobs    *Jobs
	events  []func(*replica) // that its watch has not shown yet
}

func newReplica() *replica {
	spiders := NewSpiders()
	r := &replica{spiders: spiders, jobs: NewJobs(spiders)}
	spiders.OnChange(r.jobs.RefreshSpider)
	return r
}

func (r *replica) show(n int) {
	n = min(n, len(r.events))
	for _, event := range r.events[:n] {
		event(r)
	}
	r.events = r.events[n:]
}

// TestFollowersKnowWhatTheViewShows has clients read the changes of two replicas, break off and come back to either of them,
// which may have begun anew meanwhile, whatever happens: in the end each knows exactly what the view shows. One whose jobs did
// not change since it knew all of them is never told to begin anew.
func TestFollowersKnowWhatTheViewShows(t *testing.T) {
	rapid.Check(t, followersKnowWhatTheViewShows)
}

func followersKnowWhatTheViewShows(t *rapid.T) {
	impatient, cancel := context.WithCancel(t.Context()) // Waits for no replica that is behind.
	cancel()
	replicas := make([]*replica, 2)
	most := rapid.IntRange(1, 20).Draw(t, "deletions that are remembered")
	for i := range replicas {
		replicas[i] = newReplica()
		replicas[i].jobs.history.most = most
		replicas[i].jobs.Replace("", nil, "1")
	}
	revision := 1
	stored := map[string]*v1alpha1.SpiderJob{}
	var books *Spider
	happen := func(event func(*replica)) {
		for _, r := range replicas {
			r.events = append(r.events, event)
		}
	}
	list := func() (jobs []*Job) {
		for _, object := range stored {
			jobs = append(jobs, compact(t, object))
		}
		return jobs
	}
	// truth is what a user's jobs look like to those who know everything.
	truth := func(user string) string {
		all := newReplica()
		if books != nil {
			all.spiders.Set("", books)
		}
		all.jobs.Replace("", list(), strconv.Itoa(revision))
		return fmt.Sprint(picture(all.jobs, user, false))
	}
	users := []string{"", "alice"}
	anyName := rapid.Custom(func(t *rapid.T) string { return "job-" + strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "n")) })
	anyReplica := rapid.Custom(func(t *rapid.T) *replica { return replicas[rapid.IntRange(0, 1).Draw(t, "replica")] })
	followers := []*follower{{user: ""}, {user: ns}, {user: "alice"}, {user: "alice"}}
	for _, f := range followers {
		f.connect(impatient, replicas[0].jobs)
	}
	anyFollower := rapid.Custom(func(t *rapid.T) *follower {
		return followers[rapid.IntRange(0, len(followers)-1).Draw(t, "follower")]
	})
	t.Repeat(map[string]func(*rapid.T){
		"a job changes": func(t *rapid.T) {
			name := anyName.Draw(t, "name")
			revision++
			object := spiderJob(name, revision, func(job *v1alpha1.SpiderJob) {
				job.CreationTimestamp = metav1.Unix(int64(1000+revision/10), 0)
				if was := stored[name]; was != nil {
					job.CreationTimestamp = was.CreationTimestamp
				}
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
		"something else changes": func(*rapid.T) {
			revision++
			bookmark := strconv.Itoa(revision)
			happen(func(r *replica) { r.jobs.Bookmark("", bookmark) })
		},
		"a spider is renamed": func(t *rapid.T) {
			spider, err := FromSpider(&v1alpha1.Spider{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "books"},
				Spec:       v1alpha1.SpiderSpec{Name: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "spider name")},
			})
			if err != nil {
				t.Fatal(err)
			}
			books = spider
			for _, r := range replicas {
				again := *spider
				r.spiders.Set("", &again)
			}
		},
		"a watch shows something": func(t *rapid.T) { anyReplica.Draw(t, "replica").show(rapid.IntRange(1, 5).Draw(t, "n")) },
		"a watch begins anew": func(t *rapid.T) {
			r := anyReplica.Draw(t, "replica")
			r.events = nil
			r.jobs.Replace("", list(), strconv.Itoa(revision))
		},
		"a replica begins anew": func(t *rapid.T) {
			i := rapid.IntRange(0, 1).Draw(t, "replica")
			old := replicas[i]
			replicas[i] = newReplica()
			replicas[i].jobs.history.most = most
			if books != nil {
				again := *books
				replicas[i].spiders.Set("", &again)
			}
			replicas[i].jobs.Replace("", list(), strconv.Itoa(revision))
			for _, f := range followers {
				if f.view == old.jobs {
					f.connect(impatient, replicas[i].jobs)
				}
			}
		},
		"a follower reads": func(t *rapid.T) { anyFollower.Draw(t, "follower").read(rapid.IntRange(1, 5).Draw(t, "n")) },
		"a follower hears a heartbeat": func(t *rapid.T) {
			f := anyFollower.Draw(t, "follower")
			if position := f.subscription.Position(); position != "" {
				f.lastID = position
			}
		},
		"a follower connects": func(t *rapid.T) {
			anyFollower.Draw(t, "follower").connect(impatient, anyReplica.Draw(t, "replica").jobs)
		},
		"a follower that knows everything connects where everything is known": func(t *rapid.T) {
			f := anyFollower.Draw(t, "follower")
			for _, r := range replicas {
				r.show(len(r.events))
			}
			f.read(1_000_000)
			if position := f.subscription.Position(); position != "" {
				f.lastID = position
			}
			if knows := fmt.Sprint(f.known); knows != truth(f.user) {
				t.Fatalf("a follower knows %s, and the truth is %s", knows, truth(f.user))
			}
			resets := f.resets
			f.connect(impatient, anyReplica.Draw(t, "replica").jobs)
			if f.resets != resets {
				t.Fatal("a follower whose jobs have not changed begins anew")
			}
		},
	})
	for _, r := range replicas {
		r.show(len(r.events))
	}
	for i, f := range followers {
		f.read(1_000_000)
		if diff := gocmp.Diff(picture(f.view, f.user, false), f.known); diff != "" {
			t.Fatalf("follower %d knows (-view +follower):\n%s", i, diff)
		}
		f.subscription.Stop()
	}
	for _, r := range replicas {
		if n := len(r.jobs.history.chains); n != 0 {
			t.Fatalf("%d chains are left without subscribers", n)
		}
	}
}

// subscribe reads the changes of a user's jobs from now on.
func subscribe(t *testing.T, jobs *Jobs, user string) *Subscription {
	t.Helper()
	s, _ := jobs.Subscribe(t.Context(), ns, user, "")
	t.Cleanup(s.Stop)
	return s
}

func TestSubscriberThatDoesNotReadIsLeftBehind(t *testing.T) {
	jobs := NewJobs(unnamed{})
	jobs.Replace("", nil, "1")
	slow, quick, other := subscribe(t, jobs, ""), subscribe(t, jobs, ""), subscribe(t, jobs, "alice")
	for i := range mostBehind + 1 {
		jobs.Set("", compact(t, spiderJob(fmt.Sprint("job-", i%7), 10+i)))
		if entry, ok := quick.Next(); entry == nil || !ok {
			t.Fatalf("change %d is not told", i)
		}
	}
	if _, ok := slow.Next(); ok {
		t.Errorf("a subscriber that is %d changes behind goes on", mostBehind+1)
	}
	if position := slow.Renew(); position != quick.Position() {
		t.Errorf("it is renewed at %s, another is at %s", position, quick.Position())
	}
	for _, s := range []*Subscription{slow, quick, other} {
		if entry, ok := s.Next(); entry != nil || !ok {
			t.Errorf("there is more to read: %v, %t", entry, ok)
		}
	}
}

// A reader has read of alice's jobs a and b, and comes back to one replica or another after something has happened.
func TestWhoComesBackIsToldWhatHasHappened(t *testing.T) {
	alices := func(name string, revision int, change ...func(*v1alpha1.SpiderJob)) *Job {
		return compact(t, spiderJob(name, revision, append(change, user("alice"))...))
	}
	created := func(second int64) func(*v1alpha1.SpiderJob) {
		return func(job *v1alpha1.SpiderJob) { job.CreationTimestamp = metav1.Unix(second, 0) }
	}
	a := func() *Job { return alices("a", 11) }
	b := func() *Job { return alices("b", 12, created(1001)) }
	running := phase(v1alpha1.PhaseRunning)
	anew := func(resourceVersion string, all ...*Job) func(*Jobs) *Jobs {
		return func(*Jobs) *Jobs {
			v := NewJobs(unnamed{})
			v.Replace("", all, resourceVersion)
			return v
		}
	}
	here := func(change func(*Jobs)) func(*Jobs) *Jobs {
		return func(v *Jobs) *Jobs {
			change(v)
			return v
		}
	}
	for _, test := range []struct {
		name   string
		happen func(*Jobs) *Jobs
		told   string
	}{
		{"nothing", here(func(*Jobs) {}), "[]"},
		{"a change", here(func(v *Jobs) { v.Set("", alices("a", 14, phase(v1alpha1.PhaseRunning))) }), "[a running]"},
		{"an own write that the watch has not shown", here(func(v *Jobs) { _, _ = v.Put(spiderJob("c", 14, user("alice"))) }), "[]"},
		{"a deletion", here(func(v *Jobs) { v.Delete("", alices("a", 14)) }), "[a gone]"},
		{"a job that came and went", here(func(v *Jobs) {
			v.Set("", alices("c", 14))
			v.Delete("", alices("c", 15))
		}), "[c gone]"},
		{"a job that was made anew", here(func(v *Jobs) {
			v.Delete("", alices("a", 14))
			v.Set("", alices("a", 15))
		}), "[a pending]"},
		{"a job that was made anew by another", here(func(v *Jobs) {
			v.Delete("", alices("a", 14))
			v.Set("", compact(t, spiderJob("a", 15, user("bob"))))
		}), "[a gone]"},
		{"another has taken its place in a complete list", here(func(v *Jobs) {
			v.Replace("", []*Job{compact(t, spiderJob("a", 15, user("bob"))), b()}, "16")
		}), "[a gone]"},
		{"a complete list without it", here(func(v *Jobs) { v.Replace("", []*Job{a()}, "16") }), "[b gone]"},
		{"the noise of others", here(func(v *Jobs) {
			for i := range 3 * mostDeleted {
				v.Set("", compact(t, spiderJob("noise", 100+2*i)))
				v.Delete("", compact(t, spiderJob("noise", 101+2*i, func(job *v1alpha1.SpiderJob) { job.Namespace = "noisy" })))
			}
		}), "[]"},
		{"more changes than are worth telling one by one", here(func(v *Jobs) {
			for i := range mostBehind + 1 {
				v.Set("", alices(fmt.Sprint("job-", i), 20+i))
			}
		}), "unknown"},
		{"more deletions than are remembered", here(func(v *Jobs) {
			v.Delete("", alices("a", 14))
			for i := range mostDeleted {
				v.Set("", compact(t, spiderJob("other", 20+2*i)))
				v.Delete("", compact(t, spiderJob("other", 21+2*i)))
			}
		}), "unknown"},
		{"a restore of etcd", here(func(v *Jobs) { v.Replace("", []*Job{a(), b()}, "12") }), "[]"},

		{"a replica that has begun anew", anew("20", a(), b()), "[]"},
		{"one that has begun anew after a change", anew("20", a(), alices("b", 15, created(1001), running)), "[b running]"},
		{"one that has begun anew after a start", anew("20", a(), b(), alices("c", 15, created(1002))), "[c pending]"},
		{"one that has begun anew after both", anew("20", alices("a", 17, running), b(), alices("c", 15, created(1002))),
			"[c pending a running]"},
		{"one that has begun anew after a deletion", anew("20", a()), "unknown"},
		{"one that has begun anew after a deletion and a start", anew("20", a(), alices("c", 15, created(1002))), "unknown"},
		{"one that is behind, where nothing has happened", anew("12", a(), b()), "[]"},
		{"one that is behind", anew("11", a()), "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := NewJobs(unnamed{})
				first.Replace("", nil, "10")
				first.Set("", a())
				first.Set("", b())
				first.Bookmark("", "13")
				position := subscribe(t, first, "alice").Position()
				s, known := test.happen(first).Subscribe(t.Context(), ns, "alice", position)
				defer s.Stop()
				told := []string{}
				for entry, ok := s.Next(); entry != nil; entry, ok = s.Next() {
					if !ok {
						t.Fatal("left behind")
					}
					what := entry.Job.Status.String()
					if entry.Deleted {
						what = "gone"
					}
					for _, name := range []string{"a", "b", "c"} {
						if compact(t, spiderJob(name, 1)).ID == entry.Job.ID {
							told = append(told, name+" "+what)
						}
					}
				}
				got := fmt.Sprint(told)
				if !known {
					got = "unknown"
				}
				if got != test.told {
					t.Errorf("told %s, want %s", got, test.told)
				}
			})
		})
	}
}

func TestPositionsAreOfThisVersion(t *testing.T) {
	good := position{7, 8}.String()
	if p, ok := parsePosition(good); !ok || p != (position{7, 8}) {
		t.Errorf("%s is read as %v, %t", good, p, ok)
	}
	if text := (position{0, 8}).String(); text != "" {
		t.Errorf("a position without a resource version is %q", text)
	}
	for _, bad := range []string{
		"", "7", good[1:], good + "A", good + "=", "B" + good[1:], "\n" + good, "é", strings.Repeat("9", 300),
		base64.RawURLEncoding.EncodeToString(make([]byte, 17)),
		base64.RawURLEncoding.EncodeToString(append([]byte{positionVersion}, make([]byte, 16)...)),
	} {
		if p, ok := parsePosition(bad); ok {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}

// A view that is a moment behind comes up with its reader, who then sees nothing twice.
func TestViewCatchesUpWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead, behind := NewJobs(unnamed{}), NewJobs(unnamed{})
		for _, v := range []*Jobs{ahead, behind} {
			v.Replace("", nil, "10")
		}
		reader := subscribe(t, ahead, "")
		job := compact(t, spiderJob("job", 11))
		ahead.Set("", job)
		_, _ = reader.Next()
		time.AfterFunc(catchUpTime/2, func() {
			again := *job
			behind.Set("", &again)
		})
		s, known := behind.Subscribe(t.Context(), ns, "", reader.Position())
		defer s.Stop()
		if entry, ok := s.Next(); !known || entry != nil || !ok {
			t.Errorf("known %t, and told %v", known, entry)
		}
	})
}

// A position that no watch ever reaches is of a time before etcd was restored: its reader begins anew in the end.
func TestReaderFromBeforeARestoreBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := NewJobs(unnamed{}), NewJobs(unnamed{})
		before.Replace("", nil, "1000")
		after.Replace("", nil, "10")
		s, known := after.Subscribe(t.Context(), ns, "", subscribe(t, before, "").Position())
		defer s.Stop()
		if _, ok := s.Next(); !known || !ok || s.Position() != "" {
			t.Errorf("known %t, goes on %t, at %q: the view may be behind", known, ok, s.Position())
		}
		time.Sleep(2 * aheadTime)
		if _, ok := s.Next(); ok {
			t.Error("it goes on though the view never comes so far")
		}
		if position := s.Renew(); position != subscribe(t, after, "").Position() {
			t.Errorf("it is renewed at %q", position)
		}
	})
}

func TestRestoreOfEtcdBeginsAnewForAll(t *testing.T) {
	jobs := NewJobs(unnamed{})
	jobs.Replace("", nil, "10")
	s := subscribe(t, jobs, "")
	jobs.Replace("", nil, "11")
	if entry, ok := s.Next(); entry != nil || !ok {
		t.Errorf("a complete list that changes nothing is told: %v, %t", entry, ok)
	}
	jobs.Replace("", nil, "5")
	if _, ok := s.Next(); ok {
		t.Error("a list of an earlier time is passed over")
	}
}

func TestRenamedSpiderIsAChangeOfItsPendingJobs(t *testing.T) {
	spiders := NewSpiders()
	jobs := NewJobs(spiders)
	spiders.OnChange(jobs.RefreshSpider)
	jobs.Replace("", nil, "1")
	jobs.Set("", compact(t, spiderJob("job", 2)))
	connected := subscribe(t, jobs, "")
	before := connected.Position()
	spider, err := FromSpider(&v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "books"}, Spec: v1alpha1.SpiderSpec{Name: "tomes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	spiders.Set("", spider)
	if entry, ok := connected.Next(); !ok || entry == nil || entry.Job.SpiderName != "tomes" || entry.Position == before {
		t.Errorf("the change is %+v, %t", entry, ok)
	}
	// No resource version tells who has seen the new name.
	if s, known := jobs.Subscribe(t.Context(), ns, "", before); known {
		t.Errorf("who comes back from before is told %v", s.backlog)
	}
	if _, known := jobs.Subscribe(t.Context(), ns, "", connected.Position()); !known {
		t.Error("who comes back and knows it begins anew")
	}
	spiders.Set("", spider) // Which is no change.
	if entry, _ := connected.Next(); entry != nil {
		t.Errorf("a change is told that is none: %+v", entry)
	}
}
