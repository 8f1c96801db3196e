package spiderjob

import (
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/admission"
)

const fullGroup = "waits for 1 of 2 places of group shop.example"

// parkedBy has the limits of the namespace hold a SpiderJob back.
func (b observing) parkedBy(message string) observing {
	b.admission = admissionVerdict{parked: true, message: message}
	return b
}

// TestParked asserts what a SpiderJob does that limits hold back, and what follows when they no longer do.
func TestParked(t *testing.T) {
	waits := makeSpiderJob()
	waits.Status = v1alpha1.SpiderJobStatus{
		Phase: v1alpha1.PhasePending, Reason: v1alpha1.ReasonQueued, Message: "waits for 1 of 9 places of user ann", ObservedGeneration: 1,
	}
	impatient := makeSpiderJob()
	impatient.Spec.MaxWaitSeconds = ptr.To[int64](60)

	d := decide(observe(makeSpiderJob()).parkedBy(fullGroup).observation, epoch.Add(time.Second))
	if d.action.kind != doNothing || d.need != needNothing || d.status.Reason != v1alpha1.ReasonQueued || d.status.Message != fullGroup {
		t.Errorf("a new one: %s", d)
	}
	d = decide(observe(waits).parkedBy(fullGroup).observation, epoch.Add(time.Hour))
	if d.action.kind != doNothing || d.need != needNothing || !sameStatus(d.status, waits.Status) {
		t.Errorf("one that has said what it waits for writes again: %s", d)
	}
	waits.Status.Message = admission.SettlingMessage
	d = decide(observe(waits).parkedBy(fullGroup).observation, epoch.Add(time.Hour))
	if d.status.Message != fullGroup {
		t.Errorf("one that has waited for a new leader says so for ever: %s", d)
	}
	d = decide(observe(makeSpiderJob()).parkedBy("").observation, epoch.Add(time.Second))
	if d.action.kind != doNothing || d.status.Reason != "" {
		t.Errorf("one that waits for a moment says so: %s", d)
	}
	d = decide(observe(waits).lively().observation, epoch.Add(2*time.Hour))
	if d.action.kind != createJob || d.status.Reason != v1alpha1.ReasonCreated || d.status.AttemptFrom == nil {
		t.Errorf("one that is admitted: %s", d)
	}

	d = decide(observe(impatient).parkedBy(fullGroup).observation, epoch.Add(20*time.Second))
	if d.status.Phase.Terminal() || d.after != 40*time.Second {
		t.Errorf("before its time is over: %s", d)
	}
	if d = decide(observe(impatient).parkedBy(fullGroup).observation, epoch.Add(time.Minute)); d.need != needLive {
		t.Errorf("ends without a live look: %s", d)
	}
	d = decide(observe(impatient).parkedBy(fullGroup).lively().observation, epoch.Add(time.Minute))
	if d.status.Phase != v1alpha1.PhaseError || d.status.Reason != v1alpha1.ReasonMaxWaitExceeded ||
		!strings.Contains(d.status.Message, fullGroup) {
		t.Errorf("when its time is over: %s", d)
	}
}

// TestStartDeadlineBeginsWithTheAdmission asserts that the time before counts in no start deadline.
func TestStartDeadlineBeginsWithTheAdmission(t *testing.T) {
	sj := makeSpiderJob()
	sj.Spec.StartDeadlineSeconds = ptr.To[int64](60)
	if d := decide(observe(sj).parkedBy(fullGroup).lively().observation, epoch.Add(time.Hour)); d.status.Phase.Terminal() {
		t.Errorf("a start deadline ends what limits hold back: %s", d)
	}
	sj.Status = v1alpha1.SpiderJobStatus{Phase: v1alpha1.PhasePending, Reason: v1alpha1.ReasonQueued, Message: fullGroup}
	if d := decide(observe(sj).lively().observation, epoch.Add(time.Hour)); d.action.kind != createJob {
		t.Errorf("the time before the admission counts in its start deadline: %s", d)
	}
}
