package schedule

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/cron"
)

var (
	simulateSeeds = flag.Int("schedule.seeds", 500, "how many histories TestSimulation tells")
	simulateFrom  = flag.Uint64("schedule.from", 1, "the seed of the first")
)

// world is a cluster with one schedule. Users, clocks and the runs themselves do what they like, and controllers die between any
// two calls. Everything in it follows from the seed.
type world struct {
	random   *rand.Rand
	now      time.Time // by kube-apiserver's clock
	version  int
	schedule *v1alpha1.SpiderSchedule
	jobs     map[string]*v1alpha1.SpiderJob
	ends     map[string]time.Time // when the runs will end
	history  []snapshot           // what caches may show, the newest last
	story    []string

	created   map[string]int // how often a run's name was created
	onTime    int            // how many of them by the schedule
	writes    int            // of the status
	reads     int            // live
	violation string

	process *process
	// calm histories have no crash, no edit and no clock that jumps; unedited ones have no edit.
	calm, unedited bool
	changedAt      time.Time // the latest edit of what says when runs are due
}

type snapshot struct {
	schedule *v1alpha1.SpiderSchedule
	jobs     map[string]*v1alpha1.SpiderJob
}

// process is a controller that leads.
type process struct {
	*Reconciler
	clock   *clocktesting.FakePassiveClock
	offset  time.Duration // of its clock
	shows   int           // the snapshot that its cache shows
	planned time.Time     // by the clock of kube-apiserver: when it looks again; zero for never
	failing bool          // the last reconcile failed
}

// death ends a process between two calls.
type death struct{}

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%s  %s", w.now.Format("15:04:05"), fmt.Sprintf(format, args...)))
}

func (w *world) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}

// remember keeps the state as it is for caches to show.
func (w *world) remember() {
	jobs := make(map[string]*v1alpha1.SpiderJob, len(w.jobs))
	for name, sj := range w.jobs {
		if n := len(w.history); n > 0 {
			if before := w.history[n-1].jobs[name]; before != nil && before.ResourceVersion == sj.ResourceVersion {
				jobs[name] = before
				continue
			}
		}
		jobs[name] = sj.DeepCopy()
	}
	w.history = append(w.history, snapshot{w.schedule.DeepCopy(), jobs})
}

func (w *world) stamp(obj client.Object) {
	w.version++
	obj.SetResourceVersion(strconv.Itoa(w.version))
}

// api is kube-apiserver, or a cache of it, as one process sees it.
type api struct {
	client.Client
	w      *world
	p      *process
	cached bool
}

// call lets the process die before a call, or after it without having heard of its effect.
func (a api) call(do func() error) error {
	if !a.w.calm && a.w.random.IntN(60) == 0 {
		if a.w.random.IntN(2) == 0 {
			_ = do()
		}
		panic(death{})
	}
	if !a.w.calm && a.w.random.IntN(80) == 0 {
		return apierrors.NewInternalError(fmt.Errorf("kube-apiserver is being restarted"))
	}
	return do()
}

func (a api) state() snapshot {
	if a.cached {
		return a.w.history[a.p.shows]
	}
	return snapshot{a.w.schedule, a.w.jobs}
}

func (a api) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if !a.cached {
		a.w.reads++
	}
	state := a.state()
	switch into := into.(type) {
	case *v1alpha1.SpiderSchedule:
		state.schedule.DeepCopyInto(into)
		return nil
	case *v1alpha1.Spider:
		into.Name = key.Name
		return nil
	case *v1alpha1.SpiderJob:
		if sj := state.jobs[key.Name]; sj != nil {
			sj.DeepCopyInto(into)
			return nil
		}
	}
	return apierrors.NewNotFound(v1alpha1.Resource("spiderjobs"), key.Name)
}

