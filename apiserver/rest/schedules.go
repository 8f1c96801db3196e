package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/schedules"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

func (h *handlers) listSchedules(r *request) error {
	query, err := parseScheduleList(r.query)
	if err != nil {
		return err
	}
	found, more := h.schedules.List(r.caller(), query)
	if fitting := fittingSchedules(found); fitting < len(found) {
		found, more = found[:fitting], true
	}
	if more {
		r.c.Header("Link", nextPage("schedules", r.query, found[len(found)-1].Position()))
	}
	shown := make([]contract.Schedule, 0, len(found)) // Not nil: an empty list is [].
	for _, schedule := range found {
		shown = append(shown, presentSchedule(schedule))
	}
	h.tellAge(r)
	return r.show(shown)
}

// maxSchedulePage bounds the arguments and settings of one page of schedules, in bytes, as maxSpiderPage does for spiders.
const maxSchedulePage = 1 << 20

// fittingSchedules returns how many of the schedules, from the first on, fit on one page: at least one, if there is one.
func fittingSchedules(found []*schedules.Schedule) int {
	size := 0
	for i, schedule := range found {
		spec := &schedule.Object.Spec
		size += len(spec.Description) + allowed.ArgumentsBytes(spec.Arguments)
		for name, value := range spec.Settings {
			size += len(name) + len(value)
		}
		if size > maxSchedulePage && i > 0 {
			return i
		}
	}
	return len(found)
}

func (h *handlers) getSchedule(r *request) error {
	schedule, err := h.schedules.Find(r.context(), r.caller(), r.id())
	if err != nil {
		return err
	}
	h.tellAge(r)
	shown := presentSchedule(schedule)
	tag, err := h.etags.schedule(schedule, shown)
	if err != nil {
		return err
	}
	if r.isKnown(tag) {
		r.unchanged()
		return nil
	}
	return r.show(shown)
}

func (h *handlers) createSchedule(r *request) error {
	change, err := parseSchedule(r.body)
	if err != nil {
		return err
	}
	schedule, err := h.schedules.Create(r.context(), r.caller(), change)
	if err != nil {
		return err
	}
	r.c.Header("Location", "schedules/"+schedule.ID.String()) // Relative, like a Link.
	return h.showWritten(r, schedule)
}

func (h *handlers) changeSchedule(r *request) error {
	change, err := parseSchedule(r.body)
	if err != nil {
		return err
	}
	schedule, err := h.schedules.Change(r.context(), r.caller(), r.id(), change, r.scheduleCondition())
	if err != nil {
		return err
	}
	return h.showWritten(r, schedule)
}

func (h *handlers) deleteSchedule(r *request) error {
	if err := h.schedules.Delete(r.context(), r.caller(), r.id(), r.scheduleCondition()); err != nil {
		return err
	}
	return r.show(contract.DeletedSchedule{Ok: true, Message: "Schedule deleted"})
}

func (h *handlers) runSchedule(r *request) error {
	err := eachMember(r.body, "", func(name string, _ json.RawMessage) error {
		return failure.Invalid(failure.Name(name), "there is no such field: a run is as the schedule says")
	})
	if err != nil {
		return err
	}
	// No body of a start is like this text, so a key cannot be used for both.
	once, err := r.once([]byte("run of " + strings.ToLower(r.id())))
	if err != nil {
		return err
	}
	caller := r.caller()
	job, err := h.jobs.StartPlanned(r.context(), caller, once, func(ctx context.Context) (*v1alpha1.SpiderJob, error) {
		return h.schedules.Plan(ctx, caller, r.id())
	})
	if err != nil {
		return err
	}
	return h.showStarted(r, job)
}

func (h *handlers) backfillSchedule(r *request) error {
	wanted, err := parseBackfill(r.body)
	if err != nil {
		return err
	}
	h.guard.ExtendWrite(r.c, schedules.BackfillTime)
	done, err := h.schedules.Backfill(r.context(), r.caller(), r.id(), wanted)
	if err != nil {
		return err
	}
	shown := contract.Backfill{
		Created: done.Created, Existing: done.Existing, Skipped: done.Skipped, StoppedBy: optional(&done.StoppedBy),
	}
	if !done.Next.IsZero() {
		shown.Next = new(done.Next.UTC())
	}
	return r.show(shown)
}

