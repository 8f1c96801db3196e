package controllers

import (
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestPreemptionCountsOnce counts a preemption once, whichever way it shows: as a Pod that vanished from a suspended Job, or
// as a Pod that was seen to be deleted, which is followed by a Job that has yet to be admitted.
func TestPreemptionCountsOnce(t *testing.T) {
	const now = time.Minute
	running := makeSpiderJob().running("run-a")
	job := makeJob(running.SpiderJob)

	vanished := decide(observe(running).withJob(job.suspended()).observation, epoch.Add(now))
	if n := vanished.status.Interruptions; n != 1 {
		t.Errorf("a Pod that vanished from a suspended Job makes %d interruptions, want 1", n)
	}
	queued := makeSpiderJob()
	queued.Status = vanished.status
	second := makePod(makeJob(running.SpiderJob).Job, "run-b").running()
	resumed := decide(observe(queued).withJob(makeJob(running.SpiderJob)).withPods(second).observation, epoch.Add(now))
	if st := resumed.status; st.Phase != v1alpha1.PhaseRunning || st.Interruptions != 1 || st.Attempts != 2 {
		t.Errorf("once resumed it is %s, with %d interruptions and %d attempts, want Running, 1 and 2", st.Phase, st.Interruptions, st.Attempts)
	}

	next := makeSpiderJob().running("run-a").interrupted(1)
	next.Status.Reason = v1alpha1.ReasonInterrupted
	waiting := decide(observe(next).withJob(makeJob(next.SpiderJob).uid("job-2").suspended()).observation, epoch.Add(now))
	if st := waiting.status; st.Phase != v1alpha1.PhasePending || st.Reason != v1alpha1.ReasonQueued || st.Interruptions != 1 {
		t.Errorf("the next attempt is %s/%s with %d interruptions, want Pending/Queued with 1", st.Phase, st.Reason, st.Interruptions)
	}
}
