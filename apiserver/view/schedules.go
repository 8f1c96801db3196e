package view

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/tidwall/btree"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/cron"
)

// Schedule is what the REST API needs to know of a SpiderSchedule. It never changes: a newer state of the SpiderSchedule is
// another one.
type Schedule struct {
	ID uuid.UUID
	// SpiderID is the id of the Spider that the schedule refers to, whether or not it exists.
	SpiderID        uuid.UUID
	Namespace       string
	ResourceVersion string
	Created         int64 // In seconds since 1970.
	// Object has the name, the specification and the status. It must not be changed.
	Object *v1alpha1.SpiderSchedule
	// Times says when it is due; nil if its expression or its zone cannot be read.
	Times *cron.Schedule

	kept   note
	bornAt uint64
}

func (s *Schedule) ref() ref        { return ref{s.Namespace, s.Object.Name} }
func (s *Schedule) version() string { return s.ResourceVersion }
func (s *Schedule) note() *note     { return &s.kept }
func (s *Schedule) born() *uint64   { return &s.bornAt }

// UserID is the spec.userID, by which visibility is decided; empty for the namespace itself.
func (s *Schedule) UserID() string { return s.Object.Spec.UserID }

// Position returns the schedule's place in the order of lists.
func (s *Schedule) Position() Position { return Position{Created: s.Created, ID: s.ID} }

// Enabled reports whether the schedule starts runs: it is neither suspended nor paused.
func (s *Schedule) Enabled() bool { return !s.Object.Spec.Suspend && s.Paused() == nil }

// Paused returns the condition that says why the schedule is paused, or nil. A pause is over once the schedule was resumed,
// even if the controller has not seen that yet.
func (s *Schedule) Paused() *metav1.Condition {
	paused := apimeta.FindStatusCondition(s.Object.Status.Conditions, v1alpha1.ConditionPaused)
	if paused == nil || paused.Status != metav1.ConditionTrue {
		return nil
	}
	if resumed := s.Object.Spec.ResumedAt; resumed != nil && !resumed.Before(&paused.LastTransitionTime) {
		return nil
	}
	return paused
}

// Zone returns the schedule's time zone; UTC if it cannot be read.
func (s *Schedule) Zone() *time.Location {
	if s.Times == nil {
		return time.UTC
	}
	return s.Times.Zone()
}

// Next returns the next times, at most n, at which the schedule is due; none while it is not enabled.
func (s *Schedule) Next(now time.Time, n int) (times []time.Time) {
	if !s.Enabled() || s.Times == nil {
		return nil
	}
	from, spec := now, &s.Object.Spec
	if start := spec.StartAt; start != nil && start.After(now) {
		from = start.Add(-time.Second) // It is the earliest time itself.
	}
	for at := s.Times.Next(from); len(times) < n && !at.IsZero(); at = s.Times.Next(at) {
		if spec.EndAt != nil && at.After(spec.EndAt.Time) {
			break
		}
		times = append(times, at)
	}
	return times
}

// FromSpiderSchedule returns what the view keeps of a SpiderSchedule.
func FromSpiderSchedule(schedule *v1alpha1.SpiderSchedule) (*Schedule, error) {
	id, err := uuid.Parse(schedule.ID())
	if err != nil {
		return nil, fmt.Errorf("parsing the id of SpiderSchedule %s/%s: %w", schedule.Namespace, schedule.Name, err)
	}
	spiderID, err := uuid.Parse(schedule.SpiderID())
	if err != nil {
		return nil, fmt.Errorf("parsing the id of the Spider of SpiderSchedule %s/%s: %w", schedule.Namespace, schedule.Name, err)
	}
	s := &Schedule{
		ID:              id,
		SpiderID:        spiderID,
		Namespace:       intern(schedule.Namespace),
		ResourceVersion: schedule.ResourceVersion,
		Created:         seconds(&schedule.CreationTimestamp),
		Object: &v1alpha1.SpiderSchedule{
			ObjectMeta: metav1.ObjectMeta{Namespace: schedule.Namespace, Name: schedule.Name, Generation: schedule.Generation},
			Spec:       schedule.Spec,
			Status:     schedule.Status,
		},
	}
	if times, err := cron.Parse(schedule.Spec.Cron, schedule.Spec.TimeZone); err == nil {
		s.Times = times // Otherwise the controller says in its status what is wrong.
	}
	return s, nil
}

// Schedules is the view of all SpiderSchedules of the watched namespaces. It is safe for concurrent use.
type Schedules struct {
	Store[*Schedule]

	sets map[string]*scheduleSet // by namespace; guarded by the Store's lock
}

// scheduleSet holds the schedules of one namespace.
type scheduleSet struct {
	ids ids[*Schedule]
	// byUserID holds the schedules of each user, newest first.
	byUserID map[string]*btree.BTreeG[*Schedule]
}

