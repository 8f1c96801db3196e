package view

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// unnamed knows no Spider: jobs are named by what their SpiderJob says.
type unnamed struct{}

func (unnamed) SpiderNames(string, string) (string, string, bool) { return "", "", false }

const ns = "team"

// spiderJob makes a SpiderJob in a state that tests vary.
func spiderJob(name string, revision int, change ...func(*v1alpha1.SpiderJob)) *v1alpha1.SpiderJob {
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, ResourceVersion: strconv.Itoa(revision), CreationTimestamp: metav1.Unix(1000, 0),
		},
		Spec: v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}},
	}
	for _, c := range change {
		c(job)
	}
	return job
}

func phase(p v1alpha1.Phase) func(*v1alpha1.SpiderJob) {
	return func(job *v1alpha1.SpiderJob) { job.Status.Phase = p }
}

func user(name string) func(*v1alpha1.SpiderJob) {
	return func(job *v1alpha1.SpiderJob) { job.Spec.UserID = name }
}

func expectationsMet(status metav1.ConditionStatus, message string, violations ...v1alpha1.Violation) func(*v1alpha1.SpiderJob) {
	return func(job *v1alpha1.SpiderJob) {
		job.Status.Conditions = []metav1.Condition{
			{Type: v1alpha1.ConditionSucceeded, Status: metav1.ConditionFalse, Message: "not this one"},
			{Type: v1alpha1.ConditionExpectationsMet, Status: status, Reason: "Any", Message: message},
		}
		job.Status.Violations = violations
	}
}

func compact(t rapid.TB, job *v1alpha1.SpiderJob) *Job {
	t.Helper()
	j, err := FromSpiderJob(job)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func names(jobs []*Job) []string {
	all := []string{}
	for _, job := range jobs {
		all = append(all, job.Name)
	}
	return all
}

func TestStatusIsTheTerminalPhaseElseCancelledOnceAsked(t *testing.T) {
	cancelled := func(job *v1alpha1.SpiderJob) { job.Spec.Cancellation = &v1alpha1.Cancellation{} }
	for _, test := range []struct {
		phase     v1alpha1.Phase
		cancelled bool
		want      Status
		ended     bool
	}{
		{"", false, Pending, false},
		{v1alpha1.PhasePending, false, Pending, false},
		{v1alpha1.PhaseRunning, false, Running, false},
		{v1alpha1.PhaseFinished, false, Finished, true},
		{v1alpha1.PhaseError, false, Error, true},
		{v1alpha1.PhaseCancelled, false, Cancelled, true},
		{"", true, Cancelled, false},
		{v1alpha1.PhaseRunning, true, Cancelled, false},
		{v1alpha1.PhaseFinished, true, Finished, true},
		{v1alpha1.PhaseError, true, Error, true},
		{v1alpha1.PhaseCancelled, true, Cancelled, true},
	} {
		t.Run(fmt.Sprintf("%s cancelled=%t", test.phase, test.cancelled), func(t *testing.T) {
			object := spiderJob("a", 1, phase(test.phase))
			if test.cancelled {
				cancelled(object)
			}
			job := compact(t, object)
			if job.Status != test.want || job.Ended != test.ended {
				t.Errorf("status %v, ended %t; want %v, %t", job.Status, job.Ended, test.want, test.ended)
			}
		})
	}
}

// model is what a view should be: a list of jobs that is filtered and sorted on every question.
type model map[string]*Job

func (m model) list(q *Query) (names []string, more bool) {
	var found []*Job
	for _, job := range m {
		switch {
		case job.UserID != q.UserID,
			len(q.Statuses) > 0 && !slices.Contains(q.Statuses, job.Status),
			q.SpiderID != nil && job.SpiderID != *q.SpiderID,
			q.SpiderName != "" && job.SpiderName != q.SpiderName,
			q.Broken && (job.Expectations == nil || !job.Expectations.Judged || job.Expectations.Met),
			slices.ContainsFunc(q.Tags, func(tag string) bool { return !slices.Contains(job.Tags.Slice(), tag) }),
			q.LacksTag != "" && slices.Contains(job.Tags.Slice(), q.LacksTag),
			q.Origin != nil && job.Origin != *q.Origin,
			q.ScheduleID != nil && (job.Scheduled == nil || job.Scheduled.ScheduleID != *q.ScheduleID),
			q.CreatedFrom != 0 && job.Created < q.CreatedFrom,
			q.CreatedTo != 0 && job.Created > q.CreatedTo,
			q.After != nil && compareNewest(*q.After, PositionOf(job)) >= 0:
		default:
			found = append(found, job)
		}
	}
	slices.SortFunc(found, func(a, b *Job) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(b.ID.String(), a.ID.String()))
	})
	names = []string{}
	for i, job := range found {
		if i == q.Limit {
			return names, true
		}
		names = append(names, job.Name)
	}
	return names, false
}