func (a api) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	for _, sj := range a.state().jobs {
		if len(indexUnfinished(sj)) > 0 {
			list.(*v1alpha1.SpiderJobList).Items = append(list.(*v1alpha1.SpiderJobList).Items, *sj)
		}
	}
	slices.SortFunc(list.(*v1alpha1.SpiderJobList).Items, func(a, b v1alpha1.SpiderJob) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func (a api) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	return a.call(func() error {
		if a.w.jobs[obj.GetName()] != nil {
			return apierrors.NewAlreadyExists(v1alpha1.Resource("spiderjobs"), obj.GetName())
		}
		a.w.start(obj.(*v1alpha1.SpiderJob).DeepCopy())
		return nil
	})
}

func (a api) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return a.call(func() error {
		sj := a.w.jobs[obj.GetName()]
		if sj == nil {
			return apierrors.NewNotFound(v1alpha1.Resource("spiderjobs"), obj.GetName())
		}
		data, err := patch.Data(obj)
		if err == nil {
			err = json.Unmarshal(data, sj)
		}
		a.w.tell("run %s is cancelled", sj.Name)
		a.w.ends[sj.Name] = a.w.now.Add(time.Duration(a.w.random.IntN(90)) * time.Second)
		a.w.changed(sj)
		return err
	})
}

func (a api) Status() client.SubResourceWriter { return statusWriter{api: a} }

type statusWriter struct {
	client.SubResourceWriter
	api api
}

func (s statusWriter) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	return s.api.call(func() error {
		w, next := s.api.w, obj.(*v1alpha1.SpiderSchedule)
		if next.ResourceVersion != w.schedule.ResourceVersion {
			return apierrors.NewConflict(v1alpha1.Resource("spiderschedules"), next.Name, fmt.Errorf("changed"))
		}
		w.writes++
		w.schedule.Status = *next.Status.DeepCopy()
		w.stamp(w.schedule)
		next.ResourceVersion = w.schedule.ResourceVersion
		w.tell("records: last %s, next %s, queued %s, active %v, missed %d, failures %d", moment(next.Status.LastScheduledAt),
			moment(next.Status.NextAt), moment(next.Status.QueuedFor), next.Status.Active, next.Status.Missed, next.Status.ConsecutiveFailures)
		w.remember()
		return nil
	})
}

// start creates a run, and looks at the promises that a creation can break.
func (w *world) start(sj *v1alpha1.SpiderJob) {
	sj.UID = types.UID(fmt.Sprint("j-", w.version))
	sj.CreationTimestamp = *apiTime(w.now)
	sj.Status.Phase = v1alpha1.PhasePending
	w.created[sj.Name]++
	if w.created[sj.Name] > 1 {
		w.violate("run %s was started %d times", sj.Name, w.created[sj.Name])
	}
	if sj.Labels[v1alpha1.LabelOrigin] == v1alpha1.OriginSchedule {
		w.onTime++
		w.checkStart(sj)
	}
	w.tell("run %s for %s is created (%s)", sj.Name, moment(sj.Spec.ScheduledFor), sj.Labels[v1alpha1.LabelOrigin])
	w.ends[sj.Name] = w.now.Add(time.Duration(10+w.random.IntN(400)) * time.Second)
	w.jobs[sj.Name] = sj
	w.changed(sj)
}

func (w *world) checkStart(sj *v1alpha1.SpiderJob) {
	at := sj.Spec.ScheduledFor.Time
	switch {
	case w.schedule.Spec.Suspend:
		w.violate("run %s was started although the schedule is suspended", sj.Name)
	case at.Before(w.changedAt.Add(-time.Second)) && w.schedule.Status.QueuedFor == nil:
		w.violate("run %s is for a time before the edit of %s", sj.Name, w.changedAt.Format("15:04:05"))
	case at.After(w.now.Add(w.process.offset + time.Second)):
		w.violate("run %s was started before its time", sj.Name)
	}
	if w.schedule.Spec.OnOverlap() == v1alpha1.OverlapAllow {
		return
	}
	for name, other := range w.jobs {
		if len(indexUnfinished(other)) > 0 {
			w.violate("run %s was started although %s has not ended", sj.Name, name)
		}
	}
}

func (w *world) changed(sj *v1alpha1.SpiderJob) {
	w.stamp(sj)
	w.remember()
}

