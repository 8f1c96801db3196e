package restapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

const started = `{"spider_name": "books"}`

func TestLifeOfAJobThroughREST(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "alice")
	r := start(t)

	id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started, "Content-Type", "application/json")["jobId"].(string)
	job := spiderJob(t, namespace, id)
	if job.Spec.SpiderRef.Name != "books" || job.Spec.UserID != "alice" {
		t.Errorf("spec %+v", job.Spec)
	}
	list := r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs?status=pending", key, "")["list"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["id"] != id {
		t.Errorf("pending jobs %v, want %s", list, id)
	}

	var waiting sync.WaitGroup
	waiting.Go(func() {
		ended := r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+id+"?wait=60s", key, "")
		if ended["status"] != "finished" || ended["items_scraped"] != 142.0 || ended["finished_at"] == nil {
			t.Errorf("the awaited job is %v", ended)
		}
	})
	finish(t, job)
	waiting.Wait()
	if refusal := r.want(http.StatusConflict, http.MethodDelete, "/api/v1/jobs/"+id, key, ""); refusal["code"] != "job_ended" {
		t.Errorf("cancelling a finished job is answered %v", refusal)
	}
	if spiderJob(t, namespace, id).Spec.Cancellation != nil {
		t.Error("a finished job was cancelled")
	}
}

func TestCancelIsRecordedOnce(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	r := start(t)
	id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)
	// The job changes without the REST API's knowledge, so that its cancel meets a newer state now and then.
	job := spiderJob(t, namespace, id)
	job.Labels = map[string]string{"changed": "true"}
	if err := cluster.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var together sync.WaitGroup
	for range 5 {
		together.Go(func() {
			r.want(http.StatusOK, http.MethodDelete, "/api/v1/jobs/"+id+"?grace_period_seconds=7", key, "")
		})
	}
	together.Wait()
	c := spiderJob(t, namespace, id).Spec.Cancellation
	if c == nil || !strings.HasPrefix(c.RequestedBy, namespace) || c.RequestedAt.IsZero() || *c.GracePeriodSeconds != 7 {
		t.Errorf("cancellation %+v", c)
	}
	if shown := r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+id, key, ""); shown["status"] != "cancelled" ||
		shown["finished_at"] != nil {
		t.Errorf("a job that is being stopped shows %v", shown)
	}
}

// TestGracePeriodIsShortenedByCancellingAgain checks that a repeated cancel may shorten the grace period, and leaves
// everything else as the first one recorded it.
func TestGracePeriodIsShortenedByCancellingAgain(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	r := start(t)
	id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)
	path := "/api/v1/jobs/" + id
	r.want(http.StatusOK, http.MethodDelete, path, key, "")
	first := spiderJob(t, namespace, id).Spec.Cancellation
	for _, again := range []struct {
		query    string
		status   int
		recorded int64
	}{
		{"?grace_period_seconds=60", http.StatusOK, 60},
		{"?grace_period_seconds=61", http.StatusConflict, 60},
		{"?grace_period_seconds=5", http.StatusOK, 5},
		{"", http.StatusOK, 5},
		{"?grace_period_seconds=0", http.StatusOK, 0},
	} {
		answer := r.want(again.status, http.MethodDelete, path+again.query, key, "")
		if again.status == http.StatusConflict && answer["code"] != "grace_period_longer" {
			t.Errorf("%s is answered %v", again.query, answer)
		}
		c := spiderJob(t, namespace, id).Spec.Cancellation
		if c.RequestedBy != first.RequestedBy || !c.RequestedAt.Equal(first.RequestedAt) || c.GracePeriodSeconds == nil ||
			*c.GracePeriodSeconds != again.recorded {
			t.Errorf("after %q the cancellation is %+v, want %+v with a grace period of %d", again.query, c, first, again.recorded)
		}
	}
}

func TestRESTShowsAJobCreatedByKubectl(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	alice, _ := newKey(t, namespace, "alice")
	r := start(t)
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "by-hand"},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}},
	}
	create(t, job)
	r.eventually(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+job.ID(), key, "")
	r.want(http.StatusNotFound, http.MethodGet, "/api/v1/jobs/"+job.ID(), alice, "")
	r.want(http.StatusNotFound, http.MethodDelete, "/api/v1/jobs/"+job.ID(), alice, "")
	r.want(http.StatusOK, http.MethodDelete, "/api/v1/jobs/"+job.ID(), key, "")
	if spiderJob(t, namespace, "by-hand").Spec.Cancellation == nil {
		t.Error("the cancel is not recorded")
	}
	if err := cluster.Client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	r.eventually(http.StatusNotFound, http.MethodGet, "/api/v1/jobs/"+job.ID(), key, "")
}

