package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

func TestACancelledCrawlClosesAndKeepsItsCount(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("slow")
	api := n.API("alice")
	id := api.Start("slow", nil)
	pod := crawling(n, id)
	log := n.FollowLog(pod.Name)

	api.Cancel(id)
	job := api.Get(id)
	if job.Status != "cancelled" || !job.FinishedAt.IsZero() || job.CancelRequestedAt.IsZero() {
		t.Errorf("right after the cancel the job is %s, finished at %v, asked to stop at %v",
			job.Status, job.FinishedAt, job.CancelRequestedAt)
	}
	if jobs := api.List("?status=cancelled"); len(jobs) != 1 || jobs[0].ID != id {
		t.Errorf("right after the cancel the cancelled jobs are %+v", jobs)
	}
	api.Cancel(id) // twice is the same as once

	job = api.Wait(id, soon)
	n.Gone(id)
	said := log()
	if !strings.Contains(said, "'finish_reason': 'shutdown'") {
		t.Errorf("Scrapy did not close by itself:\n%s", said)
	}
	if job.Status != "cancelled" || job.Reason != v1alpha1.ReasonCancelled || !strings.Contains(job.Message, "alice") {
		t.Errorf("the job ended %s, %s: %s", job.Status, job.Reason, job.Message)
	}
	if want := dumpedItems(t, said); job.Items() != want || want == 0 || !job.Stats.Final {
		t.Errorf("%d items are shown (final: %t), Scrapy dumped %d", job.Items(), job.Stats.Final, want)
	}
	api.Cancel(id) // a cancelled job that has ended is cancelled, too
}

func TestAJobIsCancelledAtEveryStage(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	n.Counter("nowhere", func(spec *v1alpha1.SpiderSpec) {
		spec.Pod.NodeSelector = map[string]string{"example.com/no-such-node": "true"}
	})
	n.Scrapy("slow")
	n.Counter("retried", func(spec *v1alpha1.SpiderSpec) { spec.Retries = ptr.To[int32](3) })
	n.Counter("no-image", func(spec *v1alpha1.SpiderSpec) {
		spec.Image, spec.ImagePullPolicy = "spider-demo-missing:dev", corev1.PullNever
	})
	api := n.API("alice")
	for name, tt := range map[string]struct {
		spider string
		until  func(t *testing.T, n *harness.Namespace, id string)
		ran    bool
	}{
		"immediately": {spider: "counter", until: func(*testing.T, *harness.Namespace, string) {}},
		"with a Pod that no node takes": {spider: "nowhere", until: func(_ *testing.T, n *harness.Namespace, id string) {
			n.AwaitReason(id, v1alpha1.ReasonUnschedulable, soon)
		}},
		"with an image that cannot be pulled": {spider: "no-image", until: func(_ *testing.T, n *harness.Namespace, id string) {
			n.AwaitPod(id, "waits for its image", soon, waits)
		}},
		"in the first second of Scrapy, which does not listen yet": {spider: "slow",
			until: func(_ *testing.T, n *harness.Namespace, id string) {
				n.AwaitPod(id, "runs", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
			}},
		"with retries left": {spider: "retried", ran: true, until: func(_ *testing.T, n *harness.Namespace, id string) {
			n.AwaitPhase(id, v1alpha1.PhaseRunning, soon)
		}},
		"while it runs": {spider: "counter", ran: true, until: func(_ *testing.T, n *harness.Namespace, id string) {
			n.AwaitPhase(id, v1alpha1.PhaseRunning, soon)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, api := n.In(t), api.In(t)
			var arguments map[string]any
			if tt.spider != "slow" {
				arguments = map[string]any{"n": 1000, "delay": "100ms"}
			}
			id := api.Start(tt.spider, arguments)
			tt.until(t, n, id)
			api.Cancel(id)
			if job := api.Get(id); job.Status != "cancelled" {
				t.Errorf("right after the cancel the job is %s", job.Status)
			}
			job := api.Wait(id, soon)
			if job.Status != "cancelled" || job.Reason != v1alpha1.ReasonCancelled {
				t.Errorf("the job ended %s, %s: %s", job.Status, job.Reason, job.Message)
			}
			n.Gone(id)
			if tt.ran && (job.Attempts != 1 || job.Stats.Source != "termination_message") {
				t.Errorf("after %d attempts the counts are %+v", job.Attempts, job.Stats)
			}
		})
	}
}

func TestAJobThatWaitsForQuotaIsCancelledWithoutRunning(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	n.Create(&corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "no-pods"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	})
	api := n.API("alice")
	id := api.Start("counter", nil)
	job := n.AwaitReason(id, v1alpha1.ReasonQuotaExceeded, soon)
	if job.Status.Phase != v1alpha1.PhasePending || !strings.Contains(job.Status.Message, "no-pods") {
		t.Errorf("a job over quota is %s: %s", job.Status.Phase, job.Status.Message)
	}
	api.Cancel(id)
	ended := api.Wait(id, soon)
	if ended.Status != "cancelled" || ended.Attempts != 0 || !ended.StartedAt.IsZero() || ended.Items() != 0 ||
		ended.ExitCode != nil {
		t.Errorf("a job that never ran ended as %+v", ended)
	}
	n.Gone(id)
}