// hold reads all pages of a list, and holds them to the model. A page can be short only if no index has just the jobs that match.
func (m model) hold(t *rapid.T, jobs *Jobs, q Query) {
	t.Helper()
	short := q.LacksTag != "" || len(q.Tags) > 0 && (len(q.Tags) > 1 || q.Origin != nil || q.ScheduleID != nil) ||
		q.Origin != nil && q.ScheduleID != nil ||
		q.searches() && (len(q.Statuses) > 0 || q.SpiderID != nil || q.SpiderName != "" || q.Broken)
	for range 100 {
		wanted, more := m.list(&q)
		page, next := jobs.List(q)
		listed := names(page)
		switch {
		case short && len(listed) < q.Limit && next != nil:
			// What follows is after the position at which the page ends.
			rest := q
			rest.After, rest.Limit = next, math.MaxInt
			left, _ := m.list(&rest)
			all := q
			all.Limit = math.MaxInt
			wanted, _ = m.list(&all)
			listed = append(listed, left...)
		case more && next == nil, !short && !more && next != nil:
			t.Fatalf("the next page is at %v, but there are more: %t", next, more)
		}
		if diff := gocmp.Diff(wanted, listed); diff != "" {
			t.Fatalf("next is %v; jobs (-want +got):\n%s", next, diff)
		}
		if next == nil {
			return
		}
		q.After = next
	}
	t.Fatal("the pages do not end")
}

// holdUsage holds what is counted of jobs to a count.
func (m model) holdUsage(t *rapid.T, jobs *Jobs, users []string) {
	t.Helper()
	var all Usage
	admitted := map[string]int{}
	for _, user := range users {
		var own Usage
		for _, job := range m {
			if job.UserID != user {
				continue
			}
			own.add(usageOf(job))
			if job.Admitted() {
				admitted[job.SpiderRef]++
			}
		}
		if got := jobs.UsageOf(ns, user); got != own {
			t.Fatalf("the jobs of %q take up %+v, want %+v", user, got, own)
		}
		all.add(own)
	}
	if got := jobs.Usage(ns); got != all {
		t.Fatalf("all jobs take up %+v, want %+v", got, all)
	}
	if got := jobs.AdmittedBySpider(ns); !maps.Equal(got, admitted) {
		t.Fatalf("admitted are %v, want %v", got, admitted)
	}
}

