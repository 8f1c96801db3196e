package harness

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestInvariantsFindForbiddenChanges(t *testing.T) {
	type status = v1alpha1.SpiderJobStatus
	now := metav1.NewTime(time.Unix(1_800_000_000, 0))
	running := status{Phase: v1alpha1.PhaseRunning, Attempts: 1, Stats: &v1alpha1.Stats{ItemsScraped: 5, Attempt: 1}}
	finished := status{Phase: v1alpha1.PhaseFinished, Reason: v1alpha1.ReasonCompleted, FinishedAt: &now, Attempts: 1}
	change := func(from status, how func(*status)) status {
		to := *from.DeepCopy()
		how(&to)
		return to
	}
	for name, tt := range map[string]struct {
		history []status
		says    string // empty if it is allowed
	}{
		"a life": {history: []status{{Phase: v1alpha1.PhasePending}, running, finished, finished}},
		"a queue holds it back": {history: []status{running, {
			Phase: v1alpha1.PhasePending, Reason: v1alpha1.ReasonQueued, Attempts: 1,
		}}},
		"a new attempt counts from zero": {history: []status{running, change(running, func(s *status) {
			s.Attempts, s.Stats.Attempt, s.Stats.ItemsScraped = 2, 2, 0
		})}},
		"it goes back":         {history: []status{running, {Phase: v1alpha1.PhasePending, Attempts: 1}}, says: "Pending again"},
		"an end is taken back": {history: []status{finished, running}, says: "after its end"},
		"an end gets a new cause": {history: []status{finished, change(finished, func(s *status) { s.Reason = "x" })},
			says: "after its end"},
		"an end gets new counts": {history: []status{finished, change(finished, func(s *status) {
			s.Stats = &v1alpha1.Stats{ItemsScraped: 1}
		})}, says: "after its end"},
		"an end without its time": {history: []status{{Phase: v1alpha1.PhaseError}}, says: "finishedAt"},
		"a time without an end":   {history: []status{change(running, func(s *status) { s.FinishedAt = &now })}, says: "finishedAt"},
		"an attempt is forgotten": {history: []status{running, change(running, func(s *status) { s.Attempts = 0 })}, says: "attempts"},
		"items are lost": {history: []status{running, change(running, func(s *status) {
			s.Stats.ItemsScraped = 4
		})}, says: "counted 5 items"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInvariants()
			for _, st := range tt.history {
				job := &v1alpha1.SpiderJob{Status: st}
				job.Namespace, job.Name, job.UID = "shop", "run", "1"
				i.seeJob(job)
			}
			expect(t, i.of("shop"), tt.says)
		})
	}
}

func TestInvariantsSeeTwoPodsAtOnce(t *testing.T) {
	pod := func(name, owner string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{v1alpha1.LabelSpiderJob: owner}},
			Status:     corev1.PodStatus{Phase: phase},
		}
	}
	first, second := pod("run-a", "run", corev1.PodRunning), pod("run-b", "run", corev1.PodPending)
	for name, tt := range map[string]struct {
		happens func(*invariants)
		says    string
	}{
		"one after the other": {happens: func(i *invariants) { i.seePod(first); i.podGone(first); i.seePod(second) }},
		"one after the other's end": {happens: func(i *invariants) {
			i.seePod(first)
			i.seePod(pod("run-a", "run", corev1.PodSucceeded))
			i.seePod(second)
		}},
		"of two jobs": {happens: func(i *invariants) { i.seePod(first); i.seePod(pod("other-a", "other", corev1.PodRunning)) }},
		"of no job": {happens: func(i *invariants) {
			i.seePod(pod("a", "", corev1.PodRunning))
			i.seePod(pod("b", "", corev1.PodRunning))
		}},
		"both at once": {happens: func(i *invariants) { i.seePod(first); i.seePod(second) }, says: "2 live Pods"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInvariants()
			tt.happens(i)
			expect(t, i.of("shop"), tt.says)
		})
	}
}

// expect fails the test unless there is one violation that contains the text, or none if the text is empty.
func expect(t *testing.T, violations []string, says string) {
	t.Helper()
	switch {
	case says == "" && len(violations) > 0:
		t.Errorf("seen where nothing is wrong: %q", violations)
	case says != "" && (len(violations) != 1 || !strings.Contains(violations[0], says)):
		t.Errorf("seen %q, want one that says %q", violations, says)
	}
}
