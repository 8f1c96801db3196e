package schedule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// clockAt returns a time of the day on which the tests play.
func clockAt(text string) time.Time {
	at, err := time.Parse("2006-01-02 15:04:05", "2026-11-27 "+text)
	if err != nil {
		panic(err)
	}
	return at
}

// settled is a schedule that has dealt with all times until 12:00, and is run every ten minutes.
func settled() *observation {
	s := &v1alpha1.SpiderSchedule{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nightly", UID: "s-1", Generation: 1},
		Spec:       v1alpha1.SpiderScheduleSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}, Cron: "*/10 * * * *"},
	}
	s.CreationTimestamp = *apiTime(clockAt("09:00:00"))
	s.Status = v1alpha1.SpiderScheduleStatus{
		ObservedGeneration: 1, Timing: timing(&s.Spec), EffectiveSince: apiTime(clockAt("09:00:00")),
		LastScheduledAt: apiTime(clockAt("12:00:00")), NextAt: apiTime(clockAt("12:10:00")),
	}
	return &observation{schedule: s, editedAt: clockAt("09:00:00"), runs: map[string]run{}, live: true}
}

// with changes an observation.
func (o *observation) with(changes ...func(*observation)) *observation {
	for _, change := range changes {
		change(o)
	}
	return o
}

// spec changes the spec as somebody who edited it at a time, before the status was written.
func spec(change func(*v1alpha1.SpiderScheduleSpec)) func(*observation) {
	return func(o *observation) {
		change(&o.schedule.Spec)
		o.schedule.Status.Timing = timing(&o.schedule.Spec)
	}
}

// edited changes the spec at a time, which the status does not know yet.
func edited(at string, change func(*v1alpha1.SpiderScheduleSpec)) func(*observation) {
	return func(o *observation) {
		change(&o.schedule.Spec)
		o.schedule.Generation++
		o.editedAt = clockAt(at)
	}
}

func overlap(policy v1alpha1.OverlapPolicy) func(*observation) {
	return spec(func(s *v1alpha1.SpiderScheduleSpec) { s.Overlap = policy })
}

func catchUp(policy v1alpha1.CatchUpPolicy, window time.Duration) func(*observation) {
	return spec(func(s *v1alpha1.SpiderScheduleSpec) {
		s.CatchUp = &v1alpha1.CatchUp{Policy: policy, WindowSeconds: int64(window / time.Second)}
	})
}

// started is a run that the schedule has started, and taken note of.
func started(at string, phase v1alpha1.Phase) func(*observation) {
	return func(o *observation) {
		name := o.schedule.RunName(clockAt(at))
		o.runs[name] = run{ours: true, onTime: true, phase: phase}
		o.schedule.Status.Active = append(o.schedule.Status.Active, name)
	}
}

// exists is an object of a run's name that the status does not know.
func exists(at string, r run) func(*observation) {
	return func(o *observation) { o.runs[o.schedule.RunName(clockAt(at))] = r }
}

func queued(at string) func(*observation) {
	return func(o *observation) { o.schedule.Status.QueuedFor = apiTime(clockAt(at)) }
}

func failures(n, pauseAfter int32) func(*observation) {
	return func(o *observation) {
		o.schedule.Status.ConsecutiveFailures, o.schedule.Spec.PauseAfterFailures = n, pauseAfter
	}
}

func paused(o *observation) {
	o.schedule.Status.NextAt = nil
	apimeta.SetStatusCondition(&o.schedule.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionPaused, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTooManyFailures,
	})
}

func fromCache(o *observation) { o.live = false }

