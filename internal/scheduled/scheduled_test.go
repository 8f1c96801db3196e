package scheduled

import (
	"maps"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

var berlin = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return zone
}()

func schedule() *v1alpha1.SpiderSchedule {
	return &v1alpha1.SpiderSchedule{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nightly", Labels: map[string]string{"team": "books"}},
		Spec: v1alpha1.SpiderScheduleSpec{
			SpiderRef: v1alpha1.SpiderReference{Name: "books"}, Cron: "30 2 * * *", TimeZone: "Europe/Berlin",
			UserID: "alice", Tags: []string{"nightly", "eu"}, Arguments: map[string]v1alpha1.ArgumentValue{"category": "new", "date": "unset"},
			Settings:       map[string]v1alpha1.SettingValue{"LOG_LEVEL": "DEBUG"},
			TimeoutSeconds: new(int64(60)), StartDeadlineSeconds: new(int64(61)), Retries: new(int32(2)), Priority: 3,
			TTLSecondsAfterFinished: new(int64(62)), ScheduledTimeArgument: "date",
		},
	}
}

// TestRun has everything that a run takes from its schedule.
func TestRun(t *testing.T) {
	s, at := schedule(), time.Date(2026, 11, 27, 1, 30, 0, 0, time.UTC)
	got := Run(s, []string{"shop", "eu"}, berlin, at, v1alpha1.OriginSchedule)
	want := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: s.RunName(at),
			Labels: map[string]string{
				v1alpha1.LabelSchedule: "nightly", v1alpha1.LabelOrigin: "schedule",
				"tag.scrapethis.app/nightly": "", "tag.scrapethis.app/eu": "", "tag.scrapethis.app/shop": "",
			},
		},
		Spec: v1alpha1.SpiderJobSpec{
			SpiderRef: v1alpha1.SpiderReference{Name: "books"}, UserID: "alice", ScheduledFor: &metav1.Time{Time: at},
			Arguments:      map[string]v1alpha1.ArgumentValue{"category": "new", "date": "2026-11-27T02:30:00+01:00"},
			Settings:       map[string]v1alpha1.SettingValue{"LOG_LEVEL": "DEBUG"},
			TimeoutSeconds: new(int64(60)), StartDeadlineSeconds: new(int64(61)), Retries: new(int32(2)), Priority: 3,
			TTLSecondsAfterFinished: new(int64(62)),
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the run is\n%+v, want\n%+v", got, want)
	}
}

// TestRunSharesNothing asserts that a change of a run does not change its schedule, which may be in a cache.
func TestRunSharesNothing(t *testing.T) {
	s := schedule()
	job := Run(s, nil, berlin, time.Unix(1793000000, 0), v1alpha1.OriginSchedule)
	maps.Copy(job.Spec.Arguments, map[string]v1alpha1.ArgumentValue{"category": "old", "more": "x"})
	job.Spec.Settings["LOG_LEVEL"] = "INFO"
	*job.Spec.TimeoutSeconds, *job.Spec.StartDeadlineSeconds, *job.Spec.Retries, *job.Spec.TTLSecondsAfterFinished = 1, 1, 1, 1
	if !reflect.DeepEqual(s, schedule()) {
		t.Errorf("the schedule has become %+v", s)
	}
}

// TestUnscheduled is a run that was requested now: it has no nominal time, and its caller names it.
func TestUnscheduled(t *testing.T) {
	s := schedule()
	s.Spec.Arguments = nil
	job := Unscheduled(s, nil, berlin, time.Date(2026, 7, 1, 10, 0, 5, 0, time.UTC), v1alpha1.OriginAPI)
	if job.Name != "" || job.Spec.ScheduledFor != nil || job.Labels[v1alpha1.LabelOrigin] != "api" {
		t.Errorf("the run is %+v", job)
	}
	if got := job.Spec.Arguments["date"]; got != "2026-07-01T12:00:05+02:00" {
		t.Errorf("the argument is %q", got)
	}
	s.Spec.ScheduledTimeArgument = ""
	if job := Unscheduled(s, nil, berlin, time.Now(), v1alpha1.OriginAPI); job.Spec.Arguments != nil {
		t.Errorf("the arguments are %v", job.Spec.Arguments)
	}
}
