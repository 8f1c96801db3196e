package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
		"overlap": "skip", "jitter_seconds": 0, "catch_up": {"policy": "latest", "window_seconds": 86400}, "pause_after_failures": 0, "priority": 0,
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
			Retries: new(int32(0)), ScheduledTimeArgument: "date", Priority: 9,
		}
		s.Status.Missed = 7
	})
	f.get(f.key("team", ""), schedulesPath+"/"+id).want(http.StatusOK).wantJSON(fmt.Sprintf(`{"id": %q, "spider_id": %q,
		"cron_expression": "30 2 * * *", "timezone": "Europe/Berlin", "enabled": true, "user_id": "team", "created_at": "2025-01-15T10:30:00Z",
		"spider": {"id": %q, "name": "books"}, "name": "Nightly", "description": "All books", "arguments": {"a": "<b>"}, "settings": {"A": "1"},
		"tags": ["eu", "nightly"],
		"overlap": "allow", "jitter_seconds": 5, "catch_up": {"policy": "all", "window_seconds": 60}, "start_at": "2025-01-17T01:30:00Z",
		"end_at": "2025-01-18T01:30:00Z", "scheduled_time_argument": "date", "pause_after_failures": 3, "timeout_seconds": 60,
		"start_deadline_seconds": 61, "retries": 0, "priority": 9, "next_runs": ["2025-01-17T01:30:00Z", "2025-01-18T01:30:00Z"], "missed": 7}`,
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

// newSchedule makes a schedule by REST and returns it.
func (f *testAPI) newSchedule(key, body string) (made contract.Schedule) {
	f.t.Helper()
	f.post(key, schedulesPath, body).want(http.StatusOK).into(&made)
	return made
}

func TestLifeOfASchedule(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	spider := f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.AllowedSettings, s.Spec.Retries = []string{"LOG_LEVEL", "DOWNLOAD_DELAY"}, new(int32(3))
	})
	a := f.post(key, schedulesPath, `{"spider_id": "`+spider+`", "cron_expression": "0 */6 * * *"}`).want(http.StatusOK)
	var made contract.Schedule
	a.into(&made)
	path := schedulesPath + "/" + made.ID
	if id, err := uuid.Parse(made.ID); err != nil || id.Version() != 7 || a.at(a.header.Get("Location")) != path {
		t.Errorf("id %s at %q, want a UUIDv7 at its address", made.ID, a.header.Get("Location"))
	}
	if made.SpiderID != spider || made.CronExpression != "0 */6 * * *" || made.Timezone != "UTC" || !made.Enabled ||
		made.UserID != "alice" || made.Spider.ID != spider || made.Spider.Name != "books" || len(made.NextRuns) != 5 {
		t.Errorf("the schedule is %s", a.body)
	}
	f.get(key, path).want(http.StatusOK).wantJSON(a.body)
	if spec := f.schedules.schedule(t, "team", made.ID).Spec; !reflect.DeepEqual(spec, v1alpha1.SpiderScheduleSpec{
		SpiderRef: v1alpha1.SpiderReference{Name: "books"}, Cron: "0 */6 * * *", TimeZone: "UTC", UserID: "alice",
	}) {
		t.Errorf("stored spec %+v", spec)
	}

	f.patch(key, path, `{"cron_expression": "30 2 * * *", "timezone": "Europe/Berlin", "name": "Nightly", "description": "All books",
		"arguments": {"category": "poetry", "pages": 3, "none": null}, "settings": {"LOG_LEVEL": "DEBUG"}, "overlap": "allow",
		"jitter_seconds": 60, "catch_up": {"policy": "all", "window_seconds": 60}, "tags": ["nightly", "eu"], "start_at": "2025-01-15T11:30:00.5+01:00",
		"end_at": "2999-01-01T00:00:00Z", "scheduled_time_argument": "date", "pause_after_failures": 5, "timeout_seconds": 60,
		"start_deadline_seconds": 61, "retries": 0, "priority": -5}`).want(http.StatusOK)
	want := v1alpha1.SpiderScheduleSpec{
		SpiderRef: v1alpha1.SpiderReference{Name: "books"}, Cron: "30 2 * * *", TimeZone: "Europe/Berlin", UserID: "alice",
		DisplayName: "Nightly", Description: "All books", Overlap: v1alpha1.OverlapAllow, JitterSeconds: 60,
		Arguments:             map[string]v1alpha1.ArgumentValue{"category": "poetry", "pages": "3"},
		Settings:              map[string]v1alpha1.SettingValue{"LOG_LEVEL": "DEBUG"},
		CatchUp:               &v1alpha1.CatchUp{Policy: v1alpha1.CatchUpAll, WindowSeconds: 60},
		StartAt:               at(10, 30),
		EndAt:                 new(metav1.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)),
		Tags:                  []string{"nightly", "eu"},
		ScheduledTimeArgument: "date", PauseAfterFailures: 5, TimeoutSeconds: new(int64(60)), StartDeadlineSeconds: new(int64(61)),
		Retries: new(int32(0)), Priority: -5,
	}
	if spec := f.schedules.schedule(t, "team", made.ID).Spec; !equality.Semantic.DeepEqual(spec, want) {
		t.Errorf("stored spec %+v\nwant %+v", spec, want)
	}
	before := f.schedules.count("patch")
	f.patch(key, path, `{}`).want(http.StatusOK)
	f.patch(key, path, `{"enabled": true, "name": "Nightly", "arguments": {"pages": 3}, "catch_up": {}}`).want(http.StatusOK)
	if f.schedules.count("patch") != before {
		t.Error("a change of nothing was written")
	}
	f.patch(key, path, `{"arguments": {"pages": null, "more": true}, "catch_up": {"window_seconds": null}, "retries": 3, "name": null}`).
		want(http.StatusOK)
	want.Arguments, want.DisplayName = map[string]v1alpha1.ArgumentValue{"category": "poetry", "more": "true"}, ""
	want.CatchUp.WindowSeconds, want.Retries = 0, new(int32(3))
	if spec := f.schedules.schedule(t, "team", made.ID).Spec; !equality.Semantic.DeepEqual(spec, want) {
		t.Errorf("stored spec %+v\nwant %+v", spec, want)
	}
	other := f.made(key, "other")
	f.patch(key, path, `{"timezone": null, "description": null, "arguments": null, "settings": null, "overlap": null, "jitter_seconds": null,
		"catch_up": null, "tags": null, "start_at": null, "end_at": null, "scheduled_time_argument": null, "pause_after_failures": null,
		"timeout_seconds": null, "start_deadline_seconds": null, "retries": null, "priority": null, "spider_id": "`+other+`"}`).want(http.StatusOK)
	if spec := f.schedules.schedule(t, "team", made.ID).Spec; !equality.Semantic.DeepEqual(spec, v1alpha1.SpiderScheduleSpec{
		SpiderRef: v1alpha1.SpiderReference{Name: other}, Cron: "30 2 * * *", TimeZone: "UTC", UserID: "alice",
	}) {
		t.Errorf("stored spec %+v", spec)
	}

	f.delete(key, path).want(http.StatusOK).wantJSON(`{"ok": true, "message": "Schedule deleted"}`)
	f.get(key, path).wantProblem(http.StatusNotFound, "not_found", "This schedule")
	f.delete(key, path).wantProblem(http.StatusNotFound, "not_found")
	f.patch(key, path, `{}`).wantProblem(http.StatusNotFound, "not_found")
}

