package upgrade

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

// patience bounds how long a change of version may take to bring all jobs to their ends, including the pauses between attempts.
const patience = 90 * time.Second

// start creates a SpiderJob with its own Spider, which reports how it ends in its termination message.
func (m *move) start(namespace, name string, spec v1alpha1.SpiderSpec) {
	m.Helper()
	spec.Image, spec.Command = "spiders:1", []string{"/count"}
	m.create(&v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec})
	m.create(&v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: name}},
	})
	m.namespaces[name] = namespace
}

func (m *move) create(object client.Object) {
	m.Helper()
	if err := cluster.Client.Create(m.Context(), object); err != nil {
		m.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

func (m *move) delete(object client.Object) {
	m.Helper()
	if err := cluster.Client.Delete(m.Context(), object, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		m.Fatalf("delete %T %s: %v", object, object.GetName(), err)
	}
}

// update changes the current state of an object.
func (m *move) update(object client.Object, namespace, name string, change func()) {
	m.Helper()
	controlplane.Eventually(m, fmt.Sprintf("%T %s is changed", object, name), func(ctx context.Context) (bool, error) {
		if err := cluster.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object); err != nil {
			return false, err
		}
		change()
		err := cluster.Client.Update(ctx, object)
		if apierrors.IsConflict(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// release lets a job's spider end.
func (m *move) release(name string) { close(m.released[name]) }

func (m *move) cancel(name string) {
	m.Helper()
	sj := &v1alpha1.SpiderJob{}
	m.update(sj, m.namespaces[name], name, func() { sj.Spec.Cancellation = &v1alpha1.Cancellation{RequestedBy: "ann"} })
}

// suspend makes a queue take a job back, or admit it.
func (m *move) suspend(name string, yes bool) {
	m.Helper()
	job := &batchv1.Job{}
	m.update(job, m.namespaces[name], name, func() { job.Spec.Suspend = &yes })
}

// running waits until a job runs.
func (m *move) running(name string) {
	m.Helper()
	m.await(name, "running", func(sj *v1alpha1.SpiderJob) bool {
		return sj.Status.Phase == v1alpha1.PhaseRunning && sj.Status.Reason == v1alpha1.ReasonRunning
	})
}

// stopping waits until a job's Pod is being stopped.
func (m *move) stopping(name string) {
	m.Helper()
	controlplane.Eventually(m, "the Pod of SpiderJob "+name+" is being stopped", func(context.Context) (bool, error) {
		pod := m.pod(name)
		return pod != nil && pod.DeletionTimestamp != nil, nil
	})
}

// pod returns a job's Pod, nil if it has none.
func (m *move) pod(name string) *corev1.Pod {
	m.Helper()
	var pods corev1.PodList
	err := cluster.Client.List(m.Context(), &pods, client.InNamespace(m.namespaces[name]),
		client.MatchingLabels{v1alpha1.LabelSpiderJob: name})
	if err != nil || len(pods.Items) > 1 {
		m.Fatalf("find the Pod of SpiderJob %s: %d of them, %v", name, len(pods.Items), err)
	}
	if len(pods.Items) == 0 {
		return nil
	}
	return &pods.Items[0]
}

func (m *move) spiderJob(name string) *v1alpha1.SpiderJob {
	m.Helper()
	return spiderJob(m.T, m.namespaces[name], name)
}

func (m *move) awaitReason(name, reason string) {
	m.Helper()
	m.await(name, reason, func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Reason == reason })
}

// await waits until a SpiderJob meets the condition.
func (m *move) await(name, what string, condition func(*v1alpha1.SpiderJob) bool) *v1alpha1.SpiderJob {
	m.Helper()
	var sj *v1alpha1.SpiderJob
	err := wait.PollUntilContextTimeout(m.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		sj = m.spiderJob(name)
		return condition(sj), nil
	})
	if err != nil {
		m.Fatalf("SpiderJob %s is not %s: it is %+v", name, what, sj.Status)
	}
	return sj
}

// ends waits for the end of a SpiderJob, and fails the test if it is not the wanted one, or if two processes of it have run at
// once.
func (m *move) ends(name string, want ending) {
	m.Helper()
	st := m.await(name, "at its end", ended).Status
	got := ending{end: summary(&st), attempts: st.Attempts, interruptions: st.Interruptions}
	for _, run := range testNode.Runs(m.namespaces[name]) {
		if run.SpiderJob != name {
			continue
		}
		got.processes++
		if run.Beside {
			m.Errorf("a process of SpiderJob %s was started beside another one", name)
		}
	}
	if got != want {
		m.Errorf("SpiderJob %s came to %+v (%s), want %+v", name, got, st.Message, want)
	}
	if st.Stop != nil || st.FinishedAt == nil {
		m.Errorf("SpiderJob %s has ended, and its stop is %+v, its end %v", name, st.Stop, st.FinishedAt)
	}
}

// noRoom makes a quota refuse all Pods of a namespace.
func (m *move) noRoom(namespace string) {
	m.Helper()
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"}}
	quota.Spec.Hard = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
	m.create(quota)
	controlplane.Eventually(m, "the quota is in force", func(ctx context.Context) (bool, error) {
		err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota)
		return len(quota.Status.Hard) > 0, err
	})
}

// room makes room there.
func (m *move) room(namespace string) {
	m.Helper()
	quota := &corev1.ResourceQuota{}
	m.update(quota, namespace, "pods", func() { quota.Spec.Hard[corev1.ResourcePods] = resource.MustParse("10") })
}
