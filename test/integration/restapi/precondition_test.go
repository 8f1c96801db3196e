package restapi

import (
	"net/http"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestAnETagIsValidOnEveryReplicaUntilTheSpecChanges checks that an ETag that one replica sent is valid on another at once,
// whatever the controller writes meanwhile, until the specification changes.
func TestAnETagIsValidOnEveryReplicaUntilTheSpecChanges(t *testing.T) {
	namespace := cluster.Namespace(t)
	key, _ := newKey(t, namespace, "")
	replicas := []*replica{start(t), start(t)}
	write := func(on int, status int, method, path, body, tag string) string {
		t.Helper()
		var headers []string
		if tag != "" {
			headers = []string{"If-Match", tag}
		}
		got, header, decoded := replicas[on].send(method, path, key, body, headers...)
		if got != status {
			t.Fatalf("%s %s with %s on replica %d: answer %d %v, want %d", method, path, tag, on, got, decoded, status)
		}
		return header.Get("ETag")
	}
	made := replicas[0].want(http.StatusOK, http.MethodPost, "/api/v1/spiders", key, `{"name": "books", "repo_path": "a"}`)
	path := "/api/v1/spiders/" + made["id"].(string)
	first := write(0, http.StatusOK, http.MethodGet, path, "", "")
	tag := first
	for i, description := range []string{"b", "c", "d"} {
		tag = write((i+1)%2, http.StatusOK, http.MethodPatch, path, `{"description": "`+description+`"}`, tag)
	}
	write(1, http.StatusPreconditionFailed, http.MethodPatch, path, `{"description": "e"}`, first)
	labelled := spiderOf(t, namespace, made["id"].(string))
	labelled.Labels = map[string]string{"team": "crawlers"}
	if err := cluster.Client.Update(t.Context(), labelled); err != nil {
		t.Fatal(err)
	}
	write(0, http.StatusOK, http.MethodPatch, path, `{"description": "f"}`, tag)

	name := replicas[0].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", key, `{"spider_name": "books"}`)["jobId"].(string)
	path = "/api/v1/jobs/" + name
	tag = write(1, http.StatusOK, http.MethodGet, path, "", "")
	job := &v1alpha1.SpiderJob{}
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job); err != nil {
		t.Fatal(err)
	}
	job.Status.Phase, job.Status.Stats = v1alpha1.PhaseRunning, &v1alpha1.Stats{ItemsScraped: 7, Source: v1alpha1.OriginScrapyLog}
	if err := cluster.Client.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	cancelled := write(0, http.StatusOK, http.MethodDelete, path+"?grace_period_seconds=60", "", tag)
	write(1, http.StatusPreconditionFailed, http.MethodDelete, path+"?grace_period_seconds=5", "", tag)
	write(1, http.StatusOK, http.MethodDelete, path+"?grace_period_seconds=5", "", cancelled)
	write(0, http.StatusPreconditionFailed, http.MethodDelete, path+"?grace_period_seconds=1", "", cancelled)
}
