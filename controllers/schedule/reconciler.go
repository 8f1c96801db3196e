package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/queue"
	"github.com/scrapethis/spider-operator/internal/cron"
	"github.com/scrapethis/spider-operator/internal/scheduled"
)

const (
	// maxRounds bounds how often one reconcile observes again before it decides.
	maxRounds = 5
	// conflictPause is how long to wait for the cache after a write that was refused because it lags.
	conflictPause = 200 * time.Millisecond
	// creationsPerSecond is how many runs all schedules together start in a second: thousands may be due at once.
	creationsPerSecond = 50
	// longestTurn is how long a turn can be away: the machine's clock was set back if it seems to be longer.
	longestTurn = 10 * time.Minute
)

// Reconciler starts the runs of SpiderSchedules.
type Reconciler struct {
	client  client.Client // reads from the cache
	live    client.Reader
	events  events.EventRecorder
	clock   clock.PassiveClock
	limiter *rate.Limiter // of schedules that ask kube-apiserver, since they are due
	written *written
	// told has the reason for which a run was last left out and reported, and turns when a schedule may ask kube-apiserver, both by
	// the key of the schedule.
	told, turns sync.Map
}

// Reconcile observes, decides, acts and records.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	o, err := r.observe(ctx, req.NamespacedName, false)
	for range maxRounds {
		if err != nil {
			return reconcile.Result{}, err
		}
		if o == nil || o.schedule.DeletionTimestamp != nil {
			r.written.forget(req.NamespacedName)
			r.told.Delete(req.NamespacedName)
			r.turns.Delete(req.NamespacedName)
			return reconcile.Result{}, nil
		}
		now := r.clock.Now()
		d := decide(o, now)
		if d.needLive {
			if wait := r.turn(req.NamespacedName, now); wait > 0 {
				return requeue(wait, queue.Create), nil
			}
			o, err = r.observe(ctx, req.NamespacedName, true)
			continue
		}
		if !d.create.IsZero() {
			switch err = r.create(ctx, o, d.create); {
			case apierrors.IsAlreadyExists(err):
				err = r.readRun(ctx, o, o.schedule.RunName(d.create), true)
				continue
			case err != nil:
				return reconcile.Result{}, r.noteRefusal(ctx, o, err)
			}
		}
		for _, name := range d.cancel {
			if err := r.cancel(ctx, o.schedule, name); err != nil {
				return reconcile.Result{}, err
			}
		}
		return r.conclude(ctx, o, d)
	}
	return reconcile.Result{}, fmt.Errorf("no decision on SpiderSchedule %s after %d rounds: %w", req, maxRounds, err)
}

// turn returns how long a schedule that is due has to wait for its turn, which it then keeps: if thousands are due at once, they
// come at the limiter's pace, each after one look at the cache.
func (r *Reconciler) turn(key types.NamespacedName, now time.Time) time.Duration {
	if at, given := r.turns.Load(key); given {
		if at, ok := at.(time.Time); ok && now.Before(at) && at.Sub(now) < longestTurn {
			return at.Sub(now)
		}
		r.turns.Delete(key)
		return 0
	}
	wait := r.limiter.ReserveN(now, 1).DelayFrom(now)
	if wait > 0 {
		r.turns.Store(key, now.Add(wait))
	}
	return wait
}

// create starts the run of a time.
func (r *Reconciler) create(ctx context.Context, o *observation, at time.Time) error {
	s := o.schedule
	expression, err := cron.Parse(s.Spec.Cron, s.Spec.TimeZone)
	if err != nil {
		return err
	}
	sj := scheduled.Run(s, o.spiderTags, expression.Zone(), at, v1alpha1.OriginSchedule)
	if err := r.client.Create(ctx, sj); err != nil {
		return fmt.Errorf("create SpiderJob %s/%s: %w", sj.Namespace, sj.Name, err)
	}
	runsStarted.Inc()
	startDelay.Observe(max(r.clock.Since(times{cron: expression, spec: &s.Spec, uid: s.UID}.start(at)).Seconds(), 0))
	return nil
}

