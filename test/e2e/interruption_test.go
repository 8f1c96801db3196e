package e2e

import (
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// mortal dies of the signal that asks it to end. It can also end by itself, and then reports what it has done.
const mortal = `
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
print("DEBUG: Crawled (200)")
time.sleep(5)
open("/dev/termination-log", "w").write('{"items_scraped": 11, "finish_reason": "finished"}')
`

// leisurely makes a crawl of one category take some ten seconds, and log every page.
func leisurely(spec *v1alpha1.SpiderSpec) {
	spec.Settings = map[string]v1alpha1.SettingValue{
		"DOWNLOAD_DELAY": "0.2", "CONCURRENT_REQUESTS": "1", "LOG_LEVEL": "DEBUG",
	}
}

// endlessly makes a crawl of the whole shop take a quarter of an hour, and log every page.
func endlessly(spec *v1alpha1.SpiderSpec) {
	spec.Name = "slow"
	spec.Settings = map[string]v1alpha1.SettingValue{"LOG_LEVEL": "DEBUG"}
}

func deletePod(t *testing.T, n *harness.Namespace, pod *corev1.Pod) {
	t.Helper()
	if err := n.Client.Delete(t.Context(), pod); err != nil {
		t.Fatalf("delete Pod %s: %v", pod.Name, err)
	}
}

func evictPod(t *testing.T, n *harness.Namespace, pod *corev1.Pod) {
	t.Helper()
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: n.Name, Name: pod.Name}}
	if err := n.Clientset.PolicyV1().Evictions(n.Name).Evict(t.Context(), eviction); err != nil {
		t.Fatalf("evict Pod %s: %v", pod.Name, err)
	}
}

func deleteJob(t *testing.T, n *harness.Namespace, pod *corev1.Pod) {
	t.Helper()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: n.Name, Name: pod.Labels[v1alpha1.LabelSpiderJob]}}
	if err := n.Client.Delete(t.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatalf("delete Job %s: %v", job.Name, err)
	}
}

// TestAnInterruptedRunStartsAgain interrupts a Scrapy, which exits with 0 when it is asked to stop, as if it had finished. A
// partial crawl must never count as a complete one.
func TestAnInterruptedRunStartsAgain(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("category", leisurely)
	n.Python("mortal", mortal)
	travel := map[string]string{"category": "Travel"}
	for name, tt := range map[string]struct {
		spider    string
		arguments map[string]string
		items     int64
		interrupt func(*testing.T, *harness.Namespace, *corev1.Pod)
	}{
		"Scrapy, its Pod deleted":          {"category", travel, 30, deletePod},
		"Scrapy, its Pod evicted":          {"category", travel, 30, evictPod},
		"Scrapy, its Job deleted":          {"category", travel, 30, deleteJob},
		"what dies of it, its Pod deleted": {"mortal", nil, 11, deletePod},
		"what dies of it, its Pod evicted": {"mortal", nil, 11, evictPod},
		"what dies of it, its Job deleted": {"mortal", nil, 11, deleteJob},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			name := n.Start(objectName(name), tt.spider, tt.arguments)
			pod := opened(n, name)
			tt.interrupt(t, n, pod)

			st := n.AwaitEnd(name, crawl).Status
			if st.Phase != v1alpha1.PhaseFinished || st.Reason != v1alpha1.ReasonCompleted {
				t.Errorf("ended %s, %s: %s", st.Phase, st.Reason, st.Message)
			}
			if st.Attempts != 2 || st.Interruptions != 1 || st.PodName == pod.Name {
				t.Errorf("%d attempts, %d interruptions, Pod %s then %s", st.Attempts, st.Interruptions, pod.Name, st.PodName)
			}
			if st.Stats.ItemsScraped != tt.items || !st.Stats.Final || st.Stats.Attempt != 2 {
				t.Errorf("stats %+v, want %d items", st.Stats, tt.items)
			}
		})
	}
}

