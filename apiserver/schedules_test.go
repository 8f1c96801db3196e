package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

const schedulesPath = "/api/v1/schedules"

// clockAt makes the REST API's time the given one of the day of the contract's examples.
func clockAt(hour, minute int) func(*Config) {
	return func(c *Config) { c.Now = func() time.Time { return at(hour, minute).Time } }
}

// booksNightly is what existing clients know of a schedule that kubectl has made.
func booksNightly(s *v1alpha1.SpiderSchedule) {
	s.CreationTimestamp, s.Spec.UserID, s.Spec.Cron = *at(10, 30), "alice", "0 */6 * * *"
}

func TestSchedulesAreShownToTheLetter(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	spider := f.spider("team", "books", func(s *v1alpha1.Spider) { s.Spec.Name = "my-spider" })
	id := f.scheduled("team", "nightly", booksNightly)
	want := fmt.Sprintf(`{"id": %q, "spider_id": %q, "cron_expression": "0 */6 * * *", "timezone": "UTC", "enabled": true,
		"user_id": "alice", "created_at": "2025-01-15T10:30:00Z", "spider": {"id": %q, "name": "my-spider"},
		"overlap": "skip", "jitter_seconds": 0, "catch_up": {"policy": "latest", "window_seconds": 86400}, "pause_after_failures": 0,
		"next_runs": ["2025-01-15T18:00:00Z", "2025-01-16T00:00:00Z", "2025-01-16T06:00:00Z", "2025-01-16T12:00:00Z", "2025-01-16T18:00:00Z"],
		"missed": 0}`, id, spider, spider)
	f.get(key, schedulesPath).want(http.StatusOK).wantJSON("[" + want + "]")
	f.get(key, schedulesPath+"/"+id).want(http.StatusOK).wantJSON(want)
	if body := strings.TrimSpace(f.get(f.key("team", "bob"), schedulesPath).want(http.StatusOK).body); body != "[]" {
		t.Errorf("no schedules are shown as %s, want []", body)
	}
}

func TestEverythingOfAScheduleIsShown(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	id := f.scheduled("team", "nightly", booksNightly, func(s *v1alpha1.SpiderSchedule) {
		s.Spec = v1alpha1.SpiderScheduleSpec{
			SpiderRef: s.Spec.SpiderRef, Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Overlap: v1alpha1.OverlapAllow,
			CatchUp: &v1alpha1.CatchUp{Policy: v1alpha1.CatchUpAll, WindowSeconds: 60}, JitterSeconds: 5, PauseAfterFailures: 3,
			StartAt: new(metav1.Date(2025, 1, 17, 1, 30, 0, 0, time.UTC)), EndAt: new(metav1.Date(2025, 1, 18, 1, 30, 0, 0, time.UTC)),
			DisplayName: "Nightly", Description: "All books", Arguments: map[string]v1alpha1.ArgumentValue{"a": "<b>"},
			Tags:     []string{"nightly", "eu"},
			Settings: map[string]v1alpha1.SettingValue{"A": "1"}, TimeoutSeconds: new(int64(60)), StartDeadlineSeconds: new(int64(61)),
			Retries: new(int32(0)), ScheduledTimeArgument: "date",
		}
		s.Status.Missed = 7
	})
	f.get(f.key("team", ""), schedulesPath+"/"+id).want(http.StatusOK).wantJSON(fmt.Sprintf(`{"id": %q, "spider_id": %q,
		"cron_expression": "30 2 * * *", "timezone": "Europe/Berlin", "enabled": true, "user_id": "team", "created_at": "2025-01-15T10:30:00Z",
		"spider": {"id": %q, "name": "books"}, "name": "Nightly", "description": "All books", "arguments": {"a": "<b>"}, "settings": {"A": "1"},
		"tags": ["eu", "nightly"],
		"overlap": "allow", "jitter_seconds": 5, "catch_up": {"policy": "all", "window_seconds": 60}, "start_at": "2025-01-17T01:30:00Z",
		"end_at": "2025-01-18T01:30:00Z", "scheduled_time_argument": "date", "pause_after_failures": 3, "timeout_seconds": 60,
		"start_deadline_seconds": 61, "retries": 0, "next_runs": ["2025-01-17T01:30:00Z", "2025-01-18T01:30:00Z"], "missed": 7}`,
		id, spiderID("team", "books"), spiderID("team", "books")))
}