// words describes a decision in a few words.
func words(o *observation, d *decision) string {
	if d.needLive {
		return "look live"
	}
	short := func(t *metav1.Time) string {
		if t == nil {
			return "-"
		}
		return t.UTC().Format("15:04")
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if !d.create.IsZero() {
		add("create %s", d.create.UTC().Format("15:04"))
	}
	for _, name := range d.cancel {
		add("cancel %s", name)
	}
	for _, m := range d.missed {
		add("miss %d %s", m.times, m.reason)
	}
	st := &d.status
	add("last %s, next %s", short(st.LastScheduledAt), short(st.NextAt))
	if st.QueuedFor != nil {
		add("queued %s", short(st.QueuedFor))
	}
	if !slices.Equal(st.Active, o.schedule.Status.Active) {
		add("active %d", len(st.Active))
	}
	if st.ConsecutiveFailures > 0 {
		add("failures %d", st.ConsecutiveFailures)
	}
	if ready := apimeta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReady); ready != nil && ready.Status == metav1.ConditionFalse {
		add("%s", ready.Reason)
	}
	return strings.Join(parts, ", ")
}

// TestDecide reads as the manual of a schedule.
func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name string
		o    *observation
		now  string
		want string
	}{
		{"before its time", settled(), "12:09:59", "last 12:00, next 12:10"},
		{"at its time", settled(), "12:10:00", "create 12:10, last 12:10, next 12:20, active 1"},
		{"only on what is read live", settled().with(fromCache), "12:10:00", "look live"},
		{"a run that somebody created before: the name is the proof", settled().with(exists("12:10:00", run{ours: true, onTime: true, phase: v1alpha1.PhaseRunning})), "12:10:01", "last 12:10, next 12:20, active 1"},
		{"a run that was created before, and has ended", settled().with(exists("12:10:00", run{ours: true, onTime: true, phase: v1alpha1.PhaseError})), "12:10:01", "last 12:10, next 12:20, failures 1"},
		{"a backfill's run for the same time is its run", settled().with(exists("12:10:00", run{ours: true, phase: v1alpha1.PhaseRunning})), "12:10:01", "last 12:10, next 12:20"},
		{"another object of the run's name", settled().with(exists("12:10:00", run{})), "12:10:01", "miss 1 NameConflict, last 12:10, next 12:20, NameConflict"},
		{"no Spider", settled().with(func(o *observation) { o.noSpider = "there is none" }), "12:10:01", "miss 1 SpiderNotFound, last 12:10, next 12:20, SpiderNotFound"},

		{"Skip: an earlier run goes on", settled().with(started("12:00:00", v1alpha1.PhaseRunning)), "12:10:00", "miss 1 Overlap, last 12:10, next 12:20"},
		{"Skip: an earlier run has ended", settled().with(started("12:00:00", v1alpha1.PhaseFinished)), "12:10:00", "create 12:10, last 12:10, next 12:20, active 1"},
		{"Skip: an earlier leader's run, which it did not record, comes first", settled().with(exists("12:10:00", run{ours: true, onTime: true, phase: v1alpha1.PhasePending})), "12:20:00", "last 12:10, next 12:20, active 1"},
		{"Skip: a backfill's run does not count", settled().with(exists("11:10:00", run{ours: true, phase: v1alpha1.PhaseRunning})), "12:10:00", "create 12:10, last 12:10, next 12:20, active 1"},
		{"Allow", settled().with(overlap(v1alpha1.OverlapAllow), started("12:00:00", v1alpha1.PhaseRunning)), "12:10:00", "create 12:10, last 12:10, next 12:20, active 2"},
		{"Queue: the first waits", settled().with(overlap(v1alpha1.OverlapQueue), started("12:00:00", v1alpha1.PhaseRunning)), "12:10:00", "last 12:10, next 12:20, queued 12:10"},
		{"Queue: the second does not", settled().with(overlap(v1alpha1.OverlapQueue), started("11:50:00", v1alpha1.PhaseRunning), queued("12:00:00")), "12:10:00", "miss 1 Overlap, last 12:10, next 12:20, queued 12:00"},
		{"Queue: it starts when the earlier one has ended", settled().with(overlap(v1alpha1.OverlapQueue), started("11:50:00", v1alpha1.PhaseFinished), queued("12:00:00")), "12:05:00", "create 12:00, last 12:00, next 12:10, active 1"},
		{"Queue: it was started, which nobody recorded", settled().with(overlap(v1alpha1.OverlapQueue), exists("12:00:00", run{ours: true, onTime: true, phase: v1alpha1.PhaseRunning}), queued("12:00:00")), "12:05:00", "last 12:00, next 12:10, active 1"},
		{"Queue: it starts at once where runs may overlap by now", settled().with(overlap(v1alpha1.OverlapAllow), started("11:50:00", v1alpha1.PhaseRunning), queued("12:00:00")), "12:05:00", "create 12:00, last 12:00, next 12:10, active 2"},
		{"Replace: the earlier one is cancelled first", settled().with(overlap(v1alpha1.OverlapReplace), started("12:00:00", v1alpha1.PhaseRunning)), "12:10:00", "cancel nightly-hthw0, last 12:10, next 12:20, queued 12:10"},
		{"Replace: it is waited for", settled().with(overlap(v1alpha1.OverlapReplace), started("11:50:00", v1alpha1.PhaseRunning), queued("12:00:00"), func(o *observation) {
			for name, r := range o.runs {
				r.cancelled = true
				o.runs[name] = r
			}
		}), "12:05:00", "last 12:00, next 12:10, queued 12:00"},
		{"Replace: the newest replaces the one that waits", settled().with(overlap(v1alpha1.OverlapReplace), started("11:50:00", v1alpha1.PhaseRunning), queued("12:00:00")), "12:10:00", "cancel nightly-hthvq, miss 1 Overlap, last 12:10, next 12:20, queued 12:10"},
		{"Replace: nothing runs any more", settled().with(overlap(v1alpha1.OverlapReplace), started("11:50:00", v1alpha1.PhaseCancelled), queued("12:00:00")), "12:05:00", "create 12:00, last 12:00, next 12:10, active 1"},

		{"away: the latest of what has passed", settled(), "12:45:00", "create 12:40, miss 3 Missed, last 12:40, next 12:50, active 1"},
		{"away for longer than the window", settled().with(catchUp(v1alpha1.CatchUpLatest, time.Minute)), "12:45:00", "miss 4 Missed, last 12:40, next 12:50"},
		{"away: all of it, the oldest first", settled().with(overlap(v1alpha1.OverlapAllow), catchUp(v1alpha1.CatchUpAll, time.Hour)), "12:45:00", "create 12:10, last 12:10, next 12:20, active 1"},
		{"away: all of it within the window", settled().with(overlap(v1alpha1.OverlapAllow), catchUp(v1alpha1.CatchUpAll, 20*time.Minute)), "12:45:00", "create 12:30, miss 2 Missed, last 12:30, next 12:40, active 1"},
		{"away: none of it", settled().with(catchUp(v1alpha1.CatchUpNone, time.Hour)), "12:45:00", "miss 4 Missed, last 12:40, next 12:50"},
		{"a controller that was replaced was not away", settled().with(catchUp(v1alpha1.CatchUpNone, time.Hour)), "12:41:59", "create 12:40, miss 3 Missed, last 12:40, next 12:50, active 1"},

		{"suspended", settled().with(edited("12:05:00", func(s *v1alpha1.SpiderScheduleSpec) { s.Suspend = true })), "12:45:00", "last 12:00, next -, Suspended"},
		{"resumed: what passed meanwhile does not come back", settled().with(edited("12:31:00", func(*v1alpha1.SpiderScheduleSpec) {}), func(o *observation) { o.schedule.Status.Timing = "other" }), "12:31:01", "last 12:00, next 12:40"},
		{"suspended and resumed while nobody looked", settled().with(func(o *observation) { o.schedule.Generation += 2; o.editedAt = clockAt("12:31:00") }), "12:31:01", "last 12:00, next 12:40"},
		{"another cron: its earlier times do not come back", settled().with(edited("12:31:00", func(s *v1alpha1.SpiderScheduleSpec) { s.Cron = "*/5 * * * *" })), "12:31:01", "last 12:00, next 12:35"},
		{"an edit that nobody saw at once: what is due since runs", settled().with(edited("12:31:00", func(s *v1alpha1.SpiderScheduleSpec) { s.Cron = "*/5 * * * *" })), "12:45:01", "create 12:45, miss 2 Missed, last 12:45, next 12:50, active 1"},
		{"an edit that changes no times loses none", settled().with(edited("12:45:00", func(s *v1alpha1.SpiderScheduleSpec) { s.Description = "books" })), "12:45:01", "create 12:40, miss 3 Missed, last 12:40, next 12:50, active 1"},
		{"another cron gives up what waits", settled().with(overlap(v1alpha1.OverlapQueue), started("11:50:00", v1alpha1.PhaseRunning), queued("12:00:00"), edited("12:01:00", func(s *v1alpha1.SpiderScheduleSpec) { s.Cron = "@hourly" })), "12:01:01", "last 12:00, next 13:00"},

		{"new: nothing before its creation", settled().with(func(o *observation) { o.schedule.Status = v1alpha1.SpiderScheduleStatus{} }), "09:05:00", "last -, next 09:10"},
		{"before startAt", settled().with(spec(func(s *v1alpha1.SpiderScheduleSpec) { s.StartAt = apiTime(clockAt("13:00:00")) })), "12:10:00", "last 12:00, next 13:00"},
		{"endAt counts", settled().with(spec(func(s *v1alpha1.SpiderScheduleSpec) { s.EndAt = apiTime(clockAt("12:10:00")) })), "12:10:00", "create 12:10, last 12:10, next -, active 1, Ended"},
		{"after endAt", settled().with(spec(func(s *v1alpha1.SpiderScheduleSpec) { s.EndAt = apiTime(clockAt("12:05:00")) })), "12:10:00", "last 12:00, next -, Ended"},
		{"an expression that cannot be read", settled().with(edited("12:05:00", func(s *v1alpha1.SpiderScheduleSpec) { s.Cron = "0 0 30 2 *" })), "12:10:00", "last 12:00, next -, InvalidSchedule"},

		{"a failure", settled().with(started("12:00:00", v1alpha1.PhaseError), failures(1, 3)), "12:05:00", "last 12:00, next 12:10, active 0, failures 2"},
		{"a success after failures", settled().with(started("12:00:00", v1alpha1.PhaseFinished), failures(2, 3)), "12:05:00", "last 12:00, next 12:10, active 0"},
		{"one failure too many", settled().with(started("12:00:00", v1alpha1.PhaseError), failures(2, 3)), "12:10:00", "last 12:00, next -, active 0, failures 3, TooManyFailures"},
		{"paused, also if a run that went on succeeds", settled().with(paused, started("12:00:00", v1alpha1.PhaseFinished), failures(3, 3)), "12:10:00", "last 12:00, next -, active 0, TooManyFailures"},
		{"resumed after a pause", settled().with(paused, failures(3, 3), edited("12:15:00", func(s *v1alpha1.SpiderScheduleSpec) { s.ResumedAt = apiTime(clockAt("12:15:00")) })), "12:15:01", "last 12:00, next 12:20"},
		{"a pause that is no longer wanted", settled().with(paused, failures(3, 0), edited("12:15:00", func(*v1alpha1.SpiderScheduleSpec) {})), "12:15:01", "last 12:00, next 12:20"},

		{"a run that is gone before its end was seen", settled().with(func(o *observation) { o.schedule.Status.Active = []string{"nightly-x"} }), "12:05:00", "last 12:00, next 12:10, active 0"},
		{"a run that the cache does not know", settled().with(fromCache, func(o *observation) { o.schedule.Status.Active = []string{"nightly-x"} }), "12:05:00", "look live"},
		{"a clock that was set back starts nothing twice", settled(), "11:00:00", "last 12:00, next 12:10"},
		{"a clock that was far ahead: an edit goes on from here", settled().with(edited("11:00:00", func(s *v1alpha1.SpiderScheduleSpec) { s.ResumedAt = apiTime(clockAt("11:00:00")) })), "11:00:01", "last -, next 11:10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.o.schedule.DeepCopy()
			d := decide(c.o, clockAt(c.now))
			if got := words(c.o, &d); got != c.want {
				t.Errorf("decides: %s\nwant:    %s", got, c.want)
			}
			if !apiEqual(before, c.o.schedule) {
				t.Error("the observation was changed")
			}
		})
	}
}

