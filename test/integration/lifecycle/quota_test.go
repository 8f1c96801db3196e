package lifecycle

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// quota limits the number of Pods of a namespace that have not ended, and waits until that is in force.
func (s *stage) quota(pods string) {
	s.Helper()
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "pods"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(pods)}},
	}
	s.create(quota)
	s.eventually("the quota is in force", func() bool {
		s.get(quota, quota.Name)
		return len(quota.Status.Hard) > 0
	})
}

// TestABacklogBehindAQuotaCostsFewCalls has thirty jobs wait in a namespace that may have one Pod. They cost few calls, the
// oldest run first, and all come to their ends.
func TestABacklogBehindAQuotaCostsFewCalls(t *testing.T) {
	t.Parallel()
	const (
		backlog = 30
		// atOnce bounds the Jobs of a namespace that may exist while quota refuses their Pods.
		atOnce = 4
		window = 15 * time.Second
		// refusals bounds how often the Job controller may fail to create a Pod for so few Jobs: its back-off grows.
		refusals = 3 * atOnce
	)
	s := newStage(t)
	s.patience = 3 * time.Minute
	s.quota("1")
	free := make(chan struct{})
	s.spider(inTurn(func(p *node.Process) node.Exit {
		if p.Pod.Labels[v1alpha1.LabelSpiderJob] == "run-00" {
			return crawl(7, free)(p)
		}
		return quickCrawl(7)(p)
	}))
	replica := s.controller()
	s.job("run-00")
	s.awaitPhase("run-00", v1alpha1.PhaseRunning)
	for i := range backlog - 1 {
		s.job(fmt.Sprintf("run-%02d", i+1))
	}
	for i := range backlog - 1 {
		s.awaitReason(fmt.Sprintf("run-%02d", i+1), v1alpha1.ReasonQuotaExceeded)
	}
	settle()
	before, refused := len(replica.wire.noted()), s.refusedPods()
	time.Sleep(window)
	calls := replica.wire.noted()[before:]
	if len(calls) > int(window/time.Second) {
		t.Errorf("%d calls in %s, want at most one a second:\n%s", len(calls), window, joined(calls))
	}
	existing := 0
	s.history.look(func() { existing = len(s.history.jobs) })
	if existing > 1+atOnce {
		t.Errorf("%d Jobs exist, want the one that runs and at most %d", existing, atOnce)
	}
	if n := s.refusedPods() - refused; n > refusals {
		t.Errorf("the Job controller has tried %d times in %s to create a Pod, want at most %d", n, window, refusals)
	}

	close(free)
	s.awaitOutcome("run-00", completed)
	s.eventually("some more have run", func() bool { return len(s.node.Runs(s.namespace)) > 3 })
	for i, run := range s.node.Runs(s.namespace)[:4] {
		var place int
		if _, err := fmt.Sscanf(run.SpiderJob, "run-%d", &place); err != nil || place > i+atOnce {
			t.Errorf("the one that ran as number %d was %s", i, run.SpiderJob)
		}
	}
	s.update(&corev1.ResourceQuota{}, "pods", func(object client.Object) {
		object.(*corev1.ResourceQuota).Spec.Hard[corev1.ResourcePods] = resource.MustParse("100")
	})
	for i := range backlog {
		s.awaitOutcome(fmt.Sprintf("run-%02d", i), completed)
	}
}

// TestJobsThatShareAQuotaRunOneAfterTheOther checks that a few jobs that share the room of one Pod run one after the other, by
// themselves, the oldest first.
func TestJobsThatShareAQuotaRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const jobs = 6
	s := newStage(t)
	s.patience = 3 * time.Minute
	s.quota("1")
	s.spider(quickCrawl(7))
	s.controller()
	for _, name := range names("run", jobs) {
		s.job(name)
	}
	for _, name := range names("run", jobs) {
		s.awaitOutcome(name, completed)
		if n := s.starts(name); n != 1 {
			t.Errorf("SpiderJob %s took %d processes", name, n)
		}
	}
}

// TestAJobThatWaitsForQuotaIsCancelled checks that a job that waits for quota without a Job is cancelled like any other.
func TestAJobThatWaitsForQuotaIsCancelled(t *testing.T) {
	t.Parallel()
	const jobs = 8
	s := newStage(t)
	s.quota("0")
	s.spider(quickCrawl(7))
	s.controller()
	for _, name := range names("run", jobs) {
		s.job(name)
	}
	for _, name := range names("run", jobs) {
		s.awaitReason(name, v1alpha1.ReasonQuotaExceeded)
		s.cancel(name, nil)
	}
	for _, name := range names("run", jobs) {
		s.awaitOutcome(name, cancelled(0, 0, false))
		s.awaitNoJob(name)
	}
}

// refusedPods returns how often the Job controller has reported that it could not create a Pod.
func (s *stage) refusedPods() int {
	s.Helper()
	var events corev1.EventList
	if err := cluster.Client.List(s.Context(), &events, client.InNamespace(s.namespace)); err != nil {
		s.Fatalf("list the Events: %v", err)
	}
	n := 0
	for i := range events.Items {
		if e := &events.Items[i]; e.Reason == "FailedCreate" && e.InvolvedObject.Kind == "Job" {
			n += int(max(e.Count, 1))
		}
	}
	return n
}