// NewSchedules returns an empty view.
func NewSchedules() *Schedules {
	v := &Schedules{sets: map[string]*scheduleSet{}}
	v.init(v)
	return v
}

// ByID returns the user's schedule with this id, or nil.
func (v *Schedules) ByID(namespace, userID string, id uuid.UUID) *Schedule {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.sets[namespace]
	if set == nil {
		return nil
	}
	if schedule := set.ids.get(id, v.objects[namespace]); schedule != nil && schedule.UserID() == userID {
		return schedule
	}
	return nil
}

// Count returns how many schedules a user has.
func (v *Schedules) Count(namespace, userID string) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if set := v.sets[namespace]; set != nil && set.byUserID[userID] != nil {
		return set.byUserID[userID].Len()
	}
	return 0
}

// ScheduleQuery selects schedules among those of a user.
type ScheduleQuery struct {
	Namespace, UserID string
	// SpiderID is the id of a Spider; nil for any.
	SpiderID *uuid.UUID
	// Enabled is nil for any.
	Enabled *bool
	// After is the position after which the page begins. Nil begins with the newest schedule.
	After *Position
	// Limit is the largest number of schedules to return, at least 1.
	Limit int
}

func (q *ScheduleQuery) matches(s *Schedule) bool {
	return (q.SpiderID == nil || s.SpiderID == *q.SpiderID) && (q.Enabled == nil || s.Enabled() == *q.Enabled)
}

// List returns the schedules that match the query, newest first, and whether more follow.
func (v *Schedules) List(q ScheduleQuery) (page []*Schedule, more bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	set := v.sets[q.Namespace]
	if set == nil || set.byUserID[q.UserID] == nil {
		return nil, false
	}
	start := &Schedule{Created: math.MaxInt64, ID: uuid.Max, Object: &v1alpha1.SpiderSchedule{}}
	if q.After != nil {
		start.Created, start.ID = q.After.Created, q.After.ID
	}
	set.byUserID[q.UserID].Ascend(start, func(schedule *Schedule) bool {
		behind := q.After == nil || schedule.Position() != *q.After
		if behind && q.matches(schedule) {
			page = append(page, schedule)
		}
		return len(page) <= q.Limit
	})
	if len(page) > q.Limit {
		return slices.Clip(page[:q.Limit]), true
	}
	return page, false
}

// Put takes an answer of Kubernetes to a read or a write of this process, so that it is visible before the watch shows it. It
// returns what the view then knows: the given state, a newer one, or nil if the schedule is known to be gone since.
func (v *Schedules) Put(object *v1alpha1.SpiderSchedule) (*Schedule, error) {
	schedule, err := FromSpiderSchedule(object)
	if err != nil {
		return nil, err
	}
	known, _ := v.put(schedule)
	return known, nil
}

// Written takes an answer of Kubernetes to a write of this process, and returns what the view then knows: the written state or
// a newer one. If the watch already saw the schedule deleted, it still returns the state that was written.
func (v *Schedules) Written(object *v1alpha1.SpiderSchedule) (*Schedule, error) {
	schedule, err := FromSpiderSchedule(object)
	if err != nil {
		return nil, err
	}
	return v.written(schedule), nil
}

// swap implements kind.
func (v *Schedules) swap(was, is *Schedule) {
	if was != nil {
		set := v.sets[was.Namespace]
		set.remove(was)
		if len(set.byUserID) == 0 {
			delete(v.sets, was.Namespace)
		}
	}
	if is != nil {
		set := v.sets[is.Namespace]
		if set == nil {
			set = &scheduleSet{ids: ids[*Schedule]{}, byUserID: map[string]*btree.BTreeG[*Schedule]{}}
			v.sets[is.Namespace] = set
		}
		set.add(is)
	}
}

// revealed implements kind.
func (*Schedules) revealed(*Schedule) {}

// shown implements kind: nobody follows the changes of schedules.
func (*Schedules) shown(shown[*Schedule]) {}

// relisted implements kind.
func (*Schedules) relisted(string, string, bool) {}

func (s *scheduleSet) add(schedule *Schedule) {
	s.ids.add(schedule.ID, schedule)
	tree := s.byUserID[schedule.UserID()]
	if tree == nil {
		tree = btree.NewBTreeGOptions(newerSchedule, btree.Options{NoLocks: true, Degree: 16})
		s.byUserID[schedule.UserID()] = tree
	}
	tree.Set(schedule)
}

func (s *scheduleSet) remove(schedule *Schedule) {
	s.ids.remove(schedule.ID, schedule)
	tree := s.byUserID[schedule.UserID()]
	tree.Delete(schedule)
	if tree.Len() == 0 {
		delete(s.byUserID, schedule.UserID())
	}
}

// newerSchedule orders schedules as newestFirst orders jobs.
func newerSchedule(a, b *Schedule) bool {
	return cmp.Or(compareNewest(a.Position(), b.Position()), cmp.Compare(a.Object.Name, b.Object.Name)) < 0
}