// lead begins the lead of a new process, whose cache lags.
func (w *world) lead() {
	p := &process{clock: clocktesting.NewFakePassiveClock(w.now), shows: max(0, len(w.history)-1-w.random.IntN(4))}
	if w.calm {
		p.shows = len(w.history) - 1
	}
	p.Reconciler = &Reconciler{
		client: api{w: w, p: p, cached: true}, live: api{w: w, p: p}, events: &events.FakeRecorder{}, clock: p.clock,
		limiter: rate.NewLimiter(rate.Inf, 1), written: newWritten(),
	}
	w.process, p.planned = p, w.now
	w.tell("a controller begins to lead")
}

// reconcile lets the process work, if it has reason to.
func (w *world) reconcile() {
	p := w.process
	defer func() {
		if recovered := recover(); recovered != nil {
			if _, dies := recovered.(death); !dies {
				panic(recovered)
			}
			w.tell("the controller dies")
			w.process = nil
		}
	}()
	p.clock.SetTime(w.now.Add(p.offset))
	result, err := p.Reconcile(context.Background(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(w.schedule)})
	p.failing = err != nil
	switch {
	case err != nil:
		p.planned = w.now.Add(time.Second)
	case result.RequeueAfter > 0:
		p.planned = w.now.Add(result.RequeueAfter)
	default:
		p.planned = time.Time{}
	}
}

// deliver brings the cache up to date, in part or wholly, and has the process look if there is news for it.
func (w *world) deliver(wholly bool) {
	p := w.process
	behind := len(w.history) - 1 - p.shows
	if !wholly && behind > 0 {
		behind = w.random.IntN(behind + 1)
	}
	for range behind {
		before := w.history[p.shows]
		p.shows++
		after := w.history[p.shows]
		news := before.schedule.ResourceVersion != after.schedule.ResourceVersion && !p.written.shown(after.schedule)
		for name, sj := range after.jobs {
			was := before.jobs[name]
			news = news || was != nil && sj.Status.Phase.Terminal() && !was.Status.Phase.Terminal()
		}
		if news {
			p.planned = w.now
		}
	}
}

// live lets the runs of the world go on until a time.
func (w *world) live(until time.Time) {
	w.now = until
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range w.jobs {
			if !yield(name) {
				return
			}
		}
	}) {
		sj := w.jobs[name]
		switch {
		case !sj.Status.Phase.Terminal() && !w.now.Before(w.ends[name]):
			sj.Status.Phase = []v1alpha1.Phase{v1alpha1.PhaseFinished, v1alpha1.PhaseFinished, v1alpha1.PhaseError}[w.random.IntN(3)]
			if sj.Spec.Cancellation != nil {
				sj.Status.Phase = v1alpha1.PhaseCancelled
			}
			sj.Status.FinishedAt = apiTime(w.now)
			w.tell("run %s ends as %s", name, sj.Status.Phase)
			w.changed(sj)
		case sj.Status.Phase.Terminal() && w.now.Sub(sj.Status.FinishedAt.Time) > 10*time.Minute &&
			!w.schedule.Needs(name, timeOf(sj.Spec.ScheduledFor)):
			delete(w.jobs, name) // its time is over
			w.remember()
		}
	}
}

// edit changes the spec as a user would.
func (w *world) edit(what string, change func(*v1alpha1.SpiderScheduleSpec)) {
	before := timing(&w.schedule.Spec)
	change(&w.schedule.Spec)
	w.schedule.Generation++
	w.schedule.ManagedFields = []metav1.ManagedFieldsEntry{{Time: apiTime(w.now)}}
	if timing(&w.schedule.Spec) != before {
		w.changedAt = w.now.Truncate(time.Second)
	}
	w.tell("a user %s", what)
	w.stamp(w.schedule)
	w.remember()
}