func TestBadSchedulesAreRefusedByName(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	spider := f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.AllowedSettings, s.Spec.TimeoutSeconds = []string{"LOG_LEVEL"}, new(int64(60))
	})
	made := f.newSchedule(key, `{"spider_id": "`+spider+`", "cron_expression": "@daily"}`)
	for field, values := range map[string][]string{
		"spider_id":               {`null`, `7`},
		"cron_expression":         {`null`, `""`, `7`, `"* * * *"`, `"0 30 2 * * *"`, `"0 30 2 * * * 2026"`, `"0 0 30 2 *"`, `"TZ=UTC 0 2 * * *"`, `"@every 5m"`, `"60 * * * *"`, `"` + strings.Repeat("0,", 150) + `0 * * * *"`},
		"timezone":                {`""`, `7`, `"Mars/Olympus"`, `"Local"`, `"../etc/passwd"`, `"` + strings.Repeat("x", 65) + `"`},
		"enabled":                 {`null`, `"true"`, `1`},
		"name":                    {`7`, `"` + strings.Repeat("é", 129) + `"`, `"\ud800"`},
		"description":             {`7`, `"` + strings.Repeat("é", 1025) + `"`},
		"arguments":               {`[]`, `{"-a": 1}`, `{"a=": 1}`, `{"": 1}`, `{"a": "\u0000"}`, `{"a": "` + strings.Repeat("x", 32<<10) + `"}`},
		"settings":                {`[]`, `{"lower": 1}`, `{"JOBDIR": "x"}`, `{"LOG_LEVEL": "` + strings.Repeat("x", 4097) + `"}`},
		"overlap":                 {`7`, `"Skip"`, `"forbid"`, `""`},
		"jitter_seconds":          {`-1`, `3601`, `"1"`, `1.5`},
		"catch_up":                {`7`, `"all"`, `{"policy": "all"}`, `{"policy": "some"}`, `{"policy": 7}`, `{"window_seconds": 0}`, `{"window_seconds": 31536001}`, `{"windowSeconds": 1}`, `{"policy": "none", "policy": "none"}`},
		"tags":                    {`7`, `["a b"]`, `["a", "a"]`, `[1]`},
		"start_at":                {`7`, `"tomorrow"`, `"2025-01-15"`, `"1969-01-01T00:00:00Z"`},
		"end_at":                  {`"2025-01-15T10:30:00"`, `""`},
		"scheduled_time_argument": {`7`, `""`, `"-a"`, `"a=b"`, `"a\u0007"`, `"` + strings.Repeat("é", 257) + `"`},
		"pause_after_failures":    {`-1`, `1001`},
		"timeout_seconds":         {`0`, `61`, `31536001`},
		"start_deadline_seconds":  {`0`, `31536001`, `"1"`},
		"retries":                 {`-1`, `1`, `101`},
		"priority":                {`-1001`, `1001`, `"1"`, `1.5`},
		"user_id":                 {`"bob"`},
		"id":                      {`"x"`},
		"next_runs":               {`[]`},
		"suspend":                 {`true`},
	} {
		for _, value := range values {
			body := `{"spider_id": "` + spider + `", "cron_expression": "@daily", "` + field + `": ` + value + `}`
			switch field {
			case "spider_id":
				body = `{"cron_expression": "@daily", "spider_id": ` + value + `}`
			case "cron_expression":
				body = `{"spider_id": "` + spider + `", "cron_expression": ` + value + `}`
			}
			var problem struct{ Field string }
			a := f.post(key, schedulesPath, body)
			a.wantProblem(http.StatusBadRequest, "invalid_request", field)
			if a.into(&problem); !strings.HasPrefix(problem.Field, field) {
				t.Errorf("%s: the field is %q, want %s", body, problem.Field, field)
			}
			f.patch(key, schedulesPath+"/"+made.ID, `{"`+field+`": `+value+`}`).wantProblem(http.StatusBadRequest, "invalid_request", field)
		}
	}
	for body, field := range map[string]string{
		`{}`: "spider_id", `{"cron_expression": "@daily"}`: "spider_id", `{"spider_id": "` + spider + `"}`: "cron_expression",
		`{"spider_id": "12", "timezone": "UTC"}`: "cron_expression",
	} {
		f.post(key, schedulesPath, body).wantProblem(http.StatusBadRequest, "invalid_request", field)
	}
	together := func(fields string) string {
		return `{"spider_id": "` + spider + `", "cron_expression": "@daily", ` + fields + `}`
	}
	f.post(key, schedulesPath, together(`"start_at": "2025-01-15T10:30:00Z", "end_at": "2025-01-15T10:30:00Z"`)).
		wantProblem(http.StatusBadRequest, "invalid_request", "end_at", "start_at")
	f.post(key, schedulesPath, together(`"scheduled_time_argument": "d", "arguments": {"a": "`+strings.Repeat("x", 32<<10-10)+`"}`)).
		wantProblem(http.StatusBadRequest, "invalid_request", "arguments")
	f.post(key, schedulesPath, together(`"cron_expression": "@hourly"`)).wantProblem(http.StatusBadRequest, "invalid_request", "twice")
	f.post(key, schedulesPath, `[]`).wantProblem(http.StatusBadRequest, "malformed_body")
	for _, id := range []string{"12", "0198b2a0-0000-7000-8000-000000000001", f.spider("other", "books")} {
		f.post(key, schedulesPath, `{"spider_id": "`+id+`", "cron_expression": "@daily"}`).
			wantProblem(http.StatusNotFound, "not_found", "This spider")
		f.patch(key, schedulesPath+"/"+made.ID, `{"spider_id": "`+id+`"}`).wantProblem(http.StatusNotFound, "not_found", "This spider")
	}
	if n := f.schedules.count("create") + f.schedules.count("patch"); n != 1 {
		t.Errorf("%d writes reached Kubernetes, want the good one", n)
	}
}

