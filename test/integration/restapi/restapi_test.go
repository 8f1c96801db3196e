package restapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/running"
)

// replica is a running REST API.
type replica struct {
	t       testing.TB
	address string
}

// start runs a REST API as a user with exactly the rights of the role that is installed for it, until the test ends.
func start(t *testing.T, change ...func(*rest.Config, *apiserver.Options)) *replica {
	t.Helper()
	config := cluster.User(t, roleUser(t))
	options := running.RESTAPIOptions(t)
	for _, c := range change {
		c(config, &options)
	}
	return &replica{t: t, address: running.RESTAPI(t, config, options)}
}

// roleUser creates a user who has the REST API's role in every namespace.
func roleUser(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	grant(t, name, "apiserver.yaml")
	return name
}

// grant gives a user a role in every namespace, read from the file of the chart that is installed.
func grant(t *testing.T, user, file string) {
	t.Helper()
	text, err := os.ReadFile("../../../charts/spider-operator/files/rbac/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(text, &role); err != nil {
		t.Fatalf("read the role in %s: %v", file, err)
	}
	role.Name = user + "-" + role.Name
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	for _, object := range []client.Object{&role, binding} {
		if err := cluster.Client.Create(t.Context(), object); client.IgnoreAlreadyExists(err) != nil {
			t.Fatalf("create %T %s: %v", object, role.Name, err)
		}
	}
}

// send makes a request and decodes the answer's body into a map, or a list of them under "list".
func (r *replica) send(method, path, key, body string, headers ...string) (int, http.Header, map[string]any) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.address+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	if bytes.HasPrefix(text, []byte("[")) {
		text = append([]byte(`{"list":`), append(text, '}')...)
	}
	var decoded map[string]any
	if err := json.Unmarshal(text, &decoded); err != nil {
		r.t.Fatalf("%s %s: answer %d %q: %v", method, path, response.StatusCode, text, err)
	}
	return response.StatusCode, response.Header, decoded
}

// text makes a request whose answer is not JSON.
func (r *replica) text(path, key string) (int, http.Header, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.address+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatalf("GET %s: %v", path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatalf("GET %s: read the answer: %v", path, err)
	}
	return response.StatusCode, response.Header, string(text)
}

// want makes a request and ends the test unless the answer has this status.
func (r *replica) want(status int, method, path, key, body string, headers ...string) map[string]any {
	r.t.Helper()
	got, _, decoded := r.send(method, path, key, body, headers...)
	if got != status {
		r.t.Fatalf("%s %s %s: answer %d %v, want %d", method, path, body, got, decoded, status)
	}
	return decoded
}

// eventually repeats a request until the answer has this status.
func (r *replica) eventually(status int, method, path, key, body string) {
	r.t.Helper()
	controlplane.Eventually(r.t, fmt.Sprintf("%s %s is answered %d", method, path, status), func(context.Context) (bool, error) {
		got, _, _ := r.send(method, path, key, body)
		return got == status, nil
	})
}

// newKey makes an API key for a user of a namespace.
func newKey(t *testing.T, namespace, userID string) (string, *v1alpha1.APIKey) {
	t.Helper()
	return running.APIKey(t, cluster.Client, namespace, userID)
}

func newSpider(t *testing.T, namespace, name string) {
	t.Helper()
	create(t, &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := cluster.Client.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T %s/%s: %v", object, object.GetNamespace(), object.GetName(), err)
	}
}

func spiderJob(t *testing.T, namespace, name string) *v1alpha1.SpiderJob {
	t.Helper()
	job := &v1alpha1.SpiderJob{}
	if err := cluster.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job); err != nil {
		t.Fatalf("read SpiderJob %s/%s: %v", namespace, name, err)
	}
	return job
}

// finish acts as the controller at a job's end.
func finish(t *testing.T, job *v1alpha1.SpiderJob) {
	t.Helper()
	before := job.DeepCopy()
	job.Status.Phase, job.Status.FinishedAt = v1alpha1.PhaseFinished, new(metav1.Now())
	job.Status.Stats = &v1alpha1.Stats{ItemsScraped: 142, Source: v1alpha1.OriginScrapyStats, Final: true}
	if err := cluster.Client.Status().Patch(t.Context(), job, client.MergeFrom(before)); err != nil {
		t.Fatalf("write the status of SpiderJob %s: %v", job.Name, err)
	}
}