func TestAnInterruptionEndsTheJobIfItsSpiderSaysSo(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("never", endlessly, func(spec *v1alpha1.SpiderSpec) { spec.InterruptionPolicy = v1alpha1.InterruptionFail })
	n.Scrapy("not-once", endlessly, func(spec *v1alpha1.SpiderSpec) { spec.MaxInterruptions = ptr.To[int32](0) })
	for _, name := range []string{"never", "not-once"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			n.Start(name, name, nil)
			pod := opened(n, name)
			log := n.FollowLog(pod.Name)
			deletePod(t, n, pod)
			st := n.AwaitEnd(name, soon).Status
			if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonInterrupted || !strings.Contains(st.Message, "deleted") {
				t.Errorf("ended %s, %s: %s", st.Phase, st.Reason, st.Message)
			}
			if st.Attempts != 1 || st.Interruptions != 1 || st.Stats.FinishReason != "shutdown" || !st.Stats.Final ||
				st.Stats.ItemsScraped != dumpedItems(t, log()) {
				t.Errorf("%d attempts, %d interruptions, stats %+v", st.Attempts, st.Interruptions, st.Stats)
			}
			n.Gone(name)
		})
	}
}

// somebodysJob is a Job that belongs to somebody else.
func somebodysJob(name string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{Suspend: ptr.To(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: cluster.CounterImage}},
		}}},
	}
}

func TestAJobOfAnotherOwnerIsNotTouched(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	foreign := somebodysJob("taken")
	n.Create(foreign)
	st := n.AwaitEnd(n.Start("taken", "counter", nil), soon).Status
	if st.Phase != v1alpha1.PhaseError || st.Reason != v1alpha1.ReasonNameConflict || !strings.Contains(st.Message, "taken") {
		t.Errorf("ended %s, %s: %s", st.Phase, st.Reason, st.Message)
	}
	var now batchv1.Job
	if err := n.Client.Get(t.Context(), client.ObjectKeyFromObject(foreign), &now); err != nil || now.UID != foreign.UID ||
		now.DeletionTimestamp != nil || len(now.OwnerReferences) > 0 {
		t.Errorf("the Job of somebody else is now %+v (%v)", now.ObjectMeta, err)
	}
}

func TestDeletingARunningSpiderJobStopsIt(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("endless", endlessly)
	api := n.API("")
	name := n.Start("deleted", "endless", nil)
	pod := opened(n, name)
	log := n.FollowLog(pod.Name)
	id := (&v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: n.Name, Name: name}}).ID()
	api.Await(id, "is running", atOnce, func(job harness.Job) bool { return job.Status == "running" })
	n.Run("", "delete", "spiderjob", name)
	api.AwaitGone(id, atOnce)
	n.AwaitGone(&corev1.Pod{}, pod.Name, soon)
	n.AwaitGone(&batchv1.Job{}, name, soon)
	if said := log(); !strings.Contains(said, "'finish_reason': 'shutdown'") {
		t.Errorf("Scrapy did not close by itself:\n%s", said)
	}
}

func TestAReplacedSpiderJobRunsOnceTheOldOneIsGone(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("category", leisurely)
	name := n.Start("replaced", "category", map[string]string{"category": "Travel"})
	pod := opened(n, name)
	n.Run(fmt.Sprintf(`
apiVersion: scrapethis.app/v1alpha1
kind: SpiderJob
metadata: {name: %s, namespace: %s}
spec:
  spiderRef: {name: category}
  arguments: {category: Poetry}
`, name, n.Name), "replace", "--force", "--filename=-")
	st := n.AwaitEnd(name, crawl).Status
	// The harness checks for every name that its Pod ran alone.
	if st.Phase != v1alpha1.PhaseFinished || st.Attempts != 1 || st.PodName == pod.Name || st.Stats.ItemsScraped == 0 {
		t.Errorf("ended %s, %s: %s after %d attempts, Pod %s, stats %+v", st.Phase, st.Reason, st.Message, st.Attempts,
			st.PodName, st.Stats)
	}
}
