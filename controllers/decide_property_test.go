package controllers

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
)

// historyLength is how many things happen before the world is left alone.
const historyLength = 120

// live lets one history happen, and returns what it broke.
func live(c choices, decide func(*observation, time.Time) decision) *world {
	w := newWorld(c, decide)
	w.live()
	return w
}

// live lets one history happen.
func (w *world) live() {
	for range historyLength {
		if w.step(); w.broken != "" {
			return
		}
	}
	w.settle()
}

type drawn struct{ t *rapid.T }

func (d drawn) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.t, what) }

// TestAnyHistory lets caches lag, processes die, users meddle and time pass in every order, and checks that what the
// lifecycle promises is kept: see world.check.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if w := live(drawn{t}, decide); w.broken != "" {
			t.Fatalf("%s\n%s", w.broken, strings.Join(w.history, "\n"))
		}
	})
}

type seeded struct{ *rand.Rand }

func (s seeded) pick(n int, _ string) int { return s.IntN(n) }

// TestHistoriesCatchFaults shows that the histories are sharp enough: each of these faults is found.
func TestHistoriesCatchFaults(t *testing.T) {
	const most = 20000
	for name, faulty := range map[string]func(*observation, time.Time) decision{
		"what the cache does not show is gone": func(o *observation, now time.Time) decision {
			seen := *o
			seen.live = true
			return decide(&seen, now)
		},
		"exit code 0 is success": func(o *observation, now time.Time) decision {
			seen := *o
			seen.pods = nil
			for _, pod := range o.pods {
				p := *pod
				if p.ended() {
					p.deleting, p.disruption = false, nil
				}
				seen.pods = append(seen.pods, &p)
			}
			seen.readings = map[types.UID]podlog.Reading{}
			for uid, r := range o.readings {
				r.Counts.FinishReason = ""
				seen.readings[uid] = r
			}
			return decide(&seen, now)
		},
		"a Pod that has ended outranks a cancellation": func(o *observation, now time.Time) decision {
			if len(o.pods) > 0 && o.pods[0].ended() && o.sj.Spec.Cancellation != nil {
				seen := *o
				seen.sj = o.sj.DeepCopy()
				seen.sj.Spec.Cancellation = nil
				return decide(&seen, now)
			}
			return decide(o, now)
		},
		"the next attempt does not wait": func(o *observation, now time.Time) decision {
			if s := o.sj.Status.Stop; s != nil && s.Retry {
				seen := *o
				seen.job, seen.pods, seen.live, seen.lastPod = nil, nil, true, nil
				return decide(&seen, now)
			}
			return decide(o, now)
		},
		"an ended job is begun again when its Job is gone": func(o *observation, now time.Time) decision {
			d := decide(o, now)
			if o.sj.Status.Phase == v1alpha1.PhaseError && o.job == nil {
				seen := *o
				seen.sj = o.sj.DeepCopy()
				seen.sj.Status, seen.live = v1alpha1.SpiderJobStatus{Phase: v1alpha1.PhasePending}, true
				return decide(&seen, now)
			}
			return d
		},
		"counts are what was read last": func(o *observation, now time.Time) decision {
			seen := *o
			seen.sj = o.sj.DeepCopy()
			previous := seen.sj.Status.Stats
			seen.sj.Status.Stats = nil
			d := decide(&seen, now)
			if d.need == needNothing && d.status.Stats == nil && previous != nil {
				d.status.Stats = &v1alpha1.Stats{Attempt: previous.Attempt, Source: v1alpha1.OriginNone}
			}
			return d
		},
		"the end is not waited for": func(o *observation, now time.Time) decision {
			if o.sj.Spec.Cancellation != nil && o.job != nil && o.job.deleting && !o.sj.Status.Phase.Terminal() {
				d := decision{status: *o.sj.Status.DeepCopy()}
				return d.end(o, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, "", now)
			}
			return decide(o, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(most) {
				if w := live(seeded{rand.New(rand.NewPCG(seed, 1))}, faulty); w.broken != "" {
					return
				}
			}
			t.Fatalf("not found in %d histories", most)
		})
	}
}

// TestHistoriesCatchLostEvents shows that histories find out when an update that matters wakes nobody.
func TestHistoriesCatchLostEvents(t *testing.T) {
	const most = 2000
	for name, drop := range map[string]func(a, b client.Object) (client.Object, client.Object){
		"that a Pod has ended": func(a, b client.Object) (client.Object, client.Object) {
			if pod, ok := b.(*corev1.Pod); ok && podEnded(pod) {
				return a, a
			}
			return a, b
		},
		"that a Pod is being deleted": func(a, b client.Object) (client.Object, client.Object) {
			if b.GetDeletionTimestamp() != nil {
				return a, a
			}
			return a, b
		},
		"that a Job has changed": func(a, b client.Object) (client.Object, client.Object) {
			if _, ok := b.(*batchv1.Job); ok {
				return a, a
			}
			return a, b
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(most) {
				w := newWorld(seeded{rand.New(rand.NewPCG(seed, 1))}, decide)
				w.same = func(a, b client.Object) bool { return sameButVersion(drop(a, b)) }
				if w.live(); w.broken != "" {
					return
				}
			}
			t.Fatalf("not found in %d histories", most)
		})
	}
}

// TestWorldIsFair shows that undisturbed histories end as they should, so that the properties are not kept by doing nothing.
func TestWorldIsFair(t *testing.T) {
	w := newWorld(seeded{rand.New(rand.NewPCG(1, 1))}, decide)
	w.spider.Spec.TimeoutSeconds = nil
	w.settle()
	if w.broken != "" || w.sj.Status.Phase != v1alpha1.PhaseFinished || w.sj.Status.Attempts != 1 || w.jobs != 1 {
		t.Fatalf("ends as %+v %s\n%s", w.sj.Status, w.broken, strings.Join(w.history, "\n"))
	}
	if c := w.sj.Status.Conditions; len(c) != 1 || c[0].Status != metav1.ConditionTrue {
		t.Errorf("conditions are %+v", c)
	}
}