func TestAnEndedJobCannotBeCancelled(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	api := n.API("alice")
	for status, arguments := range map[string]map[string]any{"finished": {"n": 1}, "error": {"n": 1, "exit": 1}} {
		id := api.Start("counter", arguments)
		before := api.Wait(id, soon)
		problem := api.Refused(http.StatusConflict, harness.Request{Method: http.MethodDelete, Path: "/api/v1/jobs/" + id})
		if problem.Code != "job_ended" || !strings.Contains(problem.Error, status) {
			t.Errorf("the cancel of a job that is %s is refused with %+v", status, problem)
		}
		if after := api.Get(id); string(after.Status) != status || after.Reason != before.Reason || !after.CancelRequestedAt.IsZero() {
			t.Errorf("a cancel after the end changes the job to %+v, from %+v", after, before)
		}
	}
}

// TestACancelAndAnEndAtTheSameMomentAgree checks that however close a cancel and an end are, a caller whose cancel was
// accepted finds the job cancelled, and one that was answered that it had ended finds it ended.
func TestACancelAndAnEndAtTheSameMomentAgree(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	api := n.API("alice")
	for i := range 6 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			n, api := n.In(t), api.In(t)
			id := api.Start("counter", map[string]any{"n": 1, "delay": "1s"})
			n.AwaitPod(id, "has run for a while", soon, func(pod *corev1.Pod) bool {
				return pod.Status.Phase != corev1.PodPending &&
					time.Since(pod.Status.StartTime.Time) > time.Second+time.Duration(i)*300*time.Millisecond
			})
			answer := api.Do(harness.Request{Method: http.MethodDelete, Path: "/api/v1/jobs/" + id})
			job := api.Wait(id, soon)
			want := map[int]string{http.StatusOK: "cancelled", http.StatusConflict: "finished"}[answer.Status]
			if string(job.Status) != want {
				t.Errorf("the cancel was answered with %d %s, and the job ended %s: %s", answer.Status, answer.Body, job.Status, job.Message)
			}
		})
	}
}

// deaf ignores the signal that asks it to end. It logs what Scrapy logs while it crawls.
const deaf = `
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
n = 0
while True:
    n += 5
    print("2026-11-23 12:00:00 [scrapy.extensions.logstats] INFO: "
          f"Crawled {n} pages (at 60 pages/min), scraped {n} items (at 60 items/min)")
    time.sleep(1)
`

func TestAKilledSpiderKeepsItsLastKnownCounts(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Python("deaf", deaf, func(spec *v1alpha1.SpiderSpec) {
		spec.StatsSource = v1alpha1.StatsFromScrapy
		spec.TerminationGracePeriodSeconds = ptr.To[int64](600)
	})
	api := n.API("alice")
	id := api.Start("deaf", nil)
	n.Await(id, "has scraped something", soon, func(job *v1alpha1.SpiderJob) bool {
		return job.Status.Stats != nil && job.Status.Stats.ItemsScraped > 0
	})
	before := api.Get(id).Items()
	const grace = 3 * time.Second
	start := time.Now()
	api.Want(http.StatusOK, harness.Request{Method: http.MethodDelete, Path: "/api/v1/jobs/" + id + "?grace_period_seconds=3"}, nil)
	job := api.Wait(id, soon)
	if took := time.Since(start); took < grace || took > 30*time.Second {
		t.Errorf("a grace period of %s took %s", grace, took)
	}
	n.Gone(id)
	if job.Status != "cancelled" || job.Items() < before || job.Stats.Final || job.Stats.Source != "scrapy_log" {
		t.Errorf("the job ended %s with %d items (%d before), stats %+v", job.Status, job.Items(), before, job.Stats)
	}
}

func TestAJobIsCancelledByKubectl(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	name := n.Start("by-hand", "counter", map[string]string{"n": "1000", "delay": "100ms"})
	n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
	n.Run("", "patch", "spiderjob", name, "--type=merge", "--patch", `{"spec": {"cancellation": {}}}`)
	job := n.AwaitPhase(name, v1alpha1.PhaseCancelled, soon)
	if stats := job.Status.Stats; stats.ItemsScraped == 0 || !stats.Final || stats.FinishReason != "shutdown" {
		t.Errorf("the counts are %+v", stats)
	}
	n.Gone(name)
}

// waits reports whether a Pod's spider waits for something that prevents its start.
func waits(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if w := pod.Status.ContainerStatuses[i].State.Waiting; w != nil && w.Reason != "ContainerCreating" {
			return true
		}
	}
	return false
}