func TestNobodySchedulesAnothersSpider(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	own := f.made(alice, "own")
	for _, other := range []string{f.key("team", "bob"), f.key("team", ""), f.key("other", "alice")} {
		f.post(other, schedulesPath, `{"spider_id": "`+own+`", "cron_expression": "@daily"}`).wantProblem(http.StatusNotFound, "not_found")
	}
	made := f.newSchedule(f.key("team", ""), `{"spider_id": "`+f.spider("team", "shared")+`", "cron_expression": "@daily"}`)
	if made.UserID != "team" || f.schedules.schedule(t, "team", made.ID).Spec.UserID != "" {
		t.Errorf("without a user the schedule is %+v", made)
	}
	f.get(alice, schedulesPath+"/"+made.ID).wantProblem(http.StatusNotFound, "not_found")
}

func TestASchedulesIsSwitchedOffAndOn(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	spider := f.spider("team", "books")
	off := f.newSchedule(key, `{"spider_id": "`+spider+`", "cron_expression": "@daily", "enabled": false}`)
	stored := func() v1alpha1.SpiderScheduleSpec { return f.schedules.schedule(t, "team", off.ID).Spec }
	if off.Enabled || len(off.NextRuns) != 0 || !stored().Suspend {
		t.Errorf("switched off at once, it is %+v, %+v", off, stored())
	}
	change := func(body string) (is contract.Schedule) {
		t.Helper()
		f.patch(key, schedulesPath+"/"+off.ID, body).want(http.StatusOK).into(&is)
		return is
	}
	if is := change(`{"enabled": true}`); !is.Enabled || len(is.NextRuns) != 5 || stored().Suspend || !stored().ResumedAt.Equal(at(12, 0)) {
		t.Errorf("switched on, it is %+v, %+v", is, stored())
	}
	if is := change(`{"enabled": false}`); is.Enabled || !stored().Suspend {
		t.Errorf("switched off, it is %+v, %+v", is, stored())
	}

	change(`{"enabled": true}`)
	pausedAt := func(when *metav1.Time) {
		f.schedules.update(t, "team", off.ID, func(s *v1alpha1.SpiderSchedule) {
			paused("5 runs in a row have failed.")(s)
			s.Status.Conditions[0].LastTransitionTime = *when
			s.Spec.ResumedAt = nil
		})
	}
	pausedAt(at(11, 0))
	if is := change(`{"name": "still paused"}`); is.Enabled || is.PausedReason == nil || stored().ResumedAt != nil {
		t.Errorf("after a change of its name it is %+v, %+v", is, stored())
	}
	if is := change(`{"enabled": true}`); !is.Enabled || is.PausedReason != nil || !stored().ResumedAt.Equal(at(12, 0)) {
		t.Errorf("resumed, it is %+v, %+v", is, stored())
	}
	pausedAt(at(12, 5)) // The controller's clock is ahead.
	if is := change(`{"enabled": true}`); !is.Enabled || !stored().ResumedAt.Equal(at(12, 5)) {
		t.Errorf("resumed, it is %+v, %+v", is, stored())
	}
}