func (w *world) happen() {
	spec := &w.schedule.Spec
	switch n := w.random.IntN(100); {
	case w.calm:
	case n < 3 && w.process != nil:
		w.tell("the controller is killed")
		w.process = nil
	case n < 5 && w.process != nil:
		w.process.offset = time.Duration(w.random.IntN(900)-300) * time.Second
		w.process.planned = w.now // clock.go notices
		w.tell("the controller's clock is off by %s", w.process.offset)
	case n < 7 && w.process != nil:
		w.process.offset, w.process.planned = 0, w.now
		w.tell("the controller's clock is set right")
	case n < 9:
		sj := &v1alpha1.SpiderJob{}
		sj.Name, sj.Labels = fmt.Sprint("by-hand-", w.version), map[string]string{
			v1alpha1.LabelSchedule: w.schedule.Name, v1alpha1.LabelOrigin: v1alpha1.OriginAPI,
		}
		w.start(sj)
	case w.unedited:
	case n < 11:
		w.edit("suspends or resumes", func(s *v1alpha1.SpiderScheduleSpec) { s.Suspend = !s.Suspend })
	case n < 12:
		w.edit("writes another cron", func(s *v1alpha1.SpiderScheduleSpec) { s.Cron = w.cron() })
	case n < 13:
		w.edit("writes a description", func(s *v1alpha1.SpiderScheduleSpec) { s.Description += "." })
	case n < 16 && spec.PauseAfterFailures > 0:
		w.edit("resumes after failures", func(s *v1alpha1.SpiderScheduleSpec) { s.ResumedAt = apiTime(w.now) })
	}
}

func (w *world) cron() string {
	return []string{"* * * * *", "*/2 * * * *", "*/5 * * * *", "*/15 * * * *", "0,1,2 * * * *"}[w.random.IntN(5)]
}

// TestSimulation tells histories of schedules, and asserts that no time runs twice, that none is lost, that runs do not overlap
// where they must not, and that what passed before an edit never comes back.
func TestSimulation(t *testing.T) {
	for seed := *simulateFrom; seed < *simulateFrom+uint64(*simulateSeeds); seed++ {
		if w := simulate(seed); w.violation != "" {
			t.Fatalf("seed %d: %s\n%+v\n%s", seed, w.violation, w.schedule.Spec, strings.Join(w.story, "\n"))
		}
	}
}

// TestCostOfARun counts what a schedule asks of kube-apiserver: for each run its creation, two writes of the status, and reads of
// the schedule, its Spider and the run's name. In between, and while nothing is due, it asks for nothing.
func TestCostOfARun(t *testing.T) {
	w := &world{
		random: rand.New(rand.NewPCG(1, 2)), now: time.Date(2026, 11, 27, 12, 0, 30, 0, time.UTC), calm: true,
		jobs: map[string]*v1alpha1.SpiderJob{}, ends: map[string]time.Time{}, created: map[string]int{},
	}
	w.schedule = &v1alpha1.SpiderSchedule{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "nightly", UID: "s-1", Generation: 1, CreationTimestamp: *apiTime(w.now),
	}}
	w.schedule.Spec.SpiderRef.Name, w.schedule.Spec.Cron = "books", "0 * * * *"
	w.stamp(w.schedule)
	w.remember()
	for w.now.Hour() < 13 || w.now.Minute() < 59 {
		w.step()
	}
	if first := w.writes - 2; w.onTime != 1 || first != 1 {
		t.Errorf("%d runs took %d writes of the status, and one for the new schedule", w.onTime, first+1)
	}
	writes, reads := w.writes, w.reads
	for w.now.Hour() < 20 || w.now.Minute() < 59 {
		w.step()
	}
	if runs := w.onTime - 1; runs != 7 || w.writes-writes != 2*runs || w.reads-reads != 3*runs {
		t.Errorf("%d runs took %d writes of the status and %d reads", runs, w.writes-writes, w.reads-reads)
	}
}

