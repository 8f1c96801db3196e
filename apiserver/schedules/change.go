package schedules

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/cron"
	"github.com/scrapethis/spider-operator/internal/scheduled"
)

// Change is a change of a schedule.
type Change struct {
	// SpiderID is the id of the spider to run; nil for the present one.
	SpiderID *string
	// Cron is the expression; nil for the present one.
	Cron *string
	// Enabled is nil if the schedule is to stay switched on or off.
	Enabled *bool
	// Fields are changes of other fields. Each has checked its own value.
	Fields []func(*v1alpha1.SpiderScheduleSpec)
}

// defaultZone is the time zone of a schedule that names none.
const defaultZone = "UTC"

// apply returns a schedule as it is after a change, if that is allowed.
func (s *Schedules) apply(
	ctx context.Context, caller auth.Identity, current *v1alpha1.SpiderSchedule, change *Change,
) (*v1alpha1.SpiderSchedule, error) {
	changed := current.DeepCopy()
	if change.Cron != nil {
		changed.Spec.Cron = *change.Cron
	}
	for _, set := range change.Fields {
		set(&changed.Spec)
	}
	if err := s.jobs.CheckPriority(current.Namespace, current.Spec.Priority, changed.Spec.Priority); err != nil {
		return nil, err
	}
	var spider *view.Spider
	if change.SpiderID != nil {
		var err error
		if spider, err = s.spiders.Find(ctx, caller, *change.SpiderID); err != nil {
			return nil, err
		}
		changed.Spec.SpiderRef.Name = spider.ResourceName
	}
	if err := checkTimes(&current.Spec, &changed.Spec); err != nil {
		return nil, err
	}
	if err := s.checkRun(ctx, caller, spider, current, changed); err != nil {
		return nil, err
	}
	return changed, nil
}

// checkTimes checks what a change does to the times of a schedule, and fields that depend on each other. What was there before is
// not checked: kubectl may have made it, and any field can be changed then.
func checkTimes(before, after *v1alpha1.SpiderScheduleSpec) error {
	if after.TimeZone != before.TimeZone {
		if _, err := cron.Parse("@daily", after.TimeZone); err != nil {
			return invalid("timezone", err)
		}
	}
	if after.Cron != before.Cron || after.Cron == "" {
		if _, err := cron.Parse(after.Cron, defaultZone); err != nil {
			return invalid("cron_expression", err)
		}
	}
	if policy, _ := after.OnReturn(); policy == v1alpha1.CatchUpAll && after.OnOverlap() != v1alpha1.OverlapAllow {
		return failure.Invalid("catch_up", "the policy all needs the overlap allow")
	}
	if after.StartAt != nil && after.EndAt != nil && !after.StartAt.Before(after.EndAt) {
		return failure.Invalid("end_at", "must be after start_at")
	}
	return nil
}

// invalid refuses a field in the words of another package, which are for callers.
func invalid(field string, err error) error { return failure.Invalid(field, "%s", err) }

// checkRun checks whether the spider allows the runs of a changed schedule, if these have changed. The spider is nil if it is not
// looked up yet.
func (s *Schedules) checkRun(
	ctx context.Context, caller auth.Identity, spider *view.Spider, current, changed *v1alpha1.SpiderSchedule,
) error {
	if sameRun(&current.Spec, &changed.Spec) {
		return nil
	}
	if spider == nil {
		var err error
		if spider, err = s.spiders.Find(ctx, caller, changed.SpiderID()); err != nil {
			return err
		}
	}
	return s.jobs.Check(spider, scheduled.Unscheduled(changed, spider.Tags, withOffset, s.now(), v1alpha1.OriginAPI))
}

// withOffset is a zone in which times take as many bytes as in any.
var withOffset = time.FixedZone("", 3600)

// sameRun reports whether two schedules ask the same of their spider.
func sameRun(a, b *v1alpha1.SpiderScheduleSpec) bool {
	return a.SpiderRef == b.SpiderRef && maps.Equal(a.Arguments, b.Arguments) && maps.Equal(a.Settings, b.Settings) &&
		ptr.Equal(a.TimeoutSeconds, b.TimeoutSeconds) && ptr.Equal(a.StartDeadlineSeconds, b.StartDeadlineSeconds) &&
		ptr.Equal(a.Retries, b.Retries) && a.ScheduledTimeArgument == b.ScheduledTimeArgument
}

// enable switches a schedule on or off. Switching on what is on already changes nothing: it would count as a resumption, before
// which nothing is made up for.
func (s *Schedules) enable(schedule *view.Schedule, spec *v1alpha1.SpiderScheduleSpec, enabled bool) {
	spec.Suspend = !enabled
	if !enabled || schedule.Enabled() {
		return
	}
	resumed := metav1.NewTime(s.now().UTC().Truncate(time.Second))
	if paused := schedule.Paused(); paused != nil && resumed.Before(&paused.LastTransitionTime) {
		resumed = paused.LastTransitionTime // The controller's clock is ahead.
	}
	spec.ResumedAt = &resumed
}

// patch returns the JSON merge patch that turns one spec into another; empty if they are the same. It has nothing of fields that
// only a newer version knows.
func patch(before, after *v1alpha1.SpiderScheduleSpec) (map[string]any, error) {
	texts := [2][]byte{}
	for i, spec := range []*v1alpha1.SpiderScheduleSpec{before, after} {
		var err error
		if texts[i], err = json.Marshal(spec); err != nil {
			return nil, fmt.Errorf("encoding a schedule: %w", err)
		}
	}
	difference, err := jsonpatch.CreateMergePatch(texts[0], texts[1])
	if err != nil {
		return nil, fmt.Errorf("comparing two states of a schedule: %w", err)
	}
	var changes map[string]any
	if err := json.Unmarshal(difference, &changes); err != nil {
		return nil, fmt.Errorf("reading a merge patch: %w", err)
	}
	return changes, nil
}
