package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// limits applies the namespace's SpiderQuota as platform teams do.
func limits(n *harness.Namespace, spec string) {
	n.Run(`{"apiVersion": "scrapethis.app/v1alpha1", "kind": "SpiderQuota", "metadata": {"name": "default"}, "spec": `+spec+`}`,
		"apply", "--filename=-")
}

// TestLimitsHoldRunsBack starts forty runs where five may run at once, and watches that there are never six Pods.
func TestLimitsHoldRunsBack(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	limits(n, `{"maxRunning": 5}`)
	n.Counter("counter")
	const runs = 40
	for i := range runs {
		n.Start(fmt.Sprintf("run-%02d", i), "counter", map[string]string{"n": "20", "delay": "100ms"})
	}
	most, waited := 0, false
	cluster.Eventually(t, 4*time.Minute, "all runs have finished", func(ctx context.Context) error {
		var jobs v1alpha1.SpiderJobList
		if err := cluster.Client.List(ctx, &jobs, client.InNamespace(n.Name)); err != nil {
			return err
		}
		ended, busy := 0, 0
		for i := range jobs.Items {
			st := &jobs.Items[i].Status
			switch {
			case st.Phase == v1alpha1.PhaseFinished:
				ended++
			case st.Phase.Terminal():
				t.Errorf("%s ended %s, %s: %s", jobs.Items[i].Name, st.Phase, st.Reason, st.Message)
			case st.JobUID != "" || st.Phase == v1alpha1.PhaseRunning:
				busy++
			case st.Reason == v1alpha1.ReasonQueued && st.Message == "waits for 1 of 5 places of the namespace":
				waited = true
			}
		}
		most = max(most, busy)
		if ended < runs {
			return fmt.Errorf("%d of %d have", ended, runs)
		}
		return nil
	})
	if most > 5 || most < 4 {
		t.Errorf("%d ran at once, and 5 may", most)
	}
	if !waited {
		t.Error("none said what it waits for")
	}
}

// TestAGroupIsLimitedAcrossItsSpiders has two spiders of one site, and a third that does not wait behind them.
func TestAGroupIsLimitedAcrossItsSpiders(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	limits(n, `{"groups": [{"name": "shop.example", "max": 1}]}`)
	inGroup := func(spec *v1alpha1.SpiderSpec) { spec.Concurrency = &v1alpha1.Concurrency{Group: "shop.example"} }
	n.Counter("books", inGroup)
	n.Counter("films", inGroup)
	n.Counter("other")
	slow := map[string]string{"n": "1000", "delay": "100ms"}
	n.Start("first", "books", slow)
	n.AwaitPhase("first", v1alpha1.PhaseRunning, soon)
	n.Start("second", "films", map[string]string{"n": "1"})
	if st := n.AwaitReason("second", v1alpha1.ReasonQueued, soon).Status; st.Message != "waits for 1 of 1 places of group shop.example" {
		t.Errorf("it says: %s", st.Message)
	}
	n.Start("third", "other", map[string]string{"n": "1"})
	n.AwaitPhase("third", v1alpha1.PhaseFinished, soon)
	n.Run("", "patch", "spiderjob", "first", "--type=merge", "--patch", `{"spec": {"cancellation": {"gracePeriodSeconds": 1}}}`)
	if st := n.AwaitPhase("second", v1alpha1.PhaseFinished, soon).Status; st.Attempts != 1 {
		t.Errorf("it took %d attempts", st.Attempts)
	}
}
