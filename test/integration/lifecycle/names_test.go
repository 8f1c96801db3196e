package lifecycle

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestAForeignJobIsNotTouched has a Job of the SpiderJob's name that is not its own.
func TestAForeignJobIsNotTouched(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7))
	s.create(&batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "run"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "theirs", Image: "theirs:1"}},
		}}},
	})
	theirs := s.awaitJob("run", "exists", func(*batchv1.Job) bool { return true })
	replica := s.controller()
	s.job("run")
	s.awaitOutcome("run", outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonNameConflict})
	s.awaitEvent("run", v1alpha1.ReasonNameConflict)
	for _, c := range replica.wire.noted() {
		if c.write() && strings.HasPrefix(c.resource, "jobs") && c.verb != "create" {
			t.Errorf("the controller called %s", c)
		}
	}
	s.awaitJob("run", "is still theirs", func(job *batchv1.Job) bool {
		return job.UID == theirs.UID &&
			job.DeletionTimestamp == nil
	})
}

// TestAReplacedSpiderJobWaitsForTheOldOne replaces a running SpiderJob as `kubectl replace --force` does. The new one waits
// until nothing of the old one runs any more, and then runs like any other.
func TestAReplacedSpiderJobWaitsForTheOldOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(inTurn(lingers(3, 2*time.Second), quickCrawl(7)))
	s.controller()
	old := s.job("run")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	s.delete(old)
	s.awaitGone("run")
	s.job("run")
	s.awaitReason("run", v1alpha1.ReasonWaiting)
	if n := s.starts("run"); n != 1 {
		t.Errorf("%d processes were started while the old one was there", n)
	}
	s.awaitOutcome("run", completed)
}

// TestAMissingSpiderIsAnError checks that the SpiderJob waits for the Spider for a moment, and ends if it does not come.
func TestAMissingSpiderIsAnError(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.controller()
	s.job("run")
	s.awaitPhase("run", v1alpha1.PhasePending)
	s.awaitOutcome("run", outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderNotFound})
	s.awaitEvent("run", v1alpha1.ReasonSpiderNotFound)
}

// TestASpiderMayBeCreatedAfterItsSpiderJob creates the Spider after its SpiderJob.
func TestASpiderMayBeCreatedAfterItsSpiderJob(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.controller()
	s.job("run")
	s.awaitReason("run", v1alpha1.ReasonSpiderNotFound)
	s.spider(quickCrawl(7))
	s.awaitOutcome("run", completed)
}

// TestDeletingTheSpiderDoesNotChangeARun deletes the Spider once the Job exists.
func TestDeletingTheSpiderDoesNotChangeARun(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(nil)
	s.controller()
	s.job("run")
	s.awaitPod("run")
	s.delete(&v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "books"}})
	testNode.Serve(s.namespace, quickCrawl(7))
	s.awaitOutcome("run", completed)
}

// TestWhatTheSpiderDoesNotAllowIsInvalid checks that what the Spider does not allow does not run.
func TestWhatTheSpiderDoesNotAllowIsInvalid(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7))
	s.controller()
	s.job("run", func(spec *v1alpha1.SpiderJobSpec) {
		spec.Settings = map[string]v1alpha1.SettingValue{"FEEDS": "{}"}
	})
	sj := s.awaitOutcome("run", outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonInvalidJob})
	if !strings.Contains(sj.Status.Message, "FEEDS") {
		t.Errorf("the message %q does not name the setting", sj.Status.Message)
	}
	if n := s.jobsMade("run"); n != 0 {
		t.Errorf("%d Jobs were made", n)
	}
}