func (h *handlers) previewSchedule(r *request) error {
	asked, err := parsePreview(r.query)
	if err != nil {
		return err
	}
	preview, err := h.schedules.Preview(asked.expression, asked.zone, asked.from, asked.times)
	if err != nil {
		return err
	}
	shown := contract.SchedulePreview{
		CronExpression: asked.expression, Timezone: asked.zone, Sentence: preview.Sentence, EitherDay: preview.EitherDay,
		NextRuns: make([]time.Time, 0, len(preview.Times)),
	}
	for _, at := range preview.Times {
		shown.NextRuns = append(shown.NextRuns, at.UTC())
	}
	return r.show(shown)
}

// showWritten answers a write with the schedule as it is now.
func (h *handlers) showWritten(r *request, schedule *schedules.Schedule) error {
	shown := presentSchedule(schedule)
	tag, err := h.etags.schedule(schedule, shown)
	if err != nil {
		return err
	}
	r.c.Header("ETag", tag)
	return r.show(shown)
}

// schedule identifies a schedule as it is shown. Much of it changes without a change of the SpiderSchedule: the next times, the
// status of its last run, the name of its spider.
func (t etags) schedule(schedule *schedules.Schedule, shown contract.Schedule) (string, error) {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(shown); err != nil {
		return "", fmt.Errorf("encoding a schedule: %w", err)
	}
	return tag(scheduleState(schedule.Schedule), t.sum(text.String())), nil
}

// presentSchedule returns a schedule as the contract shows it.
func presentSchedule(schedule *schedules.Schedule) contract.Schedule {
	object := schedule.Object
	spec := &object.Spec
	shown := contract.Schedule{
		ID:                    schedule.ID.String(),
		SpiderID:              schedule.SpiderID.String(),
		CronExpression:        spec.Cron,
		Timezone:              cmp.Or(spec.TimeZone, "UTC"),
		Enabled:               schedule.Enabled(),
		UserID:                object.User(),
		CreatedAt:             time.Unix(schedule.Created, 0).UTC(),
		Spider:                contract.ScheduleSpider{ID: schedule.SpiderID.String(), Name: schedule.SpiderName},
		Name:                  optional(&spec.DisplayName),
		Description:           optional(&spec.Description),
		Overlap:               strings.ToLower(string(spec.OnOverlap())),
		JitterSeconds:         spec.JitterSeconds,
		CatchUp:               presentCatchUp(spec),
		StartAt:               inUTC(spec.StartAt),
		EndAt:                 inUTC(spec.EndAt),
		ScheduledTimeArgument: optional(&spec.ScheduledTimeArgument),
		PauseAfterFailures:    spec.PauseAfterFailures,
		TimeoutSeconds:        spec.TimeoutSeconds,
		StartDeadlineSeconds:  spec.StartDeadlineSeconds,
		Retries:               spec.Retries,
		Priority:              spec.Priority,
		Arguments:             texts(spec.Arguments),
		Settings:              texts(spec.Settings),
		NextRuns:              make([]time.Time, 0, len(schedule.Next)), // Not nil: no times are [].
		Missed:                object.Status.Missed,
	}
	for _, at := range schedule.Next {
		shown.NextRuns = append(shown.NextRuns, at.UTC())
	}
	if len(spec.Tags) > 0 {
		shown.Tags = new(slices.Sorted(slices.Values(spec.Tags)))
	}
	if paused := schedule.Paused(); paused != nil {
		shown.PausedReason = optional(&paused.Message)
	}
	if last := schedule.Last; last != nil {
		shown.LastJob = &contract.ScheduleLastJob{ID: last.JobID, ScheduledAt: last.At.UTC()}
		if last.Status != nil {
			shown.LastJob.Status = new(contract.JobStatus(last.Status.String()))
		}
	}
	return shown
}

func presentCatchUp(spec *v1alpha1.SpiderScheduleSpec) contract.ScheduleCatchUp {
	policy, window := spec.OnReturn()
	return contract.ScheduleCatchUp{Policy: strings.ToLower(string(policy)), WindowSeconds: int64(window / time.Second)}
}

// texts returns an object of strings; nil, which the contract leaves out, if there are none.
func texts[V ~string](values map[string]V) map[string]string {
	shown := make(map[string]string, len(values))
	for name, value := range values {
		shown[name] = string(value)
	}
	return shown
}

func inUTC(t *metav1.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}