// spiderID is the id of a Spider that need not exist.
func spiderID(namespace, name string) string {
	spider := v1alpha1.Spider{}
	spider.Namespace, spider.Name = namespace, name
	return spider.ID()
}

// read returns a schedule as a caller sees it.
func (f *testAPI) readSchedule(key, id string) (schedule contract.Schedule) {
	f.t.Helper()
	f.get(key, schedulesPath+"/"+id).want(http.StatusOK).into(&schedule)
	return schedule
}

func TestAScheduleIsEnabledUnlessSuspendedOrPaused(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	id := f.scheduled("team", "nightly", booksNightly)
	for name, test := range map[string]struct {
		change  func(*v1alpha1.SpiderSchedule)
		enabled bool
		reason  string
	}{
		"neither":   {func(*v1alpha1.SpiderSchedule) {}, true, ""},
		"suspended": {func(s *v1alpha1.SpiderSchedule) { s.Spec.Suspend = true }, false, ""},
		"paused":    {paused("5 runs in a row have failed."), false, "5 runs in a row have failed."},
		"not paused any more": {func(s *v1alpha1.SpiderSchedule) {
			paused("It failed.")(s)
			s.Status.Conditions[0].Status = metav1.ConditionFalse
		}, true, ""},
		"resumed a moment ago": {func(s *v1alpha1.SpiderSchedule) {
			paused("It failed.")(s)
			s.Spec.ResumedAt = at(11, 31)
		}, true, ""},
		"paused again": {func(s *v1alpha1.SpiderSchedule) {
			paused("It failed.")(s)
			s.Spec.ResumedAt = at(11, 29)
		}, false, "It failed."},
		"of an expression that cannot be read": {func(s *v1alpha1.SpiderSchedule) { s.Spec.Cron = "0 0 30 2 *" }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f.schedules.update(t, "team", "nightly", func(s *v1alpha1.SpiderSchedule) {
				s.Spec.Suspend, s.Spec.ResumedAt, s.Spec.Cron, s.Status = false, nil, "@hourly", v1alpha1.SpiderScheduleStatus{}
				test.change(s)
			})
			got := f.readSchedule(key, id)
			reason := ""
			if got.PausedReason != nil {
				reason = *got.PausedReason
			}
			if got.Enabled != test.enabled || reason != test.reason || test.enabled && len(got.NextRuns) != 5 && name[0] != 'o' {
				t.Errorf("schedule %+v", got)
			}
			if !test.enabled && (len(got.NextRuns) != 0 || got.NextRuns == nil) {
				t.Errorf("the next runs are %v, want []", got.NextRuns)
			}
			for _, enabled := range []bool{true, false} {
				listed := slices.Contains(idsOf(f.get(key, fmt.Sprint(schedulesPath, "?enabled=", enabled))), id)
				if listed != (enabled == test.enabled) {
					t.Errorf("it is among those that are enabled=%t: %t", enabled, listed)
				}
			}
		})
	}
}

// paused is what the controller says of a schedule that it has paused at half past eleven.
func paused(message string) func(*v1alpha1.SpiderSchedule) {
	return func(s *v1alpha1.SpiderSchedule) {
		s.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionPaused, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTooManyFailures, Message: message,
			LastTransitionTime: *at(11, 30),
		}}
	}
}