// TestAScheduleOfAMissingSpiderCanBeChanged: only what the spider has a say in needs it.
func TestAScheduleOfAMissingSpiderCanBeChanged(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	id := f.scheduled("team", "nightly", booksNightly, func(s *v1alpha1.SpiderSchedule) { s.Spec.Cron = "no expression" })
	f.patch(key, schedulesPath+"/"+id, `{"enabled": false, "name": "x", "jitter_seconds": 1}`).want(http.StatusOK)
	f.patch(key, schedulesPath+"/"+id, `{"retries": 0}`).wantProblem(http.StatusNotFound, "not_found", "This spider")
	f.patch(key, schedulesPath+"/"+id, `{"cron_expression": "@daily"}`).want(http.StatusOK)
}

func TestAUserHasOnlySoManySchedules(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.MaxSchedules = 3 })
	alice, bob := f.key("team", "alice"), f.key("team", "bob")
	body := `{"spider_id": "` + f.spider("team", "books") + `", "cron_expression": "@daily"}`
	answers := make([]int, 12)
	var together sync.WaitGroup
	for i := range answers {
		together.Go(func() { answers[i] = f.post(alice, schedulesPath, body).status })
	}
	together.Wait()
	slices.Sort(answers)
	if answers[2] != http.StatusOK || answers[3] != http.StatusTooManyRequests {
		t.Errorf("at once, they are answered %v, want three 200", answers)
	}
	refused := f.post(alice, schedulesPath, body)
	refused.wantProblem(http.StatusTooManyRequests, "too_many_schedules", "3")
	if refused.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	f.newSchedule(bob, body)
	f.delete(alice, schedulesPath+"/"+idsOf(f.get(alice, schedulesPath))[0]).want(http.StatusOK)
	f.newSchedule(alice, body)
}

