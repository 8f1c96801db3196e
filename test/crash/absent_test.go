package crash

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// mortal logs its progress as Scrapy does, and dies of the signal that asks it to end.
const mortal = `
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)
n = 0
while True:
    n += 5
    print("2026-11-23 12:00:00 [scrapy.extensions.logstats] INFO: "
          f"Crawled {n} pages (at 60 pages/min), scraped {n} items (at 60 items/min)")
    time.sleep(1)
`

// TestEndsWithoutAControllerAreRecordedTruly has jobs end while no controller runs. What the Pods have left has to be enough,
// and if they are gone, what was known of them before.
func TestEndsWithoutAControllerAreRecordedTruly(t *testing.T) {
	n := cluster.Namespace(t)
	slow := func(spec *v1alpha1.SpiderSpec) { spec.Name = "slow" }
	n.Scrapy("ends", slow, scrapySettings, func(spec *v1alpha1.SpiderSpec) { spec.InterruptionPolicy = v1alpha1.InterruptionFail })
	n.Scrapy("again", slow, scrapySettings)
	n.Python("mortal", mortal, func(spec *v1alpha1.SpiderSpec) {
		spec.StatsSource = v1alpha1.StatsFromScrapy
		spec.InterruptionPolicy = v1alpha1.InterruptionFail
	})
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) { spec.Retries = ptr.To[int32](3) })
	seen := watchPods(t, n)
	jobs := fleet{}
	disturbed := []string{"ends", "again", "mortal"}
	for _, name := range disturbed {
		spec := v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: name}}
		if name == "again" {
			spec.Settings = map[string]v1alpha1.SettingValue{"CLOSESPIDER_ITEMCOUNT": "25"}
		}
		jobs.start(n, t, name, spec, -1)
	}
	for _, name := range disturbed {
		n.Await(name, "has scraped something", soon, func(job *v1alpha1.SpiderJob) bool {
			return job.Status.Stats != nil && job.Status.Stats.ItemsScraped > 0
		})
	}
	jobs.start(n, t, "counter", counting(50), 50)
	jobs.start(n, t, "cancelled", counting(10_000), -1)
	pod := n.AwaitPod("counter", "runs", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
	n.AwaitPhase("cancelled", v1alpha1.PhaseRunning, soon)

	scale(t, 0)
	known := map[string]v1alpha1.SpiderJobStatus{}
	for _, name := range disturbed {
		known[name] = n.AwaitPhase(name, v1alpha1.PhaseRunning, soon).Status
		n.Run("", "delete", "pod", known[name].PodName, "--wait=false")
	}
	n.Run("", "patch", "spiderjob", "cancelled", "--type=merge", "--patch", `{"spec": {"cancellation": {}}}`)
	jobs.start(n, t, "late", counting(10), 10)
	n.AwaitPod("counter", "has ended", soon, func(now *corev1.Pod) bool {
		return now.UID == pod.UID && now.Status.Phase == corev1.PodSucceeded
	})
	for _, name := range disturbed {
		n.AwaitGone(&corev1.Pod{}, known[name].PodName, soon)
	}
	setReplicas(t.Context(), t, 1)

	seen.ranOnce(t, "counter", 50)
	seen.ranOnce(t, "late", 10)
	if st := n.AwaitEnd("cancelled", soon).Status; st.Phase != v1alpha1.PhaseCancelled || st.Stats.ItemsScraped == 0 ||
		!st.Stats.Final {
		t.Errorf("what was cancelled while no controller ran ended %s, %s: %s, counts %+v", st.Phase, st.Reason, st.Message, st.Stats)
	}
	// Its Pod is gone, and with it what the spider wrote last: the known counts are kept, and marked as not final. The kubelet's
	// Event shows that it was stopped.
	for _, name := range []string{"ends", "mortal"} {
		st := n.AwaitEnd(name, soon).Status
		if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonInterrupted || st.Attempts != 1 {
			t.Errorf("%s ended %s, %s: %s, after %d attempts", name, st.Phase, st.Reason, st.Message, st.Attempts)
		}
		if !reflect.DeepEqual(st.Stats, known[name].Stats) || st.Stats.Final {
			t.Errorf("of %s the counts %+v were known, and now are %+v", name, known[name].Stats, st.Stats)
		}
	}
	st := n.AwaitEnd("again", storm).Status
	if wrote, reported := written(t, n.Log(st.PodName)); !reported || st.Phase != v1alpha1.PhaseFinished || st.Attempts != 2 ||
		st.Interruptions != 1 ||
		st.Stats.Attempt != 2 || st.Stats.ItemsScraped != wrote || !st.Stats.Final {
		t.Errorf("the retried job ended %s, %s: %s, after %d attempts and %d interruptions, counts %+v; its spider wrote %d",
			st.Phase, st.Reason, st.Message, st.Attempts, st.Interruptions, st.Stats, wrote)
	}
}