func TestTheLastJobOfASchedule(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	id := f.scheduled("team", "nightly", booksNightly, func(s *v1alpha1.SpiderSchedule) {
		s.Status.LastJob = &v1alpha1.ScheduledRun{Name: "nightly-1", ScheduledFor: *at(6, 0)}
		s.Status.Active = []string{"nightly-1"}
	})
	last := func() (status string) {
		t.Helper()
		got := f.readSchedule(key, id).LastJob
		if got == nil || !got.ScheduledAt.Equal(at(6, 0).Time) {
			t.Fatalf("the last job is %+v", got)
		}
		if got.Status != nil {
			status = string(*got.Status)
		}
		return status
	}
	if status := last(); status != "" {
		t.Errorf("a job that is not there yet is %s", status)
	}
	job := f.apply("team", "nightly-1", func(j *v1alpha1.SpiderJob) { j.Spec.UserID = "alice" })
	if status, got := last(), f.readSchedule(key, id).LastJob.ID; status != "pending" || got != job {
		t.Errorf("the last job is %s, %s, want %s, pending", got, status, job)
	}
	f.cluster.update(t, "team", "nightly-1", func(j *v1alpha1.SpiderJob) { j.Status.Phase = v1alpha1.PhaseFinished })
	if status := last(); status != "finished" {
		t.Errorf("the last job is %s", status)
	}
	f.cluster.delete("team", "nightly-1")
	f.schedules.update(t, "team", "nightly", func(s *v1alpha1.SpiderSchedule) {
		s.Status.Active, s.Status.LastResult = nil, v1alpha1.PhaseError
	})
	if status := last(); status != "error" {
		t.Errorf("a job that was deleted since is %s, want what the schedule knows", status)
	}
	f.schedules.update(t, "team", "nightly", func(s *v1alpha1.SpiderSchedule) { s.Spec.Overlap = v1alpha1.OverlapAllow })
	if status := last(); status != "" {
		t.Errorf("a job that was deleted since is %s, and another one may have ended later", status)
	}
	f.apply("team", "nightly-1", func(j *v1alpha1.SpiderJob) { j.Spec.UserID = "bob" })
	if status := last(); status != "" {
		t.Errorf("another's job of the name is shown: %s", status)
	}
}

func TestSchedulesAreListedInPages(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	names := map[string]string{}
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		for _, user := range []string{"alice", "bob", ""} {
			id := f.scheduled("team", name+user, func(s *v1alpha1.SpiderSchedule) {
				s.CreationTimestamp, s.Spec.UserID = *at(10, i), user
				s.Spec.SpiderRef.Name = []string{"books", "news"}[i%2]
			})
			names[id] = name + user
		}
	}
	show := func(a answer) string {
		var shown []string
		for _, id := range idsOf(a) {
			shown = append(shown, strings.TrimSuffix(names[id], "alice"))
		}
		return strings.Join(shown, " ")
	}
	for query, want := range map[string]string{
		"": "e d c b a", "limit=2": "e d", "spider_id=" + spiderID("team", "news"): "d b", "enabled=false": "", "limit=&_=1": "e d c b a",
		"spider_id=" + spiderID("team", "other"): "",
	} {
		if got := show(f.get(key, schedulesPath+"?"+query).want(http.StatusOK)); got != want {
			t.Errorf("?%s shows %s, want %s", query, got, want)
		}
	}
	var pages []string
	for path := schedulesPath + "?limit=2&enabled=true"; path != ""; {
		page := f.get(key, path).want(http.StatusOK)
		pages = append(pages, show(page))
		path = page.next()
	}
	if got := strings.Join(pages, ", "); got != "e d, c b, a" {
		t.Errorf("the pages are %s", got)
	}
	for _, query := range []string{"spider_id=7", "enabled=yes", "enabled=1", "limit=0", "limit=1001", "cursor=x", "name=a", "status=pending"} {
		field, _, _ := strings.Cut(query, "=")
		f.get(key, schedulesPath+"?"+query).wantProblem(http.StatusBadRequest, "invalid_request", field)
	}
}

// A page of schedules with as many arguments as they may have would take the server's memory.
func TestPageOfLargeSchedulesIsBounded(t *testing.T) {
	f := newTestAPI(t)
	const count = 45
	for i := range count {
		f.scheduled("team", fmt.Sprint("s", i), func(s *v1alpha1.SpiderSchedule) {
			s.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"a": v1alpha1.ArgumentValue(strings.Repeat("x", allowed.MaxArgumentsBytes-1))}
		})
	}
	key, seen := f.key("team", ""), 0
	for path := schedulesPath; path != ""; {
		page := f.get(key, path).want(http.StatusOK)
		if len(page.body) > 2<<20 {
			t.Fatalf("a page has %d bytes", len(page.body))
		}
		seen += len(idsOf(page))
		path = page.next()
	}
	if seen != count {
		t.Errorf("%d schedules are shown, want %d", seen, count)
	}
}