func TestAKeyIsValidInItsNamespaceUntilItsAPIKeyIsDeleted(t *testing.T) {
	namespace, other := cluster.Namespace(t), cluster.Namespace(t)
	r := start(t)
	key, object := newKey(t, namespace, "")
	r.eventually(http.StatusOK, http.MethodGet, "/api/v1/me", key, "")

	stolen := object.DeepCopy()
	stolen.ObjectMeta = metav1.ObjectMeta{Namespace: other, Name: object.Name}
	create(t, stolen)
	unrelated, _ := newKey(t, other, "")
	r.eventually(http.StatusOK, http.MethodGet, "/api/v1/me", unrelated, "") // So the copy is known by now.
	if me := r.want(http.StatusOK, http.MethodGet, "/api/v1/me", key, ""); me["namespace"] != namespace {
		t.Errorf("a copy of the key's resource in %s makes its owner %v", other, me)
	}

	if err := cluster.Client.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	r.eventually(http.StatusUnauthorized, http.MethodGet, "/api/v1/me", key, "")
}

func TestTheSameStartOnTwoReplicasCreatesOneJob(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	replicas := []*replica{start(t), start(t)}
	ids := make([]any, 20)
	var together sync.WaitGroup
	for i := range ids {
		together.Go(func() {
			ids[i] = replicas[i%2].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started, "Idempotency-Key", "once")["jobId"]
		})
	}
	together.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("ids %v differ", ids)
		}
	}
	replicas[1].want(http.StatusConflict, http.MethodPost, "/api/v1/jobs", key, `{"spider_name":"books"}`, "Idempotency-Key", "once")
	for _, r := range replicas {
		r.want(http.StatusOK, http.MethodGet, fmt.Sprint("/api/v1/jobs/", ids[0]), key, "")
	}
	var jobs v1alpha1.SpiderJobList
	if err := cluster.Client.List(t.Context(), &jobs); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, job := range jobs.Items {
		if job.Namespace == namespace {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d jobs, want 1", made)
	}
}

// TestJobIsKnownToEveryReplicaAtOnce reads each job from the other replica right after its start.
func TestJobIsKnownToEveryReplicaAtOnce(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	replicas := []*replica{start(t), start(t)}
	for i := range 20 {
		id := replicas[i%2].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)["jobId"].(string)
		replicas[(i+1)%2].want(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+id, key, "")
	}
}

// TestWhatTheRESTAPIAcceptsKubernetesAccepts sends arguments at the bounds, and hostile ones, through to the stored object.
func TestWhatTheRESTAPIAcceptsKubernetesAccepts(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	r := start(t)
	many := map[string]string{}
	for i := range 128 {
		many[fmt.Sprint("a", i)] = "x"
	}
	for name, arguments := range map[string]map[string]string{
		"hostile": {"a": "quotes ' \" ` \\ newline \n tab \t bell \a $(HOME) --option ; é 😀 \u2028", "_": "",
			"Ünïcode": "x", "名": "名"},
		"many":     many,
		"large":    {"a": strings.Repeat("é", (32<<10-1)/2)},
		"long":     {strings.Repeat("n", 256): "x"},
		"controls": {"a": "\x01\x1f\x7f\u0085"},
	} {
		body, err := json.Marshal(map[string]any{"spider_name": "books", "arguments": arguments})
		if err != nil {
			t.Fatal(err)
		}
		id := r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, string(body))["jobId"].(string)
		stored := spiderJob(t, namespace, id).Spec.Arguments
		if len(stored) != len(arguments) {
			t.Errorf("%s: %d arguments stored, %d sent", name, len(stored), len(arguments))
		}
		for argument, value := range arguments {
			if string(stored[argument]) != value {
				t.Errorf("%s: argument %q stored as %q, sent as %q", name, argument, stored[argument], value)
			}
		}
	}
}

func TestQuotaIsExplained(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "")
	none := corev1.ResourceList{"count/spiderjobs.scrapethis.app": resource.MustParse("0")}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "no-jobs"}, Spec: corev1.ResourceQuotaSpec{Hard: none},
	}
	create(t, quota)
	// The quota controller discovers custom resources only now and then, so the test acts as it does.
	before := quota.DeepCopy()
	quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
	if err := cluster.Client.Status().Patch(t.Context(), quota, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	r := start(t)
	controlplane.Eventually(t, "the quota is in force", func(context.Context) (bool, error) {
		status, _, answer := r.send(http.MethodPost, "/api/v1/jobs", key, started)
		return status == http.StatusForbidden && answer["code"] == "quota_exceeded", nil
	})
}

func TestOnlyServedNamespacesAreServed(t *testing.T) {
	served, other := cluster.Namespace(t), cluster.Namespace(t)
	newSpider(t, served, "books")
	key, _ := newKey(t, served, "")
	stranger, _ := newKey(t, other, "")
	r := start(t, func(_ *rest.Config, options *apiserver.Options) { options.Namespaces = []string{served} })
	r.want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, started)
	r.want(http.StatusUnauthorized, http.MethodGet, "/api/v1/me", stranger, "")
}