func TestScheduleWritesMeetOthers(t *testing.T) {
	// setUp makes a schedule of alice's whose next change is preceded by one of somebody else's.
	setUp := func(t *testing.T, change func(*v1alpha1.SpiderSchedule)) (f *testAPI, key, path string) {
		f = newTestAPI(t)
		key = f.key("team", "alice")
		id := f.scheduled("team", "nightly", booksNightly)
		f.schedules.held = true
		left := 1
		f.schedules.meanwhile = func() {
			if left--; left >= 0 {
				changed := f.schedules.schedules["team/nightly"].DeepCopy()
				change(changed)
				f.schedules.record(changed)
			}
		}
		return f, key, schedulesPath + "/" + id
	}
	t.Run("the controller's new status does not matter", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.SpiderSchedule) { s.Status.Missed = 1 })
		known := f.get(key, path).header.Get("ETag")
		f.send(call{method: http.MethodPatch, path: path, key: key, body: `{"name": "x"}`, header: map[string]string{"If-Match": known}}).
			want(http.StatusOK)
	})
	t.Run("another's change of another field stays", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.SpiderSchedule) { s.Spec.Description = "theirs" })
		a := f.patch(key, path, `{"name": "mine"}`).want(http.StatusOK)
		if !strings.Contains(a.body, "theirs") || !strings.Contains(a.body, "mine") {
			t.Errorf("body %s, want both changes", a.body)
		}
	})
	t.Run("another's change fails If-Match", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.SpiderSchedule) { s.Spec.Description = "theirs" })
		known := f.get(key, path).header.Get("ETag")
		f.send(call{method: http.MethodDelete, path: path, key: key, header: map[string]string{"If-Match": known}}).
			wantProblem(http.StatusPreconditionFailed, "precondition_failed", "This schedule")
	})
	t.Run("a schedule that became another's meanwhile is not written", func(t *testing.T) {
		f, key, path := setUp(t, func(s *v1alpha1.SpiderSchedule) { s.Spec.UserID = "bob" })
		f.patch(key, path, `{"name": "mine"}`).wantProblem(http.StatusNotFound, "not_found")
	})
	t.Run("one that changes without end is given up", func(t *testing.T) {
		f, key, path := setUp(t, func(*v1alpha1.SpiderSchedule) {})
		f.schedules.meanwhile = func() { f.schedules.record(f.schedules.schedules["team/nightly"].DeepCopy()) }
		f.patch(key, path, `{"name": "mine"}`).wantProblem(http.StatusConflict, "changing")
	})
}

func TestScheduleWritesWithoutKubernetes(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "alice")
	body := `{"spider_id": "` + f.spider("team", "books") + `", "cron_expression": "@daily"}`
	path := schedulesPath + "/" + f.scheduled("team", "nightly", booksNightly)
	f.schedules.fail = func(string, bool) error { return errors.New("connection refused") }
	for _, a := range []answer{f.post(key, schedulesPath, body), f.patch(key, path, `{"name": "x"}`), f.delete(key, path)} {
		a.wantProblem(http.StatusServiceUnavailable, "unavailable")
	}
	f.get(key, path).want(http.StatusOK)

	lost := false
	f.schedules.fail = func(call string, recorded bool) error {
		if call == "create" && recorded && !lost {
			lost = true
			return errors.New("connection reset")
		}
		return nil
	}
	f.newSchedule(key, body)
	if ids := idsOf(f.get(key, schedulesPath)); len(ids) != 2 {
		t.Errorf("%d schedules, want 2", len(ids))
	}
}

func TestOwnScheduleWritesAreSeenAtOnceAndAudited(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	spider := f.spider("team", "books")
	f.schedules.held = true // The watch shows nothing of what follows.
	id := f.newSchedule(key, `{"spider_id": "`+spider+`", "cron_expression": "@daily"}`).ID
	if ids := idsOf(f.get(key, schedulesPath)); !slices.Equal(ids, []string{id}) {
		t.Errorf("schedules %v, want %s", ids, id)
	}
	f.patch(key, schedulesPath+"/"+id, `{"name": "x"}`).want(http.StatusOK)
	if got := f.readSchedule(key, id); got.Name == nil || *got.Name != "x" {
		t.Errorf("the schedule is %+v", got)
	}
	f.delete(key, schedulesPath+"/"+id).want(http.StatusOK)
	f.get(key, schedulesPath+"/"+id).wantProblem(http.StatusNotFound, "not_found")
	audited := 0
	for line := range strings.Lines(f.log.String()) {
		if strings.Contains(line, `"msg":"audit"`) && strings.Contains(line, `"object":"team/`+id+`"`) {
			audited++
		}
	}
	if audited != 3 {
		t.Errorf("%d writes were audited, want 3", audited)
	}
}

