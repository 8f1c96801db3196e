package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// suspend does to a Job what a queue like Kueue does: it takes the Job back, or admits it.
func suspend(n *harness.Namespace, job, suspended string) {
	n.Run("", "patch", "job", job, "--type=merge", "--patch", `{"spec": {"suspend": `+suspended+`}}`)
}

// TestAJobThatAQueueTakesBackWaitsAndStartsAgain has a queue stop a Scrapy, which exits with 0. That is not the end: the job
// waits for the queue, and then starts again.
func TestAJobThatAQueueTakesBackWaitsAndStartsAgain(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("category", func(spec *v1alpha1.SpiderSpec) {
		leisurely(spec)
		spec.Settings["DOWNLOAD_DELAY"] = "0.6" // on a busy machine it takes seconds to suspend it
	})
	name := n.Start("queued", "category", map[string]string{"category": "Travel"})
	pod := opened(n, name)
	suspend(n, name, "true")

	st := n.AwaitReason(name, v1alpha1.ReasonQueued, soon).Status
	if st.Phase != v1alpha1.PhasePending || st.Interruptions != 1 || st.Stats == nil || !st.Stats.Final ||
		st.Stats.FinishReason != "shutdown" {
		t.Errorf("taken back, it is %s, %s: %s, after %d interruptions, stats %+v", st.Phase, st.Reason, st.Message,
			st.Interruptions, st.Stats)
	}
	n.AwaitGone(&corev1.Pod{}, pod.Name, soon)
	suspend(n, name, "false")
	st = n.AwaitEnd(name, crawl).Status
	if st.Phase != v1alpha1.PhaseFinished || st.Attempts != 2 || st.Interruptions != 1 || st.Stats.ItemsScraped != 30 ||
		!st.Stats.Final {
		t.Errorf("ended %s, %s: %s, after %d attempts and %d interruptions, stats %+v",
			st.Phase, st.Reason, st.Message, st.Attempts, st.Interruptions, st.Stats)
	}
}

func TestAQueuedJobIsCancelledWithoutRunningAgain(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("endless", endlessly)
	api := n.API("")
	name := n.Start("queued", "endless", nil)
	pod := opened(n, name)
	suspend(n, name, "true")
	id := n.AwaitReason(name, v1alpha1.ReasonQueued, soon).ID()
	api.Await(id, "waits", atOnce, func(job harness.Job) bool { return job.Status == "pending" })
	n.Run("", "patch", "spiderjob", name, "--type=merge", "--patch", `{"spec": {"cancellation": {}}}`)
	st := n.AwaitEnd(name, soon).Status
	if st.Phase != v1alpha1.PhaseCancelled || st.Attempts != 1 || st.PodName != pod.Name {
		t.Errorf("ended %s, %s: %s, after %d attempts, Pod %s", st.Phase, st.Reason, st.Message, st.Attempts, st.PodName)
	}
	n.Gone(name)
}
