package view

import (
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// populated makes a view of n jobs of one user, of every status and two spiders, each with 200 bytes of arguments, all counts and
// expectations, which one in thirteen has broken. A change gets each SpiderJob with its number.
func populated(n int, change ...func(i int, job *v1alpha1.SpiderJob)) *Jobs {
	phases := []v1alpha1.Phase{
		v1alpha1.PhasePending, v1alpha1.PhaseRunning, v1alpha1.PhaseFinished, v1alpha1.PhaseCancelled, v1alpha1.PhaseError,
	}
	jobs := NewJobs(unnamed{})
	for i := range n {
		spider := "spider-" + strconv.Itoa(i%2)
		job := spiderJob(uuid.Must(uuid.NewV7()).String(), i+1, func(job *v1alpha1.SpiderJob) {
			job.CreationTimestamp = metav1.Unix(1_700_000_000+int64(i/3), 0)
			job.Spec.UserID = "alice"
			job.Spec.SpiderRef.Name = spider
			job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{
				"a": v1alpha1.ArgumentValue(strings.Repeat("x", 99)),
				"b": v1alpha1.ArgumentValue(strings.Repeat("y", 99)),
			}
			job.Status.Phase = phases[i/2%len(phases)]
			job.Status.Reason, job.Status.Message = "Completed", fmt.Sprintf("the spider ran to its end with %d items", i)
			job.Status.StartedAt, job.Status.FinishedAt = new(metav1.Now()), new(metav1.Now())
			job.Status.ExitCode = new(int32(0))
			job.Status.Spider = &v1alpha1.SpiderSnapshot{Name: spider, RepoPath: spider + ".py", Image: "registry.example/spiders:1"}
			job.Status.Stats = &v1alpha1.Stats{
				ItemsScraped: int64(i), Source: v1alpha1.OriginScrapyStats, Final: true,
				RequestRetries: new(int64(i % 3)), FailedRequests: new(int64(0)), Responses2xx: new(int64(i)), Responses3xx: new(int64(0)),
				Responses4xx: new(int64(i % 50)), Responses5xx: new(int64(0)), ItemsDropped: new(int64(0)), FeedFailures: new(int64(0)),
				PeakMemoryBytes: new(int64(100<<20 + i)), ElapsedSeconds: new(int64(i % 3600)),
			}
			expectationsMet("True", "all expectations are met")(job)
			if i%13 == 0 {
				expectationsMet("False", "", v1alpha1.Violation{Rule: "minItems", Expected: "at least 100", Actual: strconv.Itoa(i)})(job)
			}
			for _, c := range change {
				c(i, job)
			}
		})
		compact, err := FromSpiderJob(job)
		if err != nil {
			panic(err)
		}
		jobs.Set("", compact)
	}
	return jobs
}

// labelled gives a SpiderJob tags, an origin and a schedule: each tag, origin and schedule belongs to a part of all jobs.
func labelled(i int, job *v1alpha1.SpiderJob) {
	job.Labels = map[string]string{v1alpha1.LabelOrigin: []string{"api", "schedule", "rerun", ""}[i%4]}
	if i%4 == 1 {
		job.Labels[v1alpha1.LabelSchedule] = "nightly"
	}
	for tag, of := range map[string]int{"all": 1, "half": 2, "tenth": 10} {
		if i%of == 0 {
			job.AddTags(tag)
		}
	}
}

// filters are the filters that are served from an index of their own.
func filters() map[string]func(*Query) {
	schedule := v1alpha1.SpiderSchedule{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "nightly"}}
	id := uuid.MustParse(schedule.ID())
	return map[string]func(*Query){
		"tag of all":    func(q *Query) { q.Tags = []string{"all"} },
		"tag of a half": func(q *Query) { q.Tags = []string{"half"} },
		"tag of few":    func(q *Query) { q.Tags = []string{"tenth"} },
		"origin":        func(q *Query) { q.Origin = new(FromSchedule) },
		"schedule":      func(q *Query) { q.ScheduleID = &id },
	}
}