func TestSchedulesAreReadAgain(t *testing.T) {
	hour := 12
	f := newTestAPI(t, func(c *Config) { c.Now = func() time.Time { return at(hour, 0).Time } })
	key := f.key("team", "alice")
	id := f.scheduled("team", "nightly", booksNightly)
	known := f.get(key, schedulesPath+"/"+id).header.Get("ETag")
	again := func() int {
		return f.send(call{
			method: http.MethodGet, path: schedulesPath + "/" + id, key: key, header: map[string]string{"If-None-Match": known},
		}).status
	}
	if status := again(); status != http.StatusNotModified {
		t.Errorf("unchanged, it is answered %d", status)
	}
	f.spider("team", "books", func(s *v1alpha1.Spider) { s.Spec.Name = "renamed" })
	if status := again(); status != http.StatusOK {
		t.Errorf("after its spider has got a name, it is answered %d", status)
	}
	known = f.get(key, schedulesPath+"/"+id).header.Get("ETag")
	if hour = 19; again() != http.StatusOK {
		t.Error("after a run it is answered 304")
	}
}

// TestUnknownScheduleIsAskedOfKubernetes: another replica may have made it a moment ago.
func TestUnknownScheduleIsAskedOfKubernetes(t *testing.T) {
	f := newTestAPI(t)
	key, alice := f.key("team", ""), f.key("team", "alice")
	f.schedules.held = true
	const name = "0198b2a0-0000-7000-8000-000000000001"
	f.scheduled("team", name, func(s *v1alpha1.SpiderSchedule) { s.Spec.UserID = "alice" })
	f.get(key, schedulesPath+"/"+name).wantProblem(http.StatusNotFound, "not_found", "This schedule")
	f.get(alice, schedulesPath+"/"+name).want(http.StatusOK)
	if n := f.schedules.count("get"); n != 1 {
		t.Errorf("Kubernetes was asked %d times, want once", n)
	}
	f.schedules.fail = func(string, bool) error { return errors.New("connection refused") }
	f.get(key, schedulesPath+"/0198b2a0-0000-7000-8000-000000000002").wantProblem(http.StatusServiceUnavailable, "unavailable")
	f.get(alice, schedulesPath+"/"+name).want(http.StatusOK)
	for _, id := range []string{"12", "%20", strings.Repeat("a", 500), spiderID("team", "books")} {
		f.get(key, schedulesPath+"/"+id).wantProblem(http.StatusNotFound, "not_found")
	}
}

func TestAJobOfAScheduleSaysSo(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	schedule := f.scheduled("team", "nightly", booksNightly)
	of := func(j *v1alpha1.SpiderJob) {
		j.Spec.UserID, j.Labels = "alice", map[string]string{v1alpha1.LabelSchedule: "nightly"}
	}
	due := f.apply("team", "nightly-1", of, func(j *v1alpha1.SpiderJob) { j.Spec.ScheduledFor = at(6, 0) })
	requested := f.apply("team", "requested", of)
	other := f.apply("team", "other", func(j *v1alpha1.SpiderJob) { j.Spec.UserID = "alice" })
	check := func(job contract.Job) {
		t.Helper()
		switch hasSchedule, hasTime := job.ScheduleID != nil && *job.ScheduleID == schedule, job.ScheduledAt != nil; job.ID {
		case due:
			if !hasSchedule || !hasTime || !job.ScheduledAt.Equal(at(6, 0).Time) {
				t.Errorf("a run that was due is %+v", job)
			}
		case requested:
			if !hasSchedule || hasTime {
				t.Errorf("a run by request is %+v", job)
			}
		case other:
			if job.ScheduleID != nil || hasTime {
				t.Errorf("a job of no schedule is %+v", job)
			}
		}
	}
	var all []contract.Job
	f.get(key, "/api/v1/jobs").want(http.StatusOK).into(&all)
	for _, id := range []string{due, requested, other} {
		var job contract.Job
		f.get(key, "/api/v1/jobs/"+id).want(http.StatusOK).into(&job)
		all = append(all, job)
	}
	if len(all) != 6 {
		t.Errorf("%d jobs", len(all))
	}
	for _, job := range all {
		check(job)
	}
}
