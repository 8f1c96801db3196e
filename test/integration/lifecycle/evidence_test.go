package lifecycle

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// anotherAttempt is the end of a SpiderJob that was interrupted once, and scraped 8 items in its second attempt.
var anotherAttempt = outcome{
	phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, interruptions: 1, items: 8, final: true,
}

// TestANodeThatLosesAContainerInterrupts checks that a container that its node lost, as in a reboot, is an interruption, not a
// failure of the spider: the node invents its exit code.
func TestANodeThatLosesAContainerInterrupts(t *testing.T) {
	for _, c := range []struct {
		name   string
		madeUp node.Exit
	}{
		{"the runtime makes it up", node.Exit{Code: 255, Reason: "Unknown"}},
		{"the kubelet makes it up", node.Exit{
			Code: 137, Reason: "ContainerStatusUnknown",
			Message: "The container could not be located when the pod was terminated",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(inTurn(longCrawl(3), quickCrawl(8)))
			s.controller()
			s.job("run")
			s.awaitPhase("run", v1alpha1.PhaseRunning)
			s.node.Lose(s.namespace, c.madeUp)
			s.awaitOutcome("run", anotherAttempt)
		})
	}
}

// TestExceedingItsOwnStorageIsTheSpidersFailure checks that a spider that exceeds its own storage limit has failed, since it
// would fail again, and that a node that runs short of storage has interrupted the spider.
func TestExceedingItsOwnStorageIsTheSpidersFailure(t *testing.T) {
	for _, c := range []struct {
		name, message string
		want          outcome
	}{
		{"its volume", `Usage of EmptyDir volume "scrapethis-tmp" exceeds the limit "10Gi". `,
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfStorage, attempts: 1, items: 3}},
		{"its container", `Container spider exceeded its local ephemeral storage limit "1Gi". `,
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfStorage, attempts: 1, items: 3}},
		{"its Pod", `Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. `,
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfStorage, attempts: 1, items: 3}},
		{"the node's", `The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 1Mi. `, anotherAttempt},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(inTurn(longCrawl(3), quickCrawl(8)))
			s.controller()
			s.job("run")
			s.awaitPhase("run", v1alpha1.PhaseRunning)
			s.node.Evict(s.namespace, "Evicted", c.message)
			sj := s.awaitEnd("run")
			got := outcomeOf(sj)
			if c.want.phase == v1alpha1.PhaseError {
				got.items, got.final = c.want.items, c.want.final // whether the counts could be read does not matter here
				if !strings.Contains(sj.Status.Message, strings.TrimSpace(c.message)) {
					t.Errorf("the message %q does not say what was exceeded", sj.Status.Message)
				}
			}
			if got != c.want {
				t.Errorf("the job ended as %s, want %+v", describe(&sj.Status), c.want)
			}
		})
	}
}

// TestOutOfMemoryWithCode0IsAnError has a container exit with 0 though its child was killed for its memory. Only final counts
// make that a success.
func TestOutOfMemoryWithCode0IsAnError(t *testing.T) {
	for _, c := range []struct {
		name string
		exit node.Exit
		want outcome
	}{
		{"without counts", node.Exit{Reason: "OOMKilled"},
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfMemory, attempts: 1}},
		{"with counts", node.Exit{Reason: "OOMKilled", Message: `{"items_scraped": 5, "finish_reason": "finished"}`},
			outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 1, items: 5, final: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(exits(c.exit), ownCommand)
			s.controller()
			s.job("run")
			if sj := s.awaitOutcome("run", c.want); !strings.Contains(sj.Status.Message, "memory") {
				t.Errorf("the message %q does not speak of memory", sj.Status.Message)
			}
		})
	}
}