// TestViewAnswersLikeANaiveList holds every question, after any history, to what filtering and sorting a list would answer.
func TestViewAnswersLikeANaiveList(t *testing.T) {
	users := []string{"", ns, "alice", "bob"}
	refs := []string{"books", "news", "shop"}
	spiderNames := []string{"", "x", "y"}
	phases := []v1alpha1.Phase{
		"", v1alpha1.PhaseRunning, v1alpha1.PhaseFinished, v1alpha1.PhaseError, v1alpha1.PhaseCancelled,
	}
	tags, origins := []string{"a", "b", "c"}, []string{"", "", "api", "schedule", "rerun"}
	rapid.Check(t, func(t *rapid.T) {
		jobs := NewJobs(unnamed{})
		jobs.mostLookedAt = rapid.IntRange(1, 60).Draw(t, "most looked at")
		origins := origins[:rapid.SampledFrom([]int{1, len(origins)}).Draw(t, "origins")]
		jobs.Replace("", nil, "1")
		want := model{}
		revision := 1
		draw := func(name string) *v1alpha1.SpiderJob {
			revision++
			return spiderJob(name, revision, func(job *v1alpha1.SpiderJob) {
				// What cannot change follows from the name, as it does for a real SpiderJob.
				sum := uuid.NewSHA1(uuid.Nil, []byte(name))
				job.CreationTimestamp = metav1.Unix(1000+int64(sum[0]%8), 0)
				job.Spec.UserID = users[int(sum[1])%len(users)]
				job.Spec.SpiderRef.Name = refs[int(sum[2])%len(refs)]
				job.Status.Phase = rapid.SampledFrom(phases).Draw(t, "phase")
				if n := rapid.SampledFrom(spiderNames).Draw(t, "spider name"); n != "" {
					job.Status.Spider = &v1alpha1.SpiderSnapshot{Name: n}
				}
				if rapid.Bool().Draw(t, "has a Job") {
					job.Status.JobUID = "u"
				}
				if rapid.Bool().Draw(t, "cancelled") {
					job.Spec.Cancellation = &v1alpha1.Cancellation{}
				}
				job.Labels = map[string]string{
					v1alpha1.LabelOrigin:   rapid.SampledFrom(origins).Draw(t, "origin"),
					v1alpha1.LabelSchedule: rapid.SampledFrom([]string{"", "nightly", "weekly"}).Draw(t, "schedule"),
				}
				job.AddTags(rapid.SliceOfN(rapid.SampledFrom(tags), 0, 3).Draw(t, "tags")...)
				if met := rapid.SampledFrom([]metav1.ConditionStatus{"", "True", "False", "Unknown"}).Draw(t, "expectations met"); met != "" {
					expectationsMet(met, "")(job)
				}
			})
		}
		anyName := rapid.Custom(func(t *rapid.T) string { return "job-" + strconv.Itoa(rapid.IntRange(0, 40).Draw(t, "n")) })
		take := func(object *v1alpha1.SpiderJob) {
			job := compact(t, object)
			if job.SpiderName == "" {
				job.SpiderName = job.SpiderRef
			}
			want[job.Name] = job
		}
		t.Repeat(map[string]func(*rapid.T){
			"the watch shows a job": func(t *rapid.T) {
				object := draw(anyName.Draw(t, "name"))
				jobs.Set("", compact(t, object))
				take(object)
			},
			"an own write is put in": func(t *rapid.T) {
				object := draw(anyName.Draw(t, "name"))
				if _, err := jobs.Put(object); err != nil {
					t.Fatal(err)
				}
				take(object)
			},
			"the watch shows that a job is gone": func(t *rapid.T) {
				object := draw(anyName.Draw(t, "name"))
				jobs.Delete("", compact(t, object))
				delete(want, object.Name)
			},
			"the watch begins anew with a complete list": func(t *rapid.T) {
				clear(want)
				var list []*Job
				for _, name := range rapid.SliceOfDistinct(anyName, rapid.ID).Draw(t, "names") {
					object := draw(name)
					list = append(list, compact(t, object))
					take(object)
				}
				revision++
				jobs.Replace("", list, strconv.Itoa(revision))
			},
			"": func(t *rapid.T) {
				want.holdUsage(t, jobs, users)
				q := Query{
					Namespace: ns,
					UserID:    rapid.SampledFrom([]string{"", ns, "alice", "bob"}).Draw(t, "user"),
					Statuses: rapid.SliceOfN(rapid.SampledFrom([]Status{Pending, Running, Finished, Cancelled, Error}), 0, 4).
						Draw(t, "statuses"),
					Limit: rapid.IntRange(1, 12).Draw(t, "limit"),
				}
				if rapid.Bool().Draw(t, "by spider id") {
					q.SpiderID = &compact(t, spiderJob("x", 1, func(job *v1alpha1.SpiderJob) {
						job.Spec.SpiderRef.Name = rapid.SampledFrom(refs).Draw(t, "spider")
					})).SpiderID
				}
				if rapid.Bool().Draw(t, "by spider name") {
					q.SpiderName = rapid.SampledFrom([]string{"x", "y", "books", "news", "none"}).Draw(t, "spider name")
				}
				q.Broken = rapid.IntRange(0, 3).Draw(t, "broken") == 0
				if rapid.Bool().Draw(t, "by tags") {
					q.Tags = rapid.SliceOfN(rapid.SampledFrom(append(tags, "none")), 1, 2).Draw(t, "by tag")
				}
				if rapid.IntRange(0, 2).Draw(t, "by the lack of a tag") == 0 {
					q.LacksTag = rapid.SampledFrom(tags).Draw(t, "lacks tag")
				}
				if rapid.IntRange(0, 2).Draw(t, "by origin") == 0 {
					q.Origin = new(rapid.SampledFrom([]Origin{FromKubectl, FromAPI, FromSchedule}).Draw(t, "of origin"))
				}
				if rapid.IntRange(0, 2).Draw(t, "by schedule") == 0 {
					schedule := v1alpha1.SpiderSchedule{ObjectMeta: metav1.ObjectMeta{
						Namespace: ns, Name: rapid.SampledFrom([]string{"nightly", "weekly", "none"}).Draw(t, "of schedule"),
					}}
					q.ScheduleID = new(uuid.MustParse(schedule.ID()))
				}
				if rapid.Bool().Draw(t, "from") {
					q.CreatedFrom = rapid.Int64Range(998, 1010).Draw(t, "created from")
				}
				if rapid.Bool().Draw(t, "to") {
					q.CreatedTo = rapid.Int64Range(998, 1010).Draw(t, "created to")
				}
				if rapid.Bool().Draw(t, "after") {
					name := anyName.Draw(t, "position")
					p := PositionOf(compact(t, draw(name)))
					q.After = &p
				}
				want.hold(t, jobs, q)
				counts, bySpider := Counts{}, map[string]Counts{}
				for _, job := range want {
					if job.UserID == q.UserID {
						counts[job.Status]++
						of := bySpider[job.SpiderID.String()+job.SpiderName]
						of[job.Status]++
						bySpider[job.SpiderID.String()+job.SpiderName] = of
					}
				}
				summary := jobs.Summary(ns, q.UserID)
				listed := map[string]Counts{}
				for _, spider := range summary.Spiders {
					listed[spider.ID.String()+spider.Name] = spider.Counts
				}
				if diff := gocmp.Diff(bySpider, listed); diff != "" || summary.Counts != counts {
					t.Fatalf("%v are counted, want %v; by spider (-want +got):\n%s", summary.Counts, counts, diff)
				}
				if jobs.Len() != len(want) {
					t.Fatalf("%d jobs in the view, want %d", jobs.Len(), len(want))
				}
			},
		})
	})
}

