package restapi

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestLogsWithoutANode requests the logs of Pods that no node runs, with the rights of the REST API.
func TestLogsWithoutANode(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	r := start(t)
	id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)
	path := "/api/v1/jobs/" + id + "/logs"
	if refusal := r.want(http.StatusConflict, http.MethodGet, path, key, ""); refusal["code"] != "not_started" {
		t.Errorf("the log of a job that has not started is refused with %v", refusal)
	}

	job := spiderJob(t, namespace, id)
	finish(t, job)
	before := job.DeepCopy()
	job.Status.PodName, job.Status.Attempts, job.Status.StartedAt = "a-pod", 1, new(metav1.Now())
	if err := cluster.Client.Status().Patch(t.Context(), job, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	r.eventually(http.StatusGone, http.MethodGet, path, key, "")

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a-pod",
			Labels: map[string]string{v1alpha1.LabelSpiderJobUID: string(job.UID)}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: v1alpha1.ContainerName, Image: "none"}}},
	}
	create(t, pod)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: v1alpha1.ContainerName, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	if err := cluster.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	// kube-apiserver says that the log of an unscheduled Pod is empty.
	if status, _, body := r.text(path, key); status != http.StatusOK || body != "" {
		t.Errorf("the log of a Pod without a node is answered %d %q", status, body)
	}
}
