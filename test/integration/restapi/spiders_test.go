package restapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func spiderOf(t *testing.T, namespace, name string) *v1alpha1.Spider {
	t.Helper()
	spider := &v1alpha1.Spider{}
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, spider); err != nil {
		t.Fatalf("read Spider %s/%s: %v", namespace, name, err)
	}
	return spider
}

func TestLifeOfASpiderThroughREST(t *testing.T) {
	namespace := cluster.Namespace(t)
	alice, _ := newKey(t, namespace, "alice")
	bob, _ := newKey(t, namespace, "bob")
	replicas := []*replica{start(t), start(t)}
	made := replicas[0].want(http.StatusOK, http.MethodPost, "/api/v1/spiders", alice,
		`{"name": "books", "repo_path": "spiders/books.py", "description": "x", "settings": {"DOWNLOAD_DELAY": 0.5, "A": "b"}}`)
	id := made["id"].(string)
	path := "/api/v1/spiders/" + id

	// The other replica knows it at once, by its id.
	job := replicas[1].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", alice, `{"spider_id": "`+id+`"}`)["jobId"].(string)
	replicas[1].want(http.StatusNotFound, http.MethodGet, path, bob, "")
	replicas[1].want(http.StatusNotFound, http.MethodDelete, path, bob, "")

	replicas[1].want(http.StatusOK, http.MethodPatch, path, alice,
		`{"name": "tomes", "description": null, "settings": {"A": null, "B": 1}}`)
	stored := spiderOf(t, namespace, id)
	if s := stored.Spec; s.Name != "tomes" || s.RepoPath != "spiders/books.py" || s.Description != "" || s.UserID != "alice" ||
		len(s.Settings) != 2 || s.Settings["DOWNLOAD_DELAY"] != "0.5" || s.Settings["B"] != "1" {
		t.Errorf("stored spec %+v", s)
	}
	replicas[1].want(http.StatusOK, http.MethodDelete, path, alice, "")
	replicas[1].want(http.StatusNotFound, http.MethodGet, path, alice, "")
	if left := replicas[1].want(http.StatusOK, http.MethodGet, "/api/v1/jobs/"+job, alice, ""); left["spider_id"] != id {
		t.Errorf("the job of a deleted spider is %v", left)
	}
	replicas[0].eventually(http.StatusNotFound, http.MethodGet, path, alice, "")
}

// TestASpiderIsStartedByNameOnAnotherReplica checks that another replica knows a new spider by its name at once, even if its
// name is special in a selector.
func TestASpiderIsStartedByNameOnAnotherReplica(t *testing.T) {
	namespace := cluster.Namespace(t)
	alice, _ := newKey(t, namespace, "alice")
	bob, _ := newKey(t, namespace, "bob")
	replicas := []*replica{start(t), start(t)}
	for _, name := range []string{
		"books", "a,b=c", `back\\slash`, "a!=b", "Größe 2/ä", "a==b,spec.userID=bob", "$(X)", " books ",
		strings.Repeat("ü", 128), "%2C&limit=1",
	} {
		replicas[0].want(http.StatusOK, http.MethodPost, "/api/v1/spiders", alice, `{"name": "`+name+`", "repo_path": "a.py"}`)
		replicas[1].want(http.StatusOK, http.MethodPost, "/api/v1/jobs", alice, `{"spider_name": "`+name+`"}`)
		replicas[1].want(http.StatusNotFound, http.MethodPost, "/api/v1/jobs", bob, `{"spider_name": "`+name+`"}`)
	}
	for _, name := range []string{"book", "BOOKS", "books,", "*", "a"} {
		replicas[1].want(http.StatusNotFound, http.MethodPost, "/api/v1/jobs", alice, `{"spider_name": "`+name+`"}`)
	}
}

// TestWhatTheRESTAPIAcceptsOfSpidersKubernetesAccepts sends spiders at the bounds through to the stored object.
func TestWhatTheRESTAPIAcceptsOfSpidersKubernetesAccepts(t *testing.T) {
	namespace := cluster.Namespace(t)
	key, _ := newKey(t, namespace, "alice")
	r := start(t)
	var settings []string
	for i := range 64 {
		settings = append(settings, fmt.Sprintf(`"S%d": "é"`, i))
	}
	for _, body := range []string{
		`{"name": "_", "repo_path": "a"}`,
		`{"name": "` + strings.Repeat("a", 128) + `", "repo_path": "` + strings.Repeat("é", 512) + `", "description": "` +
			strings.Repeat("é", 1024) + `"}`,
		`{"name": "a.b-c_D", "repo_path": "..a/b..", "description": "\n\u0001", "settings": {` + strings.Join(settings, ",") + `}}`,
		`{"name": " Größe 2/\u00e4$(X)", "repo_path": null}`,
		`{"name": "` + strings.Repeat("ü", 128) + `", "repo_path": "a"}`,
		`{"name": "long", "repo_path": "a b/😀", "settings": {"` + strings.Repeat("A", 128) + `": "` + strings.Repeat("é", 4096) + `"}}`,
	} {
		r.want(http.StatusOK, http.MethodPost, "/api/v1/spiders", key, body)
	}
	listed := r.want(http.StatusOK, http.MethodGet, "/api/v1/spiders", key, "")["list"].([]any)
	if len(listed) != 6 {
		t.Errorf("%d spiders are listed, want 6", len(listed))
	}
}

// TestChangesOfASpiderAtOnceAreAllKept changes different settings of one spider at the same time, on two replicas.
func TestChangesOfASpiderAtOnceAreAllKept(t *testing.T) {
	namespace := cluster.Namespace(t)
	key, _ := newKey(t, namespace, "")
	replicas := []*replica{start(t), start(t)}
	id := replicas[0].want(http.StatusOK, http.MethodPost, "/api/v1/spiders", key,
		`{"name": "books", "repo_path": "a"}`)["id"].(string)
	var together sync.WaitGroup
	const changes = 6
	for i := range changes {
		together.Go(func() {
			replicas[i%2].want(http.StatusOK, http.MethodPatch, "/api/v1/spiders/"+id, key, fmt.Sprintf(`{"settings": {"S%d": 1}}`, i))
		})
	}
	together.Wait()
	if s := spiderOf(t, namespace, id).Spec.Settings; len(s) != changes {
		t.Errorf("the settings are %v, want %d", s, changes)
	}
}

func TestASpiderWithACommandKeepsIt(t *testing.T) {
	namespace := cluster.Namespace(t)
	key, _ := newKey(t, namespace, "")
	spider := &v1alpha1.Spider{Spec: v1alpha1.SpiderSpec{Command: []string{"count"}}}
	spider.Namespace, spider.Name = namespace, "counter"
	create(t, spider)
	r := start(t)
	path := "/api/v1/spiders/" + spider.ID()
	refusal := r.want(http.StatusBadRequest, http.MethodPatch, path, key, `{"repo_path": "a.py"}`)
	if message, _ := refusal["error"].(string); !strings.Contains(message, "command") {
		t.Errorf("a path beside a command is refused with %v", refusal)
	}
	r.want(http.StatusOK, http.MethodPatch, path, key, `{"description": "counts"}`)
	if s := spiderOf(t, namespace, "counter").Spec; len(s.Command) != 1 || s.Description != "counts" {
		t.Errorf("stored spec %+v", s)
	}
}
