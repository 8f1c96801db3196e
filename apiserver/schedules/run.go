package schedules

import (
	"context"
	"fmt"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/cron"
	"github.com/scrapethis/spider-operator/internal/scheduled"
)

// Plan returns a run of the caller's schedule that is to start now, by request. It is due at no time, and has no name yet.
func (s *Schedules) Plan(ctx context.Context, caller auth.Identity, id string) (*v1alpha1.SpiderJob, error) {
	schedule, err := s.find(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	spider, err := s.spiders.Find(ctx, caller, schedule.SpiderID.String())
	if err != nil {
		return nil, err
	}
	job := scheduled.Unscheduled(schedule.Object, spider.Tags, schedule.Zone(), s.now(), v1alpha1.OriginAPI)
	return job, s.jobs.Check(spider, job)
}

// Range is a range of times for which runs are wanted.
type Range struct {
	// Start and End are included.
	Start, End time.Time
	// Limit is the largest number of times to deal with, at least 1.
	Limit int
}

// maxBackfill is the longest range of a backfill.
const maxBackfill = 366 * 24 * time.Hour

func (r Range) check(now time.Time) error {
	switch {
	case r.End.After(now):
		return failure.Invalid("end", "must not be in the future")
	case r.Start.After(r.End):
		return failure.Invalid("start", "must not be after end")
	case r.End.Sub(r.Start) > maxBackfill:
		return failure.Invalid("start", "must be at most %d days before end", maxBackfill/(24*time.Hour))
	}
	return nil
}

// Backfilled says what has become of the times of a range.
type Backfilled struct {
	// Created are those for which a run was made, Existing those that had theirs already, and Skipped those for which none can be
	// made, since another job has the run's name.
	Created, Existing, Skipped int
	// Next is the first time that was not dealt with; zero if there is none.
	Next time.Time
	// StoppedBy is the code of the failure that stopped it before the limit; empty for none.
	StoppedBy string
}

func (b *Backfilled) dealtWith() int { return b.Created + b.Existing + b.Skipped }

// BackfillTime is how long a backfill begins to make runs.
const BackfillTime = 20 * time.Second

// Backfill makes the runs of the caller's schedule for the times of a range. The names of runs hold their times, so a repeated
// call makes none twice.
func (s *Schedules) Backfill(ctx context.Context, caller auth.Identity, id string, wanted Range) (*Backfilled, error) {
	if err := wanted.check(s.now()); err != nil {
		return nil, err
	}
	schedule, err := s.find(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	exchange.Of(ctx).Object = schedule.Namespace + "/" + schedule.Object.Name
	if schedule.Times == nil {
		return nil, failure.Conflict("invalid_schedule", fmt.Sprintf(
			"The schedule has no times: its expression %q, or its time zone %q, cannot be read.",
			schedule.Object.Spec.Cron, schedule.Object.Spec.TimeZone))
	}
	spider, err := s.spiders.Find(ctx, caller, schedule.SpiderID.String())
	if err != nil {
		return nil, err
	}
	run := func(at time.Time) *v1alpha1.SpiderJob {
		return scheduled.Run(schedule.Object, spider.Tags, schedule.Zone(), at, v1alpha1.OriginBackfill)
	}
	if err := s.jobs.Check(spider, run(wanted.End)); err != nil {
		return nil, err
	}
	until := time.Now().Add(BackfillTime)
	done := &Backfilled{}
	for at := range schedule.Times.Between(wholeSecond(wanted.Start).Add(-time.Second), wanted.End) {
		if done.dealtWith() == wanted.Limit || time.Now().After(until) || ctx.Err() != nil {
			done.Next = at
			return done, nil
		}
		if err := s.backfill(ctx, schedule, run(at), done); err != nil {
			if full := failure.Of(err); full.Kind == failure.KindTooMany || full.Code == "quota_exceeded" {
				done.Next, done.StoppedBy = at, full.Code
				return done, nil
			}
			return nil, err
		}
	}
	return done, nil
}

// backfill makes one run, and counts it.
func (s *Schedules) backfill(ctx context.Context, schedule *view.Schedule, job *v1alpha1.SpiderJob, done *Backfilled) error {
	made, existed, err := s.jobs.Make(ctx, job)
	switch {
	case err != nil:
		return err
	case made.Scheduled == nil || made.Scheduled.ScheduleID != schedule.ID || made.UserID != schedule.UserID():
		done.Skipped++
	case existed:
		done.Existing++
	default:
		done.Created++
	}
	return nil
}

// wholeSecond rounds a time up: a schedule is due at whole seconds.
func wholeSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}

// Preview says when a schedule would be due.
type Preview struct {
	// Sentence says it in plain English.
	Sentence string
	// EitherDay says that both day fields are restricted, so that a day that matches either of them counts.
	EitherDay bool
	// Times are the next ones.
	Times []time.Time
}

// Preview returns the next n times of an expression in a zone, from a given time on; nil stands for after now.
func (s *Schedules) Preview(expression, zone string, from *time.Time, n int) (*Preview, error) {
	if _, err := cron.Parse("@daily", zone); err != nil {
		return nil, invalid("timezone", err)
	}
	times, err := cron.Parse(expression, zone)
	if err != nil {
		return nil, invalid("cron_expression", err)
	}
	after := s.now()
	if from != nil {
		after = wholeSecond(*from).Add(-time.Second)
	}
	preview := &Preview{Sentence: times.Sentence(), EitherDay: times.EitherDay()}
	for at := times.Next(after); len(preview.Times) < n && !at.IsZero(); at = times.Next(at) {
		preview.Times = append(preview.Times, at)
	}
	return preview, nil
}