// TestAPodCleanedUpTooEarlyIsJudgedByItsTraces checks that a run whose end was not seen, and whose Pod somebody has deleted,
// has finished as far as is known. If the kubelet says that it stopped the spider, the run was interrupted.
func TestAPodCleanedUpTooEarlyIsJudgedByItsTraces(t *testing.T) {
	for _, c := range []struct {
		name string
		// clean lets the Pod end and deletes it, while no controller runs.
		clean func(s *stage, pod *corev1.Pod, finish chan<- struct{})
		want  outcome
	}{
		{"it has ended by itself", func(s *stage, pod *corev1.Pod, finish chan<- struct{}) {
			close(finish)
			s.awaitJob("run", "is complete", func(job *batchv1.Job) bool { return job.Status.Succeeded == 1 })
			s.delete(pod)
		}, outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, attempts: 1}},
		{"it was stopped", func(s *stage, pod *corev1.Pod, _ chan<- struct{}) {
			s.delete(pod)
			s.awaitKilling(pod)
		}, anotherAttempt},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			finish := make(chan struct{})
			s.spider(inTurn(crawl(3, finish), quickCrawl(8)))
			replica := s.controller()
			s.job("run")
			pod := s.pod(s.awaitPhase("run", v1alpha1.PhaseRunning))
			replica.kill()
			c.clean(s, pod, finish)
			s.awaitPodGone(pod)
			s.controller()
			sj := s.awaitEnd("run")
			got := outcomeOf(sj)
			if c.want.reason == v1alpha1.ReasonCompletedUnverified {
				got.items = 0 // counts that were read during the run
				if !strings.Contains(sj.Status.Message, "Pod") {
					t.Errorf("the message %q does not say why nothing is verified", sj.Status.Message)
				}
			}
			if got != c.want {
				t.Errorf("the job ended as %s, want %+v", describe(&sj.Status), c.want)
			}
			if n := s.starts("run"); n != int(c.want.attempts) {
				t.Errorf("%d processes were started, want %d", n, c.want.attempts)
			}
		})
	}
}

// TestAJobsOwnDeadlineIsJudgedBeforeTheDeletionItCaused has a Job with a deadline of its own, from the version before or from
// a policy: it stops its Pod when the deadline is over. That deadline, and not the deletion that followed, ended the run: a
// run that took too long does not run again.
func TestAJobsOwnDeadlineIsJudgedBeforeTheDeletionItCaused(t *testing.T) {
	for _, away := range []bool{false, true} {
		for _, process := range []struct {
			name    string
			program node.Program
			change  []func(*v1alpha1.SpiderSpec)
		}{
			{"Scrapy exits with 0", longCrawl(3), nil},
			{"the process dies", dies, with(ownCommand)},
		} {
			name := process.name
			if away {
				name += ", while no controller runs"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				s.node.RemoveAfter(s.namespace, 3*time.Second)
				s.spider(process.program, process.change...)
				replica := s.controller()
				s.job("run")
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				if away {
					replica.kill()
				}
				s.update(&batchv1.Job{}, "run", func(object client.Object) {
					object.(*batchv1.Job).Spec.ActiveDeadlineSeconds = ptr.To[int64](1)
				})
				if away {
					s.awaitJob("run", "has failed", func(job *batchv1.Job) bool {
						return len(job.Status.Conditions) > 0 && job.Status.Active == 0
					})
					s.controller()
				}
				sj := s.awaitEnd("run")
				if st := &sj.Status; st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonDeadlineExceeded || st.Attempts != 1 {
					t.Errorf("the job ended as %s", describe(st))
				}
				if n := s.starts("run"); n != 1 {
					t.Errorf("%d processes were started", n)
				}
			})
		}
	}
}

// awaitKilling waits until the kubelet has reported that it stops a Pod's spider.
func (s *stage) awaitKilling(pod *corev1.Pod) {
	s.Helper()
	s.eventually("the kubelet has said that it stops the spider", func() bool {
		var events corev1.EventList
		if err := cluster.Client.List(s.Context(), &events, client.InNamespace(s.namespace)); err != nil {
			s.Fatalf("list the Events: %v", err)
		}
		for i := range events.Items {
			if e := &events.Items[i]; e.Reason == "Killing" && e.InvolvedObject.UID == pod.UID {
				return true
			}
		}
		return false
	})
}

func (s *stage) awaitPodGone(pod *corev1.Pod) {
	s.Helper()
	s.eventually("Pod "+pod.Name+" is gone", func() bool {
		err := cluster.Client.Get(s.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{})
		if client.IgnoreNotFound(err) != nil {
			s.Fatalf("get Pod %s: %v", pod.Name, err)
		}
		return err != nil
	})
}