func TestAScheduleIsRunNow(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	f.spider("team", "books", func(s *v1alpha1.Spider) { s.Spec.AllowedSettings, s.Spec.Tags = []string{"A"}, []string{"eu"} })
	id := f.scheduled("team", "nightly", booksNightly, func(s *v1alpha1.SpiderSchedule) {
		s.Spec.Suspend, s.Spec.TimeZone, s.Spec.ScheduledTimeArgument = true, "Europe/Berlin", "date"
		s.Spec.Arguments, s.Spec.Settings = map[string]v1alpha1.ArgumentValue{"a": "b"}, map[string]v1alpha1.SettingValue{"A": "1"}
	})
	run := func(idempotencyKey, body string) answer {
		t.Helper()
		c := call{method: http.MethodPost, path: schedulesPath + "/" + id + "/run", key: key, body: body}
		if idempotencyKey != "" {
			c.header = map[string]string{"Idempotency-Key": idempotencyKey}
		}
		return f.send(c)
	}
	var started contract.StartedJob
	run("", "").want(http.StatusOK).into(&started)
	job := f.cluster.job(t, "team", started.JobID)
	if started.Status != "pending" || job.Labels[v1alpha1.LabelSchedule] != "nightly" || job.Labels[v1alpha1.LabelOrigin] != v1alpha1.OriginAPI ||
		job.Spec.ScheduledFor != nil || job.Spec.UserID != "alice" || job.Spec.Settings["A"] != "1" || job.Spec.Arguments["a"] != "b" ||
		job.Spec.Arguments["date"] != "2025-01-15T13:00:00+01:00" || !slices.Equal(job.Tags(), []string{"eu"}) {
		t.Errorf("the run is %+v", job)
	}
	var again contract.StartedJob
	if run("", "{}").want(http.StatusOK).into(&again); again.JobID == started.JobID {
		t.Error("without a key two runs are one")
	}
	run("mine", "").want(http.StatusOK).into(&started)
	if run("mine", "{}").want(http.StatusOK).into(&again); again.JobID != started.JobID {
		t.Errorf("with a key %s and %s were started", started.JobID, again.JobID)
	}
	other := f.scheduled("team", "other", booksNightly)
	f.send(call{method: http.MethodPost, path: schedulesPath + "/" + other + "/run", key: key, header: map[string]string{"Idempotency-Key": "mine"}}).
		wantProblem(http.StatusConflict, "idempotency_conflict")
	run("a key", "").wantProblem(http.StatusBadRequest, "invalid_request", "Idempotency-Key")
	run("", `{"arguments": {}}`).wantProblem(http.StatusBadRequest, "invalid_request", "arguments")

	f.spiders.update(t, "team", "books", func(s *v1alpha1.Spider) { s.Spec.AllowedSettings = nil })
	run("", "").wantProblem(http.StatusBadRequest, "invalid_request", "settings.A")
	f.schedules.update(t, "team", "nightly", func(s *v1alpha1.SpiderSchedule) { s.Spec.SpiderRef.Name = "gone" })
	run("", "").wantProblem(http.StatusNotFound, "not_found", "This spider")
	f.post(key, schedulesPath+"/12/run", "").wantProblem(http.StatusNotFound, "not_found", "This schedule")
}

