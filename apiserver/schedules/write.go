package schedules

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Create makes a schedule of the caller.
func (s *Schedules) Create(ctx context.Context, caller auth.Identity, change *Change) (*Schedule, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making a schedule id: %w", err)
	}
	wanted := &v1alpha1.SpiderSchedule{
		ObjectMeta: metav1.ObjectMeta{Namespace: caller.Namespace, Name: id.String()},
		Spec:       v1alpha1.SpiderScheduleSpec{UserID: caller.UserID, TimeZone: defaultZone},
	}
	switch {
	case change.SpiderID == nil:
		return nil, failure.Invalid("spider_id", "is needed")
	case change.Cron == nil:
		return nil, failure.Invalid("cron_expression", "is needed")
	}
	if wanted, err = s.apply(ctx, caller, wanted, change); err != nil {
		return nil, err
	}
	wanted.Spec.Suspend = change.Enabled != nil && !*change.Enabled
	release, err := s.room(caller)
	if err != nil {
		return nil, err
	}
	defer release()
	exchange.Of(ctx).Object = caller.Namespace + "/" + id.String()
	ctx, cancel := kube.Detached(ctx)
	defer cancel()
	object, err := kube.Record(ctx, "schedule", func(ctx context.Context) (*v1alpha1.SpiderSchedule, error) {
		return s.kubernetes.Create(ctx, wanted)
	})
	if taken, ok := errors.AsType[*kube.NameTakenError](err); ok {
		if !taken.MaybeOurs {
			return nil, failure.Internal(fmt.Errorf("the new id %s is taken", id))
		}
		object, err = s.kubernetes.Get(ctx, caller.Namespace, id.String())
		if err != nil {
			return nil, failure.Unavailable(err, "Kubernetes cannot be reached, so the schedule could not be recorded.")
		}
	}
	if err != nil {
		return nil, err
	}
	written, err := s.view.Written(object)
	if err != nil {
		return nil, err
	}
	return s.of(written), nil
}

// claims are the schedules that are about to be made, by owner.
type claims struct {
	mu     sync.Mutex
	owners map[owner]int
}

type owner struct{ namespace, userID string }

// retryFull is after how long to try again if a user has as many schedules as it may: when somebody has deleted one.
const retryFull = time.Minute

// room reserves room for one more schedule of the caller, until release is called.
func (s *Schedules) room(caller auth.Identity) (release func(), err error) {
	of := owner{caller.Namespace, caller.UserID}
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	if has := s.view.Count(of.namespace, of.userID) + s.claims.owners[of]; s.most > 0 && has >= s.most {
		return nil, failure.TooMany("too_many_schedules",
			fmt.Sprintf("This user has %d schedules, which is its limit. Delete one first.", s.most), retryFull)
	}
	s.claims.owners[of]++
	return func() {
		s.claims.mu.Lock()
		defer s.claims.mu.Unlock()
		if s.claims.owners[of]--; s.claims.owners[of] == 0 {
			delete(s.claims.owners, of)
		}
	}, nil
}

// writeAttempts bounds how often a write that meets a newer state of its object is retried with that state.
const writeAttempts = 8

// Condition reports whether a schedule still has the state that its caller expects. Nil holds for every schedule.
type Condition func(*view.Schedule) bool

// Change changes a schedule of the caller if the condition holds.
func (s *Schedules) Change(
	ctx context.Context, caller auth.Identity, id string, change *Change, condition Condition,
) (*Schedule, error) {
	var changed *view.Schedule
	err := s.write(ctx, caller, id, condition, func(ctx context.Context, schedule *view.Schedule) error {
		wanted, err := s.apply(ctx, caller, schedule.Object, change)
		if err != nil {
			return err
		}
		if change.Enabled != nil {
			s.enable(schedule, &wanted.Spec, *change.Enabled)
		}
		spec, err := patch(&schedule.Object.Spec, &wanted.Spec)
		if err != nil {
			return err
		}
		if len(spec) == 0 {
			changed = schedule
			return nil
		}
		object, err := s.kubernetes.Patch(ctx, schedule.Namespace, schedule.Object.Name, schedule.ResourceVersion, spec)
		if err != nil {
			return err
		}
		changed, err = s.view.Written(object)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.of(changed), nil
}

// Delete deletes a schedule of the caller if the condition holds. Its runs stay.
func (s *Schedules) Delete(ctx context.Context, caller auth.Identity, id string, condition Condition) error {
	return s.write(ctx, caller, id, condition, func(ctx context.Context, schedule *view.Schedule) error {
		if err := s.kubernetes.Delete(ctx, schedule.Namespace, schedule.Object.Name, schedule.ResourceVersion); err != nil {
			return err
		}
		s.view.Remove(schedule.Namespace, schedule.Object.Name, schedule.ResourceVersion)
		return nil
	})
}

// write calls write with a schedule of the caller for which the condition holds, and again with its newest state if write meets a
// newer one. The controller writes a new one with each run.
func (s *Schedules) write(
	ctx context.Context, caller auth.Identity, id string, condition Condition, write func(context.Context, *view.Schedule) error,
) error {
	about := exchange.Of(ctx)
	ctx, cancel := kube.Detached(ctx)
	defer cancel()
	schedule, err := s.find(ctx, caller, id)
	if err != nil {
		return err
	}
	about.Object = schedule.Namespace + "/" + schedule.Object.Name
	var conflicting error
	live := false // whether the schedule was read from Kubernetes, not only from the view
	for range writeAttempts {
		if schedule.UserID() != caller.UserID { // Deleted, and recreated under its name by another user.
			return failure.NotFound("This schedule")
		}
		switch holds := condition == nil || condition(schedule); {
		case holds:
			err := write(ctx, schedule)
			if !apierrors.IsConflict(err) {
				return kube.WriteError(err, "schedule")
			}
			conflicting = err
		case live:
			return failure.PreconditionFailed("This schedule")
		}
		live = true
		object, err := s.kubernetes.Get(ctx, schedule.Namespace, schedule.Object.Name)
		if err != nil {
			return kube.WriteError(err, "schedule")
		}
		if schedule, err = s.view.Written(object); err != nil {
			return err
		}
	}
	p := failure.Conflict("changing", "The schedule kept being changed by others. Try again.")
	p.Cause = conflicting
	return p
}