func simulate(seed uint64) *world {
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(n int) int { return random.IntN(n) }
	w := &world{
		random: random, now: time.Date(2026, 11, 27, 12, 0, pick(60), 0, time.UTC), jobs: map[string]*v1alpha1.SpiderJob{},
		ends: map[string]time.Time{}, created: map[string]int{}, calm: pick(5) == 0,
	}
	w.unedited = w.calm || pick(2) == 0
	s := &v1alpha1.SpiderSchedule{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "nightly", UID: "s-1", Generation: 1, CreationTimestamp: *apiTime(w.now),
	}}
	s.Spec.SpiderRef.Name, s.Spec.Cron = "books", w.cron()
	s.Spec.Overlap = []v1alpha1.OverlapPolicy{"", v1alpha1.OverlapSkip, v1alpha1.OverlapQueue, v1alpha1.OverlapReplace, v1alpha1.OverlapAllow}[pick(5)]
	s.Spec.CatchUp = &v1alpha1.CatchUp{WindowSeconds: int64(300 + pick(3600))}
	if pick(3) == 0 {
		s.Spec.CatchUp.Policy = v1alpha1.CatchUpNone
	} else if s.Spec.Overlap == v1alpha1.OverlapAllow && pick(2) == 0 {
		s.Spec.CatchUp.Policy = v1alpha1.CatchUpAll
	}
	if pick(3) == 0 {
		s.Spec.JitterSeconds = int32(pick(120))
	}
	if pick(3) == 0 {
		s.Spec.PauseAfterFailures = int32(1 + pick(3))
	}
	w.schedule, w.changedAt = s, w.now.Truncate(time.Second)
	w.stamp(s)
	w.remember()
	end := w.now.Add(time.Duration(30+pick(90)) * time.Minute)
	for w.now.Before(end) && w.violation == "" {
		w.step()
	}
	w.settle()
	return w
}

// step goes on to the next moment at which something happens.
func (w *world) step() {
	next := w.now.Add(time.Duration(1+w.random.IntN(40)) * time.Second)
	if p := w.process; p != nil && !p.planned.IsZero() && p.planned.Before(next) && p.planned.After(w.now) {
		next = p.planned
	}
	w.live(next)
	w.happen()
	if w.process == nil && (w.calm || w.random.IntN(12) == 0) {
		w.lead()
	}
	if p := w.process; p != nil {
		w.deliver(w.calm)
		for range 20 {
			if w.process == nil || p.planned.IsZero() || p.planned.After(w.now) || p.failing && w.random.IntN(2) == 0 {
				break
			}
			w.reconcile()
			if w.process != nil && w.calm {
				w.deliver(true)
			}
		}
	}
}

// settle lets everything come to rest, and looks at the promises that only then can be judged.
func (w *world) settle() {
	if w.violation != "" {
		return
	}
	w.calm = true
	if w.process == nil {
		w.lead()
	}
	w.process.offset, w.process.planned = 0, w.now
	w.deliver(true)
	w.tell("everything comes to rest")
	calmSince := w.now
	for w.now.Sub(calmSince) < 30*time.Minute && w.violation == "" {
		w.step()
	}
	w.judge()
}

func (w *world) judge() {
	st, spec := &w.schedule.Status, &w.schedule.Spec
	isPaused := apimeta.IsStatusConditionTrue(st.Conditions, v1alpha1.ConditionPaused)
	if !spec.Suspend && !isPaused && (st.NextAt == nil || w.now.Sub(st.NextAt.Time) > time.Duration(spec.JitterSeconds)*time.Second+time.Minute) {
		w.violate("at rest, the next run is due at %s", moment(st.NextAt))
	}
	if w.violation != "" || !w.unedited || st.LastScheduledAt == nil {
		return
	}
	// Every time since the beginning has a run, waits, or is counted as left out.
	parsed, err := cron.Parse(spec.Cron, "")
	if err != nil {
		panic(err)
	}
	expression, t := times{cron: parsed, spec: spec}, 0
	for at := expression.next(st.EffectiveSince.Time); !at.After(st.LastScheduledAt.Time); at = expression.next(at) {
		t++
	}
	waiting := 0
	if st.QueuedFor != nil {
		waiting = 1
	}
	if dealt := w.onTime + int(st.Missed) + waiting; dealt != t && !isPaused {
		w.violate("of %d times, %d were dealt with: %d runs, %d left out, %d waits", t, dealt, w.onTime, st.Missed, waiting)
	}
}
