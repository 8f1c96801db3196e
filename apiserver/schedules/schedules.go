// Package schedules has the use cases of schedules: finding, listing, making, changing and deleting them, and starting their
// runs. It knows nothing of HTTP and of the contract, so any transport can use it.
package schedules

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/kube"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// Kubernetes reads and writes single SpiderSchedules, live. Its errors are, or wrap, those of
// k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Kubernetes interface {
	Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderSchedule, error)
	Create(ctx context.Context, schedule *v1alpha1.SpiderSchedule) (*v1alpha1.SpiderSchedule, error)
	// Patch merges a JSON merge patch into the spec of the SpiderSchedule in exactly the state of the given resource version.
	Patch(ctx context.Context, namespace, name, resourceVersion string, spec map[string]any) (*v1alpha1.SpiderSchedule, error)
	// Delete deletes the SpiderSchedule in exactly the state of the given resource version.
	Delete(ctx context.Context, namespace, name, resourceVersion string) error
}

// Spiders finds the spiders that the caller may run.
type Spiders interface {
	Find(ctx context.Context, caller auth.Identity, id string) (*view.Spider, error)
}

// Jobs starts jobs.
type Jobs interface {
	// Check returns what is wrong with a run of a spider.
	Check(spider *view.Spider, job *v1alpha1.SpiderJob) error
	// CheckPriority returns what is wrong with a change of a priority in a namespace.
	CheckPriority(namespace string, was, is int32) error
	// Make creates a job under the name that it has, or returns the one that has this name already, whosever that is.
	Make(ctx context.Context, job *v1alpha1.SpiderJob) (made *view.Job, existed bool, err error)
}

// Config is what Schedules are made of.
type Config struct {
	View       *view.Schedules
	Kubernetes Kubernetes
	Spiders    Spiders
	Jobs       Jobs
	// SpiderNames knows the current names of Spiders.
	SpiderNames view.SpiderNamer
	// JobView shows the runs of schedules.
	JobView *view.Jobs
	// Most is how many schedules a user may have; 0 for any number.
	Most int
	Now  func() time.Time
}

// Schedules are the use cases. They are safe for concurrent use.
type Schedules struct {
	view       *view.Schedules
	kubernetes Kubernetes
	spiders    Spiders
	jobs       Jobs
	names      view.SpiderNamer
	jobView    *view.Jobs
	most       int
	now        func() time.Time
	lookups    *kube.Lookups
	claims     claims
}

// New makes the use cases of the schedules in a view and in Kubernetes.
func New(config Config) *Schedules {
	return &Schedules{
		view: config.View, kubernetes: config.Kubernetes, spiders: config.Spiders, jobs: config.Jobs, names: config.SpiderNames,
		jobView: config.JobView, most: config.Most, now: config.Now, lookups: kube.NewLookups(),
		claims: claims{owners: map[owner]int{}},
	}
}

// Schedule is a schedule with what others know about it.
type Schedule struct {
	*view.Schedule

	// SpiderName is the name of its spider, or of the Spider resource if that does not exist.
	SpiderName string
	// Next are the next times at which it is due; empty while it is not enabled.
	Next []time.Time
	// Last is the run that it started last, at one of its times; nil if there was none.
	Last *LastRun
}

// LastRun is the run that a schedule started last.
type LastRun struct {
	JobID string
	At    time.Time
	// Status is its status; nil if the job is gone and its end is not known.
	Status *view.Status
}

// shownTimes is how many of the next times are shown with a schedule.
const shownTimes = 5

// of adds to a schedule what others know about it.
func (s *Schedules) of(schedule *view.Schedule) *Schedule {
	object := schedule.Object
	shown := &Schedule{Schedule: schedule, SpiderName: object.Spec.SpiderRef.Name, Next: schedule.Next(s.now(), shownTimes)}
	if name, _, ok := s.names.SpiderNames(object.Namespace, object.Spec.SpiderRef.Name); ok {
		shown.SpiderName = name
	}
	if last := object.Status.LastJob; last != nil {
		job := &v1alpha1.SpiderJob{}
		job.Namespace, job.Name = object.Namespace, last.Name
		shown.Last = &LastRun{JobID: job.ID(), At: last.ScheduledFor.Time, Status: s.statusOf(object, last.Name)}
	}
	return shown
}

// results are the statuses of ended jobs, by their phases.
var results = map[v1alpha1.Phase]view.Status{
	v1alpha1.PhaseFinished: view.Finished, v1alpha1.PhaseCancelled: view.Cancelled, v1alpha1.PhaseError: view.Error,
}

// statusOf returns the status of the last run. If the job has been deleted since its end, the schedule knows how it ended,
// unless runs overlap: then the run that ended last may be another one.
func (s *Schedules) statusOf(object *v1alpha1.SpiderSchedule, name string) *view.Status {
	if job := s.jobView.Named(object.Namespace, name); job != nil && job.UserID == object.Spec.UserID {
		return &job.Status
	}
	status, ended := results[object.Status.LastResult]
	if !ended || slices.Contains(object.Status.Active, name) || object.Spec.OnOverlap() == v1alpha1.OverlapAllow {
		return nil
	}
	return &status
}

// List returns the caller's schedules that match the query, newest first, and whether more follow.
func (s *Schedules) List(caller auth.Identity, query view.ScheduleQuery) (found []*Schedule, more bool) {
	query.Namespace, query.UserID = caller.Namespace, caller.UserID
	page, more := s.view.List(query)
	for _, schedule := range page {
		found = append(found, s.of(schedule))
	}
	return found, more
}

// Find returns the caller's schedule with this id.
func (s *Schedules) Find(ctx context.Context, caller auth.Identity, id string) (*Schedule, error) {
	schedule, err := s.find(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	return s.of(schedule), nil
}

// find looks for a schedule in the view, and then in Kubernetes: another replica may have made it a moment ago. Another user's
// schedule is looked up like one that does not exist: the time that an answer takes must not reveal it.
func (s *Schedules) find(ctx context.Context, caller auth.Identity, text string) (*view.Schedule, error) {
	id, ok := v1alpha1.ParseID(text)
	if !ok {
		return nil, failure.NotFound("This schedule")
	}
	if schedule := s.view.ByID(caller.Namespace, caller.UserID, id); schedule != nil {
		return schedule, nil
	}
	if err := s.lookUp(ctx, caller.Namespace, id); err != nil {
		return nil, failure.Unavailable(err, "Kubernetes cannot be reached, and this server has not seen the schedule.")
	}
	if schedule := s.view.ByID(caller.Namespace, caller.UserID, id); schedule != nil {
		return schedule, nil
	}
	return nil, failure.NotFound("This schedule")
}

// lookUp puts the schedule that is named by its id into the view, if it exists. Ids of version 5 belong to objects with other
// names, which only the watch finds.
func (s *Schedules) lookUp(ctx context.Context, namespace string, id uuid.UUID) error {
	if id.Version() == 5 {
		return nil
	}
	return s.lookups.Do(ctx, namespace, id.String(), func(ctx context.Context) error {
		object, err := s.kubernetes.Get(ctx, namespace, id.String())
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		}
		_, err = s.view.Put(object)
		return err
	})
}