// TestPagesSkipAndRepeatNothing reads all pages while jobs keep arriving and changing: every job that was there at the
// beginning is seen exactly once.
func TestPagesSkipAndRepeatNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jobs := NewJobs(unnamed{})
		revision, second := 0, int64(1000)
		arrive := func() string {
			revision++
			second += rapid.Int64Range(0, 1).Draw(t, "seconds later")
			name := uuid.Must(uuid.NewV7()).String()
			jobs.Set("", compact(t, spiderJob(name, revision, func(job *v1alpha1.SpiderJob) {
				job.CreationTimestamp = metav1.Unix(second, 0)
			})))
			return name
		}
		old := map[string]int{}
		for range rapid.IntRange(0, 60).Draw(t, "jobs") {
			old[arrive()] = 0
		}
		q := Query{Namespace: ns, Limit: rapid.IntRange(1, 10).Draw(t, "limit")}
		for more := true; more; {
			page, next := jobs.List(q)
			q.After, more = next, next != nil
			for _, job := range page {
				if _, there := old[job.Name]; !there {
					continue
				}
				if old[job.Name]++; old[job.Name] > 1 {
					t.Fatalf("job %s was shown twice", job.Name)
				}
				revision++
				changed := *job
				changed.ResourceVersion = strconv.Itoa(revision)
				changed.Status = Running
				jobs.Set("", &changed)
			}
			for range rapid.IntRange(0, 3).Draw(t, "arrivals") {
				arrive()
			}
		}
		for name, seen := range old {
			if seen != 1 {
				t.Fatalf("job %s was shown %d times", name, seen)
			}
		}
	})
}