func TestRunsAreMadeForAPastRange(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	f.spider("team", "books")
	id := f.scheduled("team", "nightly", booksNightly, func(s *v1alpha1.SpiderSchedule) {
		s.Spec.Cron, s.Spec.TimeZone, s.Spec.ScheduledTimeArgument = "0 2 * * *", "Europe/Berlin", "date"
		s.Spec.Suspend, s.Spec.StartAt = true, at(11, 0)
	})
	backfill := func(body, want string) {
		t.Helper()
		f.post(key, schedulesPath+"/"+id+"/backfill", body).want(http.StatusOK).wantJSON(want)
	}
	// Both ends are included.
	backfill(`{"start": "2025-01-01T01:00:00Z", "end": "2025-01-10T01:00:00Z"}`, `{"created": 10, "existing": 0, "skipped": 0}`)
	backfill(`{"start": "2025-01-01T01:00:00Z", "end": "2025-01-10T01:00:00Z"}`, `{"created": 0, "existing": 10, "skipped": 0}`)
	if jobs := idsOf(f.get(key, "/api/v1/jobs")); len(jobs) != 10 {
		t.Errorf("%d jobs", len(jobs))
	}
	due := time.Date(2025, 1, 10, 1, 0, 0, 0, time.UTC)
	job := f.cluster.job(t, "team", f.schedules.schedule(t, "team", "nightly").RunName(due))
	if !job.Spec.ScheduledFor.Time.Equal(due) || job.Labels[v1alpha1.LabelSchedule] != "nightly" ||
		job.Labels[v1alpha1.LabelOrigin] != v1alpha1.OriginBackfill || job.Spec.UserID != "alice" ||
		job.Spec.Arguments["date"] != "2025-01-10T02:00:00+01:00" {
		t.Errorf("a run is %+v", job)
	}

	// The limit counts all times, so each call has its share of the range.
	backfill(`{"start": "2025-01-09T00:00:00Z", "end": "2025-01-15T12:00:00Z", "limit": 3}`,
		`{"created": 1, "existing": 2, "skipped": 0, "next": "2025-01-12T01:00:00Z"}`)
	backfill(`{"start": "2025-01-12T01:00:00Z", "end": "2025-01-15T12:00:00Z", "limit": 3}`,
		`{"created": 3, "existing": 0, "skipped": 0, "next": "2025-01-15T01:00:00Z"}`)
	backfill(`{"start": "2025-01-15T01:00:00.5Z", "end": "2025-01-15T12:00:00Z"}`, `{"created": 0, "existing": 0, "skipped": 0}`)

	// What another has made meanwhile counts as existing, unless it is none of this schedule's runs.
	f.cluster.held = true
	f.apply("team", f.schedules.schedule(t, "team", "nightly").RunName(time.Date(2024, 12, 1, 1, 0, 0, 0, time.UTC)), func(j *v1alpha1.SpiderJob) {
		j.Spec.UserID, j.Labels = "alice", map[string]string{v1alpha1.LabelSchedule: "nightly"}
	})
	f.apply("team", f.schedules.schedule(t, "team", "nightly").RunName(time.Date(2024, 12, 2, 1, 0, 0, 0, time.UTC)))
	f.cluster.held = false
	backfill(`{"start": "2024-12-01T00:00:00Z", "end": "2024-12-03T12:00:00Z"}`, `{"created": 1, "existing": 1, "skipped": 1}`)
}

func TestBadBackfillsAreRefused(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	f.spider("team", "books")
	path := schedulesPath + "/" + f.scheduled("team", "nightly", booksNightly) + "/backfill"
	for body, field := range map[string]string{
		`{}`: "start", `{"start": "2025-01-15T00:00:00Z"}`: "end", `{"end": "2025-01-15T00:00:00Z"}`: "start",
		`{"start": null, "end": "2025-01-15T00:00:00Z"}`:                                  "start",
		`{"start": "yesterday", "end": "2025-01-15T00:00:00Z"}`:                           "start",
		`{"start": "2025-01-15T00:00:00Z", "end": "2025-01-15T12:00:01Z"}`:                "end",
		`{"start": "2025-01-15T10:00:01Z", "end": "2025-01-15T10:00:00Z"}`:                "start",
		`{"start": "2024-01-14T09:59:59Z", "end": "2025-01-14T10:00:00Z"}`:                "start",
		`{"start": "2025-01-15T00:00:00Z", "end": "2025-01-15T10:00:00Z", "limit": 0}`:    "limit",
		`{"start": "2025-01-15T00:00:00Z", "end": "2025-01-15T10:00:00Z", "limit": 1001}`: "limit",
		`{"start": "2025-01-15T00:00:00Z", "end": "2025-01-15T10:00:00Z", "force": true}`: "force",
	} {
		f.post(key, path, body).wantProblem(http.StatusBadRequest, "invalid_request", field)
	}
	f.post(key, path, `[]`).wantProblem(http.StatusBadRequest, "malformed_body")
	good := `{"start": "2025-01-15T00:00:00Z", "end": "2025-01-15T10:00:00Z", "limit": null}`
	f.post(key, schedulesPath+"/12/backfill", good).wantProblem(http.StatusNotFound, "not_found", "This schedule")
	f.schedules.update(t, "team", "nightly", func(s *v1alpha1.SpiderSchedule) { s.Spec.SpiderRef.Name = "gone" })
	f.post(key, path, good).wantProblem(http.StatusNotFound, "not_found", "This spider")
	f.schedules.update(t, "team", "nightly", func(s *v1alpha1.SpiderSchedule) { s.Spec.Cron = "every day" })
	f.post(key, path, good).wantProblem(http.StatusConflict, "invalid_schedule", "every day")
	if n := f.cluster.count("create"); n != 0 {
		t.Errorf("%d runs were made", n)
	}
}

