package spiderjob

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestPreemptionCountsOnce checks that a preemption counts once, whether its Pod vanished from a suspended Job or was seen to
// end, and that the Pod made when the Job is resumed is another attempt.
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

// TestANextAttemptThatIsQueuedCountsNothing checks that the suspended Job of a new attempt is no interruption.
func TestANextAttemptThatIsQueuedCountsNothing(t *testing.T) {
	next := makeSpiderJob().running("run-a").interrupted(1)
	next.Status.Reason = v1alpha1.ReasonInterrupted
	d := decide(observe(next).withJob(makeJob(next.SpiderJob).uid("job-2").suspended()).observation, epoch.Add(time.Minute))
	if st := d.status; st.Phase != v1alpha1.PhasePending || st.Reason != v1alpha1.ReasonQueued || st.Interruptions != 1 {
		t.Errorf("the next attempt is %s/%s with %d interruptions, want Pending/Queued with 1", st.Phase, st.Reason, st.Interruptions)
	}
}

// TestEventsAreReadAgainAtGrowingIntervals has Events say nothing of a Job without a Pod, or of a Pod that does not start:
// they are read again after about as long as the trouble has lasted, and the SpiderJob is hardly looked at in between.
func TestEventsAreReadAgainAtGrowingIntervals(t *testing.T) {
	job := makeJob(makeSpiderJob().SpiderJob)
	pod := makePod(job.Job, "run-a")
	for name, test := range map[string]struct {
		see   observing
		of    types.UID
		asked []int
	}{
		"no Pod":                {observe(makeSpiderJob()).withJob(job), job.UID, []int{2, 7, 14, 28, 56, 112, 172}},
		"a Pod that starts not": {observe(makeSpiderJob()).withJob(job).withPods(pod), pod.UID, []int{6, 11, 21, 41, 81, 141}},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []int
			looks := 0
			for now := time.Duration(0); now < 3*time.Minute; looks++ {
				d := decide(test.see.observation, epoch.Add(now))
				if d.need != needNothing {
					asked = append(asked, int(now.Seconds()))
					test.see.words = eventWords{of: test.of, at: epoch.Add(now)}
					d = decide(test.see.observation, epoch.Add(now))
				}
				if d.after <= 0 {
					t.Fatalf("after %s no further look is planned", now)
				}
				now += d.after
			}
			if !slices.Equal(asked, test.asked) {
				t.Errorf("Events are asked after %v s, want %v", asked, test.asked)
			}
			if most := len(asked) + 3; looks > most {
				t.Errorf("it is looked at %d times, want at most %d", looks, most)
			}
		})
	}
}