// TestNextLook asserts that a schedule is looked at when its next run is to be started, and not before.
func TestNextLook(t *testing.T) {
	d := decide(settled(), clockAt("12:03:00"))
	if d.after != 7*time.Minute {
		t.Errorf("the next look is after %s", d.after)
	}
	o := settled().with(edited("12:05:00", func(s *v1alpha1.SpiderScheduleSpec) { s.Suspend = true }))
	if d := decide(o, clockAt("12:06:00")); d.after != 0 {
		t.Errorf("a suspended schedule is looked at after %s", d.after)
	}
}

// TestNothingToRecord asserts that a schedule at rest is not written again.
func TestNothingToRecord(t *testing.T) {
	o := settled()
	first := decide(o, clockAt("12:03:00"))
	o.schedule.Status = first.status
	if again := decide(o, clockAt("12:04:00")); !apiEqual(&first.status, &again.status) {
		t.Errorf("the status changes from %+v to %+v", first.status, again.status)
	}
}

// TestJitter asserts that a delay is stable, differs by schedule and time, and never reaches the next time.
func TestJitter(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 200 {
		o := settled().with(spec(func(s *v1alpha1.SpiderScheduleSpec) { s.JitterSeconds = 3600 }))
		o.schedule.UID = uid(i)
		expression := mustParse(t, o.schedule.Spec.Cron)
		ts := times{cron: expression, spec: &o.schedule.Spec, uid: o.schedule.UID}
		at := clockAt("12:10:00")
		delay := ts.start(at).Sub(at)
		if delay < 0 || delay >= 10*time.Minute || delay%time.Second != 0 || ts.start(at).Sub(at) != delay {
			t.Fatalf("the delay is %s", delay)
		}
		seen[delay] = true
		if d := decide(o, at.Add(delay-time.Second)); delay > 0 && !d.create.IsZero() {
			t.Errorf("the run starts before its delay of %s", delay)
		}
		if d := decide(o, at.Add(delay)); !d.create.Equal(at) {
			t.Errorf("the run does not start after its delay of %s", delay)
		}
	}
	if len(seen) < 100 {
		t.Errorf("200 schedules have only %d delays", len(seen))
	}
}

