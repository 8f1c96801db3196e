package crash

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// witness remembers every Pod that the SpiderJobs of a namespace ever had.
type witness struct {
	namespace *harness.Namespace
	// logsMayBeLost says that containerd is killed. containerd copies what containers print: their output is lost while it is
	// dead.
	logsMayBeLost bool

	mu   sync.Mutex
	pods map[string]map[types.UID]*corev1.Pod // last seen state, by the SpiderJob's name and the Pod's UID
	// undeleted are Pods whose spider was seen to have ended before anybody had deleted them.
	undeleted map[types.UID]bool
}

func watchPods(t *testing.T, n *harness.Namespace) *witness {
	t.Helper()
	w := &witness{namespace: n, pods: map[string]map[types.UID]*corev1.Pod{}, undeleted: map[types.UID]bool{}}
	factory := informers.NewSharedInformerFactoryWithOptions(n.Clientset, 0, informers.WithNamespace(n.Name),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = v1alpha1.LabelSpiderJob }))
	pods := factory.Core().V1().Pods().Informer()
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: w.see, UpdateFunc: func(_, now any) { w.see(now) },
	}); err != nil {
		t.Fatalf("watch the Pods: %v", err)
	}
	factory.Start(t.Context().Done())
	if !cache.WaitForCacheSync(t.Context().Done(), pods.HasSynced) {
		t.Fatal("the Pods cannot be watched")
	}
	return w
}

func (w *witness) see(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	job := pod.Labels[v1alpha1.LabelSpiderJob]
	if w.pods[job] == nil {
		w.pods[job] = map[types.UID]*corev1.Pod{}
	}
	w.pods[job][pod.UID] = pod
	if spiderEnd(pod) != nil && pod.DeletionTimestamp == nil {
		w.undeleted[pod.UID] = true
	}
}

// of returns the Pods that a SpiderJob has had, the oldest first.
func (w *witness) of(job string) []*corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.pods[job]), func(a, b *corev1.Pod) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
}

// spiderEnd returns how a Pod's spider ended, nil while it runs.
func spiderEnd(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for i := range pod.Status.ContainerStatuses {
		if c := &pod.Status.ContainerStatuses[i]; c.Name == v1alpha1.ContainerName {
			return c.State.Terminated
		}
	}
	return nil
}

// stoppedByNode returns how many of a SpiderJob's Pods the kubelet stopped by itself, without a deletion. A
// kubelet that starts while containerd is dead, or has just started, may take a sandbox for lost, and stops what runs in it: an
// interruption that is not the operator's fault. No other Pod may begin before such a Pod has ended.
func (w *witness) stoppedByNode(t *testing.T, job string) int {
	t.Helper()
	pods := w.of(job)
	stopped := 0
	for i, pod := range pods[:max(len(pods)-1, 0)] {
		w.mu.Lock()
		undeleted := w.undeleted[pod.UID]
		w.mu.Unlock()
		if ended := ptr.Deref(pod.Spec.ActiveDeadlineSeconds, 0) == 1; ended || !undeleted || !w.killing(t, pod) { // by the operator
			continue
		}
		stopped++
		if end := spiderEnd(pod).FinishedAt; end.After(pods[i+1].CreationTimestamp.Time) {
			t.Errorf("Pod %s began at %s, and the spider of Pod %s ended at %s", pods[i+1].Name,
				pods[i+1].CreationTimestamp, pod.Name, end)
		}
		t.Logf("the kubelet stopped Pod %s by itself", pod.Name)
	}
	return stopped
}

// killing reports whether the kubelet has reported that it stopped a Pod's container.
func (w *witness) killing(t *testing.T, pod *corev1.Pod) bool {
	t.Helper()
	events, err := w.namespace.Clientset.CoreV1().Events(w.namespace.Name).List(t.Context(), metav1.ListOptions{
		FieldSelector: "reason=Killing,involvedObject.uid=" + string(pod.UID),
	})
	if err != nil {
		t.Fatalf("read the Events of Pod %s: %v", pod.Name, err)
	}
	return len(events.Items) > 0
}

// ranOnce fails the test unless a SpiderJob has finished with a single Pod, apart from those that its node stopped by itself,
// and with the count that its spider itself wrote. want is that count if the test knows it, and negative otherwise. Three
// witnesses show that there was no other Pod: a watch, the Job controller's count, and the operator's.
func (w *witness) ranOnce(t *testing.T, name string, want int64) {
	t.Helper()
	n := w.namespace
	job := n.AwaitEnd(name, storm)
	st := job.Status
	stopped := w.stoppedByNode(t, name)
	if st.Phase != v1alpha1.PhaseFinished || st.Reason != v1alpha1.ReasonCompleted ||
		int(st.Attempts) != 1+stopped || int(st.Interruptions) != stopped {
		t.Errorf("SpiderJob %s ended %s, %s: %s, after %d attempts and %d interruptions",
			name, st.Phase, st.Reason, st.Message, st.Attempts, st.Interruptions)
	}
	if pods := w.of(name); len(pods) != 1+stopped {
		t.Errorf("SpiderJob %s has had %d Pods", name, len(pods))
	}
	var made batchv1.Job
	if err := n.Client.Get(t.Context(), client.ObjectKey{Namespace: n.Name, Name: name}, &made); err != nil {
		t.Errorf("read Job %s: %v", name, err)
	} else if made.Status.Succeeded+made.Status.Failed > 1 || string(made.UID) != st.JobUID {
		t.Errorf("Job %s (%s, recorded %s) counts %d Pods that succeeded and %d that failed",
			name, made.UID, st.JobUID, made.Status.Succeeded, made.Status.Failed)
	}
	wrote, reported := written(t, n.Log(st.PodName))
	switch {
	case reported:
	case want < 0 || !w.logsMayBeLost:
		t.Errorf("the spider of SpiderJob %s wrote no count at its end", name)
	default:
		t.Logf("the end of the log of SpiderJob %s was lost with containerd", name)
		wrote = want
	}
	if st.Stats == nil || st.Stats.ItemsScraped != wrote || !st.Stats.Final || want >= 0 && wrote != want {
		t.Errorf("SpiderJob %s counts %+v; its spider wrote %d, and was to write %d", name, st.Stats, wrote, want)
	}
}

var dumpedItems = regexp.MustCompile(`'item_scraped_count': (\d+)`)

// written returns the count that a spider wrote into its log when it closed, if it did: the stats that Scrapy dumps, or the
// result that the demo's counter prints. The operator reads the counter's count from elsewhere.
func written(t *testing.T, log string) (count int64, reported bool) {
	t.Helper()
	if match := dumpedItems.FindStringSubmatch(log); match != nil {
		count, err := strconv.ParseInt(match[1], 10, 64)
		if err != nil {
			t.Fatalf("read what Scrapy dumped: %v", err)
		}
		return count, true
	}
	var result struct {
		Items *int64 `json:"items_scraped"`
	}
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil || result.Items == nil {
		return 0, false
	}
	return *result.Items, true
}
