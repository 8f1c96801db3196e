package spiderjob

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
)

// TestTroubleOfOneNamespaceDelaysNoOther checks that the trouble of one namespace, whichever of its calls hangs, delays the
// cancellations and ends of another by a moment at most.
func TestTroubleOfOneNamespaceDelaysNoOther(t *testing.T) {
	const (
		workers = 16
		many    = 60 // SpiderJobs of the namespace in trouble
		moment  = 3 * time.Second
	)
	for _, hangs := range []simulated.Admission{
		{Verb: "create", Kind: simulated.Jobs},
		{Verb: "delete", Kind: simulated.Pods},
		{Verb: "update", Kind: simulated.SpiderJobs, Status: true},
	} {
		t.Run(fmt.Sprintf("%s %s hangs", hangs.Verb, hangs.Kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &history{begun: time.Now(), rng: rand.New(rand.NewPCG(1, 1)), truth: newTruth()}
				defer h.end()
				h.cluster = simulated.New("north", "south", "west")
				h.cluster.Slim, h.cluster.Tell = slimmed, func(string, ...any) {}
				h.cluster.Script = func(pod *corev1.Pod) simulated.PodScript {
					s := simulated.Script{Runs: simulated.Forever, FinishReason: "finished"}
					if pod.Namespace == "well" && pod.Labels[v1alpha1.LabelSpiderJob] == "ends" {
						s.Runs = 95 * time.Second
					}
					return simulated.PodScript{Spider: s}
				}
				h.createSpider("ill")
				h.createSpider("well")
				h.leaders = []*process{h.newProcess(workers, 0, func(simulated.Kind) int { return 0 })}
				hangs.Namespace, hangs.Answer = "ill", simulated.Hangs
				if hangs.Verb == "create" {
					h.cluster.Admission = []simulated.Admission{hangs}
				}
				for i := range many {
					h.createSpiderJob("ill", fmt.Sprintf("job-%d", i))
				}
				const cancelled = 8
				for i := range cancelled {
					h.createSpiderJob("well", fmt.Sprintf("cancelled-%d", i))
				}
				h.createSpiderJob("well", "ends")
				h.pass(60 * time.Second)
				if hangs.Verb != "create" {
					h.cluster.Admission = []simulated.Admission{hangs}
					for _, sj := range h.cluster.AllSpiderJobs() {
						if sj.Namespace == "ill" {
							h.cluster.Cancel(sj, nil)
						}
					}
				}
				h.pass(3 * time.Second)
				for i := range cancelled {
					sj := h.spiderJob(t, "well", fmt.Sprintf("cancelled-%d", i))
					if sj.Status.Phase != v1alpha1.PhaseRunning {
						t.Errorf("a minute after its creation %s is %s/%s %q", sj.Name, sj.Status.Phase, sj.Status.Reason, sj.Status.Message)
					}
					h.cluster.Cancel(sj, nil)
					h.pass(moment)
					for _, pod := range h.podsOf(sj.UID) {
						if !podEnded(pod) && pod.DeletionTimestamp == nil {
							t.Errorf("%s after its cancellation Pod %s has not been stopped", moment, pod.Name)
						}
					}
				}
				if h.truth.hung < workers {
					t.Fatalf("only %d calls hung", h.truth.hung)
				}
				h.pass(95*time.Second - time.Since(h.begun))
				h.pass(moment)
				if sj := h.spiderJob(t, "well", "ends"); !sj.Status.Phase.Terminal() {
					t.Errorf("%s after its end it is %s/%s %q", moment, sj.Status.Phase, sj.Status.Reason, sj.Status.Message)
				}
			})
		})
	}
}

// pass lets time pass while everything happens as soon as it can.
func (h *history) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		h.promptly(250 * time.Millisecond)
	}
}

func (h *history) spiderJob(t *testing.T, namespace, name string) *v1alpha1.SpiderJob {
	t.Helper()
	for _, sj := range h.cluster.AllSpiderJobs() {
		if sj.Namespace == namespace && sj.Name == name {
			return sj
		}
	}
	t.Fatalf("SpiderJob %s/%s is gone", namespace, name)
	return nil
}