// TestNames asserts that a run's name fits where the longest schedule's does, and says its time.
func TestNames(t *testing.T) {
	s := &v1alpha1.SpiderSchedule{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("s", 52)}}
	if name := s.RunName(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)); len(name) > 63 {
		t.Errorf("%s has %d characters", name, len(name))
	}
	if a, b := s.RunName(clockAt("12:10:00")), s.RunName(clockAt("12:11:00")); a == b {
		t.Errorf("two times share the name %s", a)
	}
}

// TestNeeds asserts for how long the name of a run is needed as a proof.
func TestNeeds(t *testing.T) {
	s := settled().schedule
	s.Status.Active, s.Status.QueuedFor = []string{s.RunName(clockAt("11:30:00"))}, apiTime(clockAt("11:40:00"))
	for at, want := range map[string]bool{"11:30:00": true, "11:40:00": true, "11:50:00": false, "12:00:00": false, "12:10:00": true} {
		if s.Needs(s.RunName(clockAt(at)), clockAt(at)) != want {
			t.Errorf("needs the run of %s: %v", at, !want)
		}
	}
	s.Status.EffectiveSince = ptr.To(metav1.NewTime(clockAt("12:15:00")))
	if s.Needs(s.RunName(clockAt("12:10:00")), clockAt("12:10:00")) {
		t.Error("needs a run from before an edit, of which the status will never say anything")
	}
}