// questions are lists that clients ask for, with every kind of filter.
func questions() map[string]Query {
	spider := v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "spider-1"}}
	id := uuid.MustParse(spider.ID())
	all := Query{Namespace: ns, UserID: "alice", Limit: 50}
	with := func(change func(*Query)) Query { q := all; change(&q); return q }
	questions := map[string]Query{
		"all":            all,
		"status":         with(func(q *Query) { q.Statuses = []Status{Error} }),
		"three statuses": with(func(q *Query) { q.Statuses = []Status{Error, Finished, Pending} }),
		"spider":         with(func(q *Query) { q.SpiderID = &id }),
		"spider name":    with(func(q *Query) { q.SpiderName = "spider-0" }),
		"spider, status": with(func(q *Query) { q.SpiderID = &id; q.Statuses = []Status{Finished, Running} }),
		"broken":         with(func(q *Query) { q.Broken = true }),
		"broken, two":    with(func(q *Query) { q.Broken, q.Statuses = true, []Status{Error, Finished} }),
		"before":         with(func(q *Query) { q.CreatedTo = 1_700_000_000 + 200 }),
		"cursor":         with(func(q *Query) { q.After = &Position{Created: 1_700_000_000 + 200} }),
		"all of them": with(func(q *Query) {
			q.SpiderID, q.SpiderName, q.Statuses = &id, "spider-1", []Status{Finished, Error}
			q.CreatedFrom, q.CreatedTo = 1_700_000_000+1, 1_700_000_000+300
		}),
		"two tags":    with(func(q *Query) { q.Tags = []string{"half", "tenth"} }),
		"tag, status": with(func(q *Query) { q.Tags, q.Statuses = []string{"half"}, []Status{Finished} }),
		"no tag":      with(func(q *Query) { q.LacksTag = "half" }),
		"nothing":     with(func(q *Query) { q.Tags, q.LacksTag = []string{"half"}, "all" }),
	}
	for name, filter := range filters() {
		questions[name] = with(filter)
	}
	return questions
}

// BenchmarkFilteredPage compares a page with a filter with one without, in the same run: ratio is how many times as long it takes.
func BenchmarkFilteredPage(b *testing.B) {
	jobs := populated(100_000, labelled)
	for name := range filters() {
		b.Run(name, func(b *testing.B) {
			question, all := questions()[name], questions()["all"]
			var filtered, unfiltered time.Duration
			for b.Loop() {
				filtered += elapsed(func() { jobs.List(question) })
				unfiltered += elapsed(func() { jobs.List(all) })
			}
			b.ReportMetric(float64(filtered)/float64(unfiltered), "ratio")
		})
	}
}

func elapsed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

// TestFilteredPageCostsWhatAnUnfilteredDoes leaves room for a busy machine: without an index a page would cost many times as much.
func TestFilteredPageCostsWhatAnUnfilteredDoes(t *testing.T) {
	jobs := populated(20_000, labelled)
	for name := range filters() {
		ratio := float64(fastest(t, jobs, questions()[name])) / float64(fastest(t, jobs, questions()["all"]))
		t.Logf("%-15s takes %.2f times what a page of all jobs takes", name, ratio)
		if ratio > 5 {
			t.Errorf("%s: the filter costs too much: ratio %.2f", name, ratio)
		}
	}
}

var populations = []int{1_000, 100_000}

// BenchmarkList measures a page of 50 in views of different sizes; the time should not depend on that.
func BenchmarkList(b *testing.B) {
	for _, n := range populations {
		jobs := populated(n, labelled)
		for name, question := range questions() {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					jobs.List(question)
				}
			})
		}
	}
}