func TestOwnWritesAreSeenUntilTheWatchKnowsBetter(t *testing.T) {
	const name = "0198b2a0-0000-7000-8000-000000000001"
	id := uuid.MustParse(name)
	get := func(v *Jobs) string {
		job := v.Get(ns, id)
		if job == nil {
			return "absent"
		}
		return job.Status.String() + "@" + job.ResourceVersion
	}
	put := func(t *testing.T, v *Jobs, object *v1alpha1.SpiderJob) {
		t.Helper()
		if _, err := v.Put(object); err != nil {
			t.Fatal(err)
		}
	}
	running, finished := phase(v1alpha1.PhaseRunning), phase(v1alpha1.PhaseFinished)
	for _, test := range []struct {
		name    string
		history func(*testing.T, *Jobs)
		want    string
	}{
		{"a write is seen before the watch shows it", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 20))
		}, "pending@20"},
		{"an older event does not undo a write", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 20))
			put(t, v, spiderJob(name, 22, running))
			v.Set("", compact(t, spiderJob(name, 20)))
		}, "running@22"},
		{"a newer event supersedes a write", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 20))
			v.Set("", compact(t, spiderJob(name, 21, finished)))
		}, "finished@21"},
		{"revisions are numbers: 100 is newer than 99", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 100, running))
			v.Set("", compact(t, spiderJob(name, 99)))
		}, "running@100"},
		{"an answer that comes late does not undo what the watch has shown", func(t *testing.T, v *Jobs) {
			v.Set("", compact(t, spiderJob(name, 21, finished)))
			put(t, v, spiderJob(name, 20))
		}, "finished@21"},
		{"a job that the watch has shown to be gone does not come back", func(t *testing.T, v *Jobs) {
			v.Set("", compact(t, spiderJob(name, 20)))
			v.Delete("", compact(t, spiderJob(name, 25)))
			put(t, v, spiderJob(name, 20))
		}, "absent"},
		{"a job that came and went before its answer does not come back", func(t *testing.T, v *Jobs) {
			v.Set("", compact(t, spiderJob("another", 30)))
			put(t, v, spiderJob(name, 20))
		}, "absent"},
		{"a deletion that is older than what was written since does nothing", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 30))
			v.Delete("", compact(t, spiderJob(name, 25)))
		}, "pending@30"},
		{"a relist that does not know a newer write yet keeps it", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 30))
			v.Replace("", nil, "29")
		}, "pending@30"},
		{"a relist that is newer than a write, and without it, removes it", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 30))
			v.Replace("", nil, "31")
		}, "absent"},
		{"a relist with an older state keeps a newer write", func(t *testing.T, v *Jobs) {
			put(t, v, spiderJob(name, 30, running))
			v.Replace("", []*Job{compact(t, spiderJob(name, 20))}, "29")
		}, "running@30"},
		{"after a restore of etcd the list is right, though it is older", func(t *testing.T, v *Jobs) {
			v.Set("", compact(t, spiderJob(name, 30, finished)))
			v.Replace("", []*Job{compact(t, spiderJob(name, 20, running))}, "21")
		}, "running@20"},
		{"after a restore of etcd what it does not know is gone", func(t *testing.T, v *Jobs) {
			v.Set("", compact(t, spiderJob(name, 30)))
			v.Replace("", nil, "21")
		}, "absent"},
		{"a relist of another namespace does nothing", func(t *testing.T, v *Jobs) {
			v.Set("", compact(t, spiderJob(name, 20)))
			v.Replace("elsewhere", nil, "40")
		}, "pending@20"},
		{"an object named by another's id does not take it along when it goes", func(t *testing.T, v *Jobs) {
			v.Set("", compact(t, spiderJob(name, 20)))
			other := compact(t, spiderJob("other", 30))
			other.ID = id
			v.Delete("", other)
		}, "pending@20"},
	} {
		t.Run(test.name, func(t *testing.T) {
			jobs := NewJobs(unnamed{})
			jobs.Replace("", nil, "10")
			test.history(t, jobs)
			if got := get(jobs); got != test.want {
				t.Errorf("the view shows %s, want %s", got, test.want)
			}
		})
	}
}

