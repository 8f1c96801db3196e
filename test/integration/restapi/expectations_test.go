package restapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestExpectationsThroughREST checks that kube-apiserver stores everything that the REST API accepts, at its bounds, and that
// the judgement at the end comes back.
func TestExpectationsThroughREST(t *testing.T) {
	namespace := cluster.Namespace(t)
	create(t, &v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "books"},
		Spec: v1alpha1.SpiderSpec{Expectations: &v1alpha1.Expectations{
			MinItems: new(int64(100)), FeedFailures: new(int64(9007199254740992)),
		}},
	})
	key, _ := newKey(t, namespace, "alice")
	r := start(t)
	begin := func(expectations string, status int) map[string]any {
		return r.want(status, http.MethodPost, "/api/v1/jobs", key,
			`{"spider_name": "books", "expectations": `+expectations+`}`, "Content-Type", "application/json")
	}
	var reasons []string
	for i := range 32 {
		reasons = append(reasons, fmt.Sprintf(`"%s%02d"`, strings.Repeat("é", 126), i))
	}
	for _, expectations := range []string{
		`{"min_items": 9007199254740992, "max_errors": 9007199254740992, "max_failed_response_percent": 100,
		"max_duration_seconds": 31536000,
			"feed_failures": 9007199254740992, "no_progress_seconds": 31536000, "on_stall": "report", "on_violation": "error",
			"compared_to_previous": {"runs": 20, "min_items_percent": 1000, "same_arguments": false}, "require_counts": true,
			"finish_reasons": [` + strings.Join(reasons, ",") + `]}`,
		`{"min_items": 100, "max_errors": 0, "max_failed_response_percent": 0, "max_duration_seconds": 1, "feed_failures": 0,
			"no_progress_seconds": 60, "on_stall": "retry", "compared_to_previous": {"runs": 1, "min_items_percent": 1},
			"finish_reasons": ["*"], "require_counts": false}`,
		`{"compared_to_previous": {"min_items_percent": 50}}`,
	} {
		begin(expectations, http.StatusOK)
	}
	if refusal := begin(`{"min_items": 99}`, http.StatusBadRequest); refusal["field"] != "expectations.min_items" {
		t.Errorf("what loosens the spider's rule is refused with %v", refusal)
	}

	id := begin(`{"min_items": 200, "on_violation": "error"}`, http.StatusOK)["jobId"].(string)
	job := spiderJob(t, namespace, id)
	if e := job.Spec.Expectations; e == nil || *e.MinItems != 200 || e.OnViolation != v1alpha1.ViolationError {
		t.Fatalf("the SpiderJob has the expectations %+v", e)
	}
	before := job.DeepCopy()
	job.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionExpectationsMet, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonExpectationsNotMet,
		LastTransitionTime: metav1.Now(),
	}}
	job.Status.Violations = []v1alpha1.Violation{{Rule: "minItems", Expected: "at least 200", Actual: "142"}}
	if err := cluster.Client.Status().Patch(t.Context(), job, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	finish(t, job)
	ended := r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+id+"?wait=60s", key, "")
	const judged = "map[met:false violations:[map[actual:142 expected:at least 200 rule:min_items]]]"
	if text := fmt.Sprint(ended["expectations"]); text != judged {
		t.Errorf("the job that has ended says of its expectations %s", text)
	}
	failed := r.want(http.StatusOK, http.MethodGet, "/api/v1/jobs?expectations=failed", key, "")["list"].([]any)
	if len(failed) != 1 || failed[0].(map[string]any)["id"] != id {
		t.Errorf("the jobs that have broken their expectations are %v, want %s", failed, id)
	}
}