// TestPageCostsTheSameInAViewOfAnySize compares the best of several measurements, with much room for a busy machine: what
// depended on the number of jobs would be a hundred times slower.
func TestPageCostsTheSameInAViewOfAnySize(t *testing.T) {
	if testing.Short() {
		t.Skip("measures a view of 100,000 jobs")
	}
	small, large := populated(populations[0], labelled), populated(populations[1], labelled)
	for name, question := range questions() {
		if name == "nothing" {
			continue // It looks at every job, up to the bound.
		}
		ratio := float64(fastest(t, large, question)) / float64(fastest(t, small, question))
		t.Logf("%-15s a page of 50 among 100,000 jobs takes %.2f times what it takes among 1,000", name, ratio)
		if ratio > 5 {
			t.Errorf("%s: the cost of a page grows with the number of jobs: ratio %.2f", name, ratio)
		}
	}
}

// fastest returns the least CPU time of several measurements: what else runs on the machine does not count.
func fastest(t *testing.T, jobs *Jobs, question Query) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var clock unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &clock); err != nil {
			t.Fatal(err)
		}
		return time.Duration(clock.Nano())
	}
	best := time.Hour
	for range 20 {
		start := used()
		for range 50 {
			jobs.List(question)
		}
		best = min(best, used()-start)
	}
	return best
}

func TestJobTakesLittleMemory(t *testing.T) {
	perJob := bytesPerJob(20_000)
	t.Logf("%d bytes per job with 200 bytes of arguments", perJob)
	if perJob > 1000 { // 948, and what the runtime has for itself.
		t.Errorf("a job takes %d bytes", perJob)
	}
	// A larger one would take the next larger piece of memory, with 32 bytes more.
	if size := reflect.TypeFor[Job]().Size(); size > 384 {
		t.Errorf("what a job itself takes has grown to %d bytes", size)
	}
}

// TestTagsTakeMemoryOnlyWhereTheyAre counts the places in indexes, some 36 bytes each: the texts are shared.
func TestTagsTakeMemoryOnlyWhereTheyAre(t *testing.T) {
	without := bytesPerJob(20_000)
	tagged := bytesPerJob(20_000, labelled)
	tags := bytesPerJob(20_000, func(_ int, job *v1alpha1.SpiderJob) { job.AddTags("nightly", "eu", "books") })
	t.Logf("%d bytes per job without, %d with tags, origins and schedules, %d with three tags", without, tagged, tags)
	if tags > without+130 || tagged > without+130 {
		t.Errorf("tags take %d bytes a job, and with origins and schedules %d", tags-without, tagged-without)
	}
}

func bytesPerJob(n int, change ...func(int, *v1alpha1.SpiderJob)) int64 {
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := heap()
	jobs := populated(n, change...)
	perJob := (heap() - before) / int64(n)
	runtime.KeepAlive(jobs)
	return perJob
}

// BenchmarkChangeWithSubscribers shows a change to a view, which so many subscribers then read: of the job's own user, or of
// others, whom it does not concern.
func BenchmarkChangeWithSubscribers(b *testing.B) {
	for _, test := range []struct{ own, others int }{{0, 0}, {1, 0}, {100, 0}, {0, 5000}} {
		b.Run(fmt.Sprintf("own=%d,others=%d", test.own, test.others), func(b *testing.B) {
			jobs := NewJobs(unnamed{})
			jobs.Replace("", nil, "1")
			var subscriptions []*Subscription
			for i := range test.own + test.others {
				user := "alice"
				if i >= test.own {
					user = "other-" + strconv.Itoa(i)
				}
				s, _ := jobs.Subscribe(b.Context(), ns, user, "")
				subscriptions = append(subscriptions, s)
			}
			job := compact(b, spiderJob("job", 1, user("alice")))
			b.ReportAllocs()
			revision := 1
			for b.Loop() {
				revision++
				changed := *job
				changed.ResourceVersion = strconv.Itoa(revision)
				jobs.Set("", &changed)
				for _, s := range subscriptions[:test.own] {
					if entry, ok := s.Next(); entry == nil || !ok {
						b.Fatal("the change is not told")
					}
				}
			}
		})
	}
}
