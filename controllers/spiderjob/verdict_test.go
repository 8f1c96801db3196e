package spiderjob

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestExitCodeIsThatOfAProcessThatRan(t *testing.T) {
	sj := makeSpiderJob().cancelled()
	pod := makePod(makeJob(sj.SpiderJob).Job, "run-a").exited(137, because("ContainerStatusUnknown"),
		func(ended *corev1.ContainerStateTerminated) { ended.StartedAt = metav1.Time{} })
	d := decide(observe(sj).lively().remembering(pod).observation, epoch.Add(time.Minute))
	if d.status.Phase != v1alpha1.PhaseCancelled || d.status.ExitCode != nil {
		t.Errorf("a job whose image was still being pulled ends as %s", d)
	}
	pod = makePod(makeJob(sj.SpiderJob).Job, "run-a").exited(143)
	if d = decide(
		observe(sj).lively().remembering(pod).observation,
		epoch.Add(time.Minute),
	); d.status.ExitCode == nil ||
		*d.status.ExitCode != 143 {
		t.Errorf("a job whose process died of a signal ends as %s", d)
	}
}

func TestDecisivePodIsFoundThoughTheClockWentBack(t *testing.T) {
	job := makeJob(makeSpiderJob().SpiderJob).Job
	later := func(b podBuilder) *podView {
		b.CreationTimestamp = at(time.Hour)
		return b.view()
	}
	failed := later(makePod(job, "run-a").exited(1)) // the first attempt, by a clock that was set back since
	for _, second := range []podBuilder{makePod(job, "run-b"), makePod(job, "run-b").running(), makePod(job, "run-b").exited(0)} {
		pods := []*podView{failed, second.view()}
		sortPods(pods)
		if got := decisivePod(pods); got.name != "run-b" {
			t.Errorf("with the second attempt %s, all rests on %s", second.Status.Phase, got.name)
		}
	}
}

// TestASpiderOfLessThanASecondHasRun checks a container that ends within the second in which it began: its times are whole
// seconds, and it has run nevertheless.
func TestASpiderOfLessThanASecondHasRun(t *testing.T) {
	pod := makePod(makeJob(makeSpiderJob().SpiderJob).Job, "run-a").exited(0)
	ended := pod.Status.ContainerStatuses[0].State.Terminated
	ended.FinishedAt = ended.StartedAt
	if took := ran(pod.view()); took != time.Second {
		t.Errorf("it ran for %v", took)
	}
}