func TestJobsTakeTheirSpidersNameUntilTheyStart(t *testing.T) {
	spiders := NewSpiders()
	jobs := NewJobs(spiders)
	spiders.OnChange(jobs.RefreshSpider)
	shown := func(name string) [2]string {
		job := jobs.Get(ns, compact(t, spiderJob(name, 1)).ID)
		return [2]string{job.SpiderName, job.RepoPath}
	}
	spider := func(name, path string) *Spider {
		s, err := FromSpider(&v1alpha1.Spider{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "books"},
			Spec:       v1alpha1.SpiderSpec{Name: name, RepoPath: path},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	jobs.Set("", compact(t, spiderJob("waiting", 1)))
	jobs.Set("", compact(t, spiderJob("started", 2, phase(v1alpha1.PhaseRunning), func(job *v1alpha1.SpiderJob) {
		job.Status.Spider = &v1alpha1.SpiderSnapshot{Name: "once", RepoPath: "once.py"}
	})))
	if got := shown("waiting"); got != [2]string{"books", ""} {
		t.Errorf("without a Spider the job shows %q, want its resource's name", got)
	}
	spiders.Set("", spider("Books", "books.py"))
	if got := shown("waiting"); got != [2]string{"Books", "books.py"} {
		t.Errorf("once the Spider is known the job shows %q", got)
	}
	spiders.Set("", spider("Tomes", "tomes.py"))
	if got := shown("waiting"); got != [2]string{"Tomes", "tomes.py"} {
		t.Errorf("once the Spider is renamed the job shows %q", got)
	}
	if found, _ := jobs.List(Query{Namespace: ns, SpiderName: "Tomes", Limit: 9}); len(found) != 1 {
		t.Errorf("%d jobs are found by the new name, want 1", len(found))
	}
	if found, _ := jobs.List(Query{Namespace: ns, SpiderName: "Books", Limit: 9}); len(found) != 0 {
		t.Errorf("%d jobs are found by the old name, want none", len(found))
	}
	if got := shown("started"); got != [2]string{"once", "once.py"} {
		t.Errorf("a job that has started shows %q, want what was run", got)
	}
}

func TestEverythingOfAJobIsKept(t *testing.T) {
	at := func(second int64) *metav1.Time { return new(metav1.Unix(second, 0)) }
	nightly := v1alpha1.SpiderSchedule{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "nightly"}}
	object := spiderJob("a", 7, user("alice"), phase(v1alpha1.PhaseError), func(job *v1alpha1.SpiderJob) {
		job.Annotations = map[string]string{v1alpha1.AnnotationRequestHash: "beef", v1alpha1.AnnotationNote: "look at it"}
		job.Labels = map[string]string{v1alpha1.LabelOrigin: "rerun", v1alpha1.LabelSchedule: nightly.Name, "team": "books"}
		job.AddTags("nightly", "eu")
		job.Spec.ScheduledFor = at(990)
		job.Spec.Priority, job.Spec.MaxWaitSeconds = -7, new(int64(3600))
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"b": "<&>\u2028", "a": "1"}
		job.Spec.Cancellation = &v1alpha1.Cancellation{RequestedAt: at(1005), GracePeriodSeconds: new(int64(60))}
		job.Status.Reason, job.Status.Message = "ExitCode", "exited with 3"
		job.Status.StartedAt, job.Status.FinishedAt = at(1002), at(1009)
		job.Status.ExitCode, job.Status.Attempts = new(int32(3)), 2
		job.Status.Spider = &v1alpha1.SpiderSnapshot{Name: "Books", RepoPath: "b.py", Image: "img:1"}
		job.Status.Stats = &v1alpha1.Stats{
			ItemsScraped: 5, Responses: new(int64(6)), Errors: new(int64(0)), FinishReason: "shutdown",
			Source: v1alpha1.OriginScrapyStats, ObservedAt: at(1008), Final: true,
			RequestRetries: new(int64(1)), FailedRequests: new(int64(2)), Responses2xx: new(int64(3)), Responses3xx: new(int64(4)),
			Responses4xx: new(int64(5)), Responses5xx: new(int64(6)), ItemsDropped: new(int64(7)), FeedFailures: new(int64(0)),
			PeakMemoryBytes: new(int64(math.MaxInt64)),
		}
		expectationsMet("False", "it broke a rule", v1alpha1.Violation{Rule: "minItems", Expected: "at least 9", Actual: "<5>"})(job)
	})
	want := &Job{
		Scheduled: &Scheduled{ScheduleID: uuid.MustParse(nightly.ID()), At: 990},
		ID:        uuid.MustParse(object.ID()), SpiderID: uuid.MustParse(object.SpiderID()),
		Namespace: ns, Name: "a", ResourceVersion: "7", UserID: "alice", SpiderRef: "books",
		SpiderName: "Books", RepoPath: "b.py", Image: TextOf("img:1"), RequestHash: "beef",
		Created: 1000, Started: 1002, Finished: 1009, CancelRequested: 1005,
		Reason: TextOf("ExitCode"), Message: "exited with 3", Arguments: `{"a":"1","b":"<&>\u2028"}`,
		Priority: -7, MaxWait: 3600, ExitCode: 3, CancelGrace: 60, Attempts: 2, ArgumentBytes: 9, Status: Error, Origin: FromRerun, Ended: true,
		Stats: Stats{
			Items: 5, Responses: 6, Requests: -1, Errors: 0, FinishReason: TextOf("shutdown"),
			Source: SourceOf(v1alpha1.OriginScrapyStats), ObservedAt: 1008, Final: true,
			More: MoreCounts{
				RequestRetries: 1, FailedRequests: 2, Responses2xx: 3, Responses3xx: 4, Responses4xx: 5, Responses5xx: 6,
				ItemsDropped: 7, FeedFailures: 0, PeakMemoryBytes: math.MaxInt64, ElapsedSeconds: -1,
			}.Pack(),
		},
		Tags: TagsOf("eu", "nightly"), Note: new("look at it"),
		Expectations: &Judgement{
			Judged: true, Violations: `[{"rule":"min_items","expected":"at least 9","actual":"\u003c5\u003e"}]`,
		},
	}
	if diff := gocmp.Diff(want, compact(t, object), cmpopts.IgnoreUnexported(Job{}),
		cmpopts.EquateComparable(Text{}, Tags{})); diff != "" {
		t.Errorf("compact form (-want +got):\n%s", diff)
	}
}