func TestABackfillStopsAtTheNamespacesLimits(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0), func(c *Config) { c.Caps.UnfinishedJobs = 3 })
	key := f.key("team", "alice")
	f.spider("team", "books")
	path := schedulesPath + "/" + f.scheduled("team", "nightly", booksNightly) + "/backfill"
	body := `{"start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z"}`
	f.post(key, path, body).want(http.StatusOK).
		wantJSON(`{"created": 3, "existing": 0, "skipped": 0, "next": "2025-01-01T18:00:00Z", "stopped_by": "too_many_jobs"}`)
	f.post(key, path, body).want(http.StatusOK).
		wantJSON(`{"created": 0, "existing": 3, "skipped": 0, "next": "2025-01-01T18:00:00Z", "stopped_by": "too_many_jobs"}`)
	for _, id := range idsOf(f.get(key, "/api/v1/jobs")) {
		for name, job := range f.cluster.jobs {
			if job.ID() == id {
				f.cluster.update(t, "team", strings.TrimPrefix(name, "team/"), func(j *v1alpha1.SpiderJob) { j.Status.Phase = v1alpha1.PhaseFinished })
				break
			}
		}
	}
	f.post(key, path, body).want(http.StatusOK).wantJSON(`{"created": 2, "existing": 3, "skipped": 0}`)

	f.cluster.fail = func(call string, _ bool) error {
		if call == "create" {
			return apierrors.NewForbidden(resource, "x", errors.New("exceeded quota: jobs"))
		}
		return nil
	}
	f.post(key, path, `{"start": "2025-01-03T00:00:00Z", "end": "2025-01-04T00:00:00Z"}`).want(http.StatusOK).
		wantJSON(`{"created": 0, "existing": 0, "skipped": 0, "next": "2025-01-03T00:00:00Z", "stopped_by": "quota_exceeded"}`)
	f.cluster.fail = func(string, bool) error { return errors.New("connection refused") }
	f.post(key, path, `{"start": "2025-01-03T00:00:00Z", "end": "2025-01-04T00:00:00Z"}`).
		wantProblem(http.StatusServiceUnavailable, "unavailable")
}

// TestABackfillWhoseAnswersAreLost makes no run twice: an attempt may have been recorded although it failed.
func TestABackfillWhoseAnswersAreLost(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	f.spider("team", "books")
	path := schedulesPath + "/" + f.scheduled("team", "nightly", booksNightly) + "/backfill"
	lost := map[int]bool{}
	f.cluster.fail = func(call string, recorded bool) error {
		if call == "create" && recorded && !lost[len(f.cluster.jobs)] {
			lost[len(f.cluster.jobs)] = true
			return errors.New("connection reset")
		}
		return nil
	}
	f.post(key, path, `{"start": "2025-01-01T00:00:00Z", "end": "2025-01-01T23:00:00Z"}`).want(http.StatusOK).
		wantJSON(`{"created": 4, "existing": 0, "skipped": 0}`)
	if n := len(idsOf(f.get(key, "/api/v1/jobs"))); n != 4 {
		t.Errorf("%d jobs, want 4", n)
	}
}

func TestAnExpressionIsPreviewed(t *testing.T) {
	f := newTestAPI(t, clockAt(12, 0))
	key := f.key("team", "alice")
	preview := schedulesPath + "/preview?"
	f.get(key, preview+"cron_expression=30+2+*+*+MON-FRI&timezone=Europe/Berlin&n=2").want(http.StatusOK).wantJSON(
		`{"cron_expression": "30 2 * * MON-FRI", "timezone": "Europe/Berlin", "sentence": "at 02:30, Monday to Friday, in Europe/Berlin",
		"either_day": false, "next_runs": ["2025-01-16T01:30:00Z", "2025-01-17T01:30:00Z"]}`)
	f.get(key, preview+"cron_expression=0+0+13+*+FRI&from=2026-11-13T00:00:00Z&n=3").want(http.StatusOK).wantJSON(
		`{"cron_expression": "0 0 13 * FRI", "timezone": "UTC", "either_day": true, "sentence":
		"at 00:00, on day 13 of the month or on Friday (a day that matches either of them counts), in UTC",
		"next_runs": ["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"]}`)
	var shown contract.SchedulePreview
	if f.get(key, preview+"cron_expression=@hourly").want(http.StatusOK).into(&shown); len(shown.NextRuns) != 5 {
		t.Errorf("by default the times are %v", shown.NextRuns)
	}
	for query, field := range map[string]string{
		"": "cron_expression", "cron_expression=": "cron_expression", "cron_expression=* * * *": "cron_expression",
		"cron_expression=@daily&timezone=Mars": "timezone", "cron_expression=@daily&timezone=": "timezone",
		"cron_expression=@daily&n=0": "n", "cron_expression=@daily&n=101": "n", "cron_expression=@daily&n=x": "n",
		"cron_expression=@daily&from=now": "from", "cron_expression=@daily&to=x": "to",
		"cron_expression=@daily&cron_expression=@hourly": "cron_expression",
	} {
		f.get(key, preview+strings.ReplaceAll(query, " ", "+")).wantProblem(http.StatusBadRequest, "invalid_request", field)
	}
}
