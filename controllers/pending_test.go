package controllers

import (
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestPreemptionCountsOnce counts a preemption once, whichever way it shows: as a Pod that vanished from a suspended Job, or
// as one that was seen to end; and the Pod that is made when the Job is resumed as another attempt.
func TestPreemptionCountsOnce(t *testing.T) {
	running := makeSpiderJob().running("run-a")
	pod := makePod(makeJob(running.SpiderJob).Job, "run-a").exited(0).deleting()
	taken := makeJob(running.SpiderJob).suspended()
	for name, history := range map[string][]observing{
		"it vanished":            {observe(running).withJob(taken)},
		"it was seen to end":     {observe(running).withJob(taken).withPods(pod).reads(finalReading(4, "shutdown"))},
		"it was seen for long":   {observe(running).withJob(taken).withPods(pod).reads(finalReading(4, "shutdown")), observe(running).withJob(taken).withPods(pod)},
		"it ended, and was gone": {observe(running).withJob(taken).withPods(pod).reads(finalReading(4, "shutdown")), observe(running).withJob(taken)},
	} {
		t.Run(name, func(t *testing.T) {
			second := makePod(makeJob(running.SpiderJob).Job, "run-b").running()
			status := running.Status
			for _, see := range append(history, observe(running).withJob(makeJob(running.SpiderJob)).withPods(second)) {
				see.sj = see.sj.DeepCopy()
				see.sj.Status = status
				d := decide(see.observation, epoch.Add(time.Minute))
				if status = d.status; status.Interruptions != 1 || d.action.kind != doNothing {
					t.Fatalf("%d interruptions, want 1, and action %d", status.Interruptions, d.action.kind)
				}
			}
			if status.Phase != v1alpha1.PhaseRunning || status.Attempts != 2 {
				t.Errorf("once resumed it is %s with %d attempts, want Running with 2", status.Phase, status.Attempts)
			}
		})
	}
}

// TestNextAttemptQueues counts nothing for the Job of a new attempt that has yet to be admitted.
func TestNextAttemptQueues(t *testing.T) {
	next := makeSpiderJob().running("run-a").interrupted(1)
	next.Status.Reason = v1alpha1.ReasonInterrupted
	d := decide(observe(next).withJob(makeJob(next.SpiderJob).uid("job-2").suspended()).observation, epoch.Add(time.Minute))
	if st := d.status; st.Phase != v1alpha1.PhasePending || st.Reason != v1alpha1.ReasonQueued || st.Interruptions != 1 {
		t.Errorf("the next attempt is %s/%s with %d interruptions, want Pending/Queued with 1", st.Phase, st.Reason, st.Interruptions)
	}
}