func TestWhoeverWaitsIsWokenByAnyChange(t *testing.T) {
	const name = "0198b2a0-0000-7000-8000-000000000001"
	id := uuid.MustParse(name)
	for what, change := range map[string]func(*Jobs){
		"an event":     func(v *Jobs) { v.Set("", compact(t, spiderJob(name, 20, phase(v1alpha1.PhaseRunning)))) },
		"a deletion":   func(v *Jobs) { v.Delete("", compact(t, spiderJob(name, 20))) },
		"a relist":     func(v *Jobs) { v.Replace("", nil, "20") },
		"an own write": func(v *Jobs) { _, _ = v.Put(spiderJob(name, 20)) },
	} {
		t.Run(what, func(t *testing.T) {
			jobs := NewJobs(unnamed{})
			jobs.Set("", compact(t, spiderJob(name, 10)))
			_, changed, stop := jobs.Watch(ns, id)
			defer stop()
			select {
			case <-changed:
				t.Fatal("woken before anything changed")
			default:
			}
			change(jobs)
			select {
			case <-changed:
			case <-time.After(10 * time.Second):
				t.Fatal("not woken")
			}
		})
	}
}

func TestWaitersLeaveNothingBehind(t *testing.T) {
	jobs := NewJobs(unnamed{})
	id := uuid.New()
	_, _, first := jobs.Watch(ns, id)
	_, _, second := jobs.Watch(ns, id)
	first()
	if len(jobs.waiters) != 1 {
		t.Errorf("%d jobs are waited for, want 1", len(jobs.waiters))
	}
	second()
	if len(jobs.waiters) != 0 {
		t.Errorf("%d jobs are waited for though nobody waits", len(jobs.waiters))
	}
}