// cancel cancels a run that a newer one replaces. One that is gone, or that somebody else cancels, need not be.
func (r *Reconciler) cancel(ctx context.Context, s *v1alpha1.SpiderSchedule, name string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"cancellation": v1alpha1.Cancellation{
		RequestedBy: "SpiderSchedule " + s.Name + ", whose next run replaces it", RequestedAt: apiTime(r.clock.Now()),
	}}})
	if err != nil {
		return fmt.Errorf("encode a cancellation: %w", err)
	}
	sj := &v1alpha1.SpiderJob{}
	sj.Namespace, sj.Name = s.Namespace, name
	err = r.client.Patch(ctx, sj, client.RawPatch(types.MergePatchType, patch))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
		return fmt.Errorf("cancel SpiderJob %s/%s: %w", s.Namespace, name, err)
	}
	return nil
}

// noteRefusal records that kube-apiserver did not accept a run, and why. The creation is tried again like any call that has
// failed, as long as the time is within the window.
func (r *Reconciler) noteRefusal(ctx context.Context, o *observation, refusal error) error {
	d := decision{status: *o.schedule.Status.DeepCopy(), now: *apiTime(r.clock.Now())}
	d.refused(refusal)
	if err := r.record(ctx, o, d.status); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%w; %w", refusal, err)
	}
	return refusal
}

// conclude records a decision after its actions.
func (r *Reconciler) conclude(ctx context.Context, o *observation, d decision) (reconcile.Result, error) {
	switch err := r.record(ctx, o, d.status); {
	case apierrors.IsConflict(err):
		return requeue(conflictPause, queue.End), nil
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil // deleted meanwhile: its event follows
	case err != nil:
		return reconcile.Result{}, err
	}
	r.report(ctx, o, d)
	return requeue(d.after, d.class), nil
}

// record writes the status if it has changed: one update, refused if the object has changed meanwhile.
func (r *Reconciler) record(ctx context.Context, o *observation, next v1alpha1.SpiderScheduleStatus) error {
	if equality.Semantic.DeepEqual(next, o.schedule.Status) {
		return nil
	}
	s := o.schedule.DeepCopy()
	edited := s.ManagedFields
	s.ManagedFields, s.Status = nil, next // what is left of them is no valid entry; kube-apiserver keeps its own
	if err := r.client.Status().Update(ctx, s); err != nil {
		return fmt.Errorf("record the status of SpiderSchedule %s/%s: %w", s.Namespace, s.Name, err)
	}
	s.ManagedFields = edited
	r.written.put(s)
	return nil
}

// report tells of the runs that were left out, in metrics, and in one Event and log line for each reason in a row.
func (r *Reconciler) report(ctx context.Context, o *observation, d decision) {
	key := client.ObjectKeyFromObject(o.schedule)
	if !d.create.IsZero() {
		r.told.Delete(key)
		log.FromContext(ctx).Info("started a run", "run", d.status.LastJob.Name, "scheduledFor", d.status.LastJob.ScheduledFor)
	}
	for _, m := range d.missed {
		runsMissed.WithLabelValues(m.reason).Add(float64(m.times))
		if told, _ := r.told.Swap(key, m.reason); told == m.reason {
			continue
		}
		message := fmt.Sprintf("no run was started for %d of its times: %s", m.times, m.message)
		log.FromContext(ctx).Info(message, "reason", m.reason)
		r.events.Eventf(o.schedule, nil, corev1.EventTypeWarning, m.reason, "Schedule", "%s", message)
	}
}

// requeue asks for another reconcile after some time, zero for none, in a class of the work queue.
func requeue(after time.Duration, class int) reconcile.Result {
	return reconcile.Result{RequeueAfter: after, Priority: &class}
}

// oneLine returns what kube-apiserver says in one line of bounded length.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// maxMessage bounds the bytes of a condition's message.
const maxMessage = 1024
