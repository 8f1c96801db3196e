package spiderjob

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
)

// TestARefusedDeletionIsExplained has a Pod lose its Job before it starts, while a webhook refuses the Pod's deletion.
func TestARefusedDeletionIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{begun: time.Now(), rng: rand.New(rand.NewPCG(1, 1)), truth: newTruth()}
		defer h.end()
		h.cluster = simulated.New("north")
		h.cluster.Slim, h.cluster.Tell = slimmed, func(string, ...any) {}
		h.cluster.Script = func(*corev1.Pod) simulated.PodScript {
			return simulated.PodScript{Unmountable: time.Now().Add(simulated.Forever)}
		}
		h.createSpider("shop")
		h.leaders = []*process{h.newProcess(1, 0, func(simulated.Kind) int { return 0 })}
		h.createSpiderJob("shop", "run")
		h.pass(time.Second)
		h.cluster.Admission = []simulated.Admission{{Verb: "delete", Kind: simulated.Pods, Answer: simulated.Fails}}
		h.cluster.DeleteAs("a user", h.cluster.AllJobs()[0], metav1.DeleteOptions{})
		h.pass(10 * time.Second)

		st := h.spiderJob(t, "shop", "run").Status
		if st.Reason != v1alpha1.ReasonWaiting || !strings.Contains(st.Message, "has lost its Job") ||
			!strings.Contains(st.Message, "webhook") {
			t.Errorf("it waits and says %s/%s %q", st.Phase, st.Reason, st.Message)
		}
	})
}
