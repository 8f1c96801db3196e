package crash

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestAnotherReplicaTakesOver(t *testing.T) {
	n := cluster.Namespace(t)
	n.Counter("counter")
	seen := watchPods(t, n)
	scale(t, 2)
	jobs := fleet{}
	for i := range int64(5) {
		jobs.start(n, t, fmt.Sprintf("counter-%d", i), counting(500+i), 500+i)
	}
	for name := range jobs {
		n.AwaitPhase(name, v1alpha1.PhaseRunning, soon)
	}
	for i, end := range []struct {
		signal syscall.Signal
		grace  *int64 // of the Pod, nil for its own
		within time.Duration
	}{
		{syscall.SIGKILL, ptr.To[int64](0), 20 * time.Second},
		{syscall.SIGTERM, nil, 3 * time.Second},
		{syscall.SIGTERM, nil, 3 * time.Second},
	} {
		pod, identity := leader(t)
		began := time.Now()
		if end.signal == syscall.SIGKILL { // The kubelet sends SIGTERM. A second one would end the process at once.
			signal(t, pod, end.signal)
		}
		options := metav1.DeleteOptions{GracePeriodSeconds: end.grace}
		if err := n.Clientset.CoreV1().Pods(n.System).Delete(t.Context(), pod.Name, options); err != nil {
			t.Fatalf("delete Pod %s: %v", pod.Name, err)
		}
		n.Eventually(t, soon, "another controller leads", func(ctx context.Context) error {
			now, err := holder(ctx)
			if err == nil && (now == "" || now == identity) {
				err = fmt.Errorf("%w: the Lease is held by %q", errNotYet, now)
			}
			return err
		})
		took := time.Since(began)
		name := fmt.Sprintf("after-%d", i)
		jobs.start(n, t, name, counting(10), 10)
		n.Eventually(t, soon, "the new leader makes a Job", func(ctx context.Context) error {
			return n.Client.Get(ctx, client.ObjectKey{Namespace: n.Name, Name: name}, &batchv1.Job{})
		})
		t.Logf("after %s another controller led within %s, and made a Job within %s", end.signal, took, time.Since(began))
		const slack = 5 * time.Second // the machine has other work, too
		if took > end.within+slack {
			t.Errorf("after %s it took %s until another controller led, want at most %s", end.signal, took, end.within)
		}
		awaitReplicas(t, 2)
	}
	for name, items := range jobs {
		seen.ranOnce(t, name, items)
	}
}
