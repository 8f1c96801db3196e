package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// sees fails the test if a user does not see a job in every call that shows jobs.
func sees(t *testing.T, api *harness.API, id string) {
	t.Helper()
	if job := api.Get(id); job.ID != id {
		t.Errorf("%s reads job %s as %s", api.User, id, job.ID)
	}
	if !listed(api, id) {
		t.Errorf("%s does not find job %s in the list", api.User, id)
	}
}

// neverSees fails the test if a user can find a job of somebody else, or do anything to it.
func neverSees(t *testing.T, api *harness.API, id string) {
	t.Helper()
	for _, call := range []harness.Request{
		{Method: http.MethodGet, Path: "/api/v1/jobs/" + id},
		{Method: http.MethodGet, Path: "/api/v1/jobs/" + id + "?wait=1s"},
		{Method: http.MethodGet, Path: "/api/v1/jobs/" + strings.ToUpper(id)},
		{Method: http.MethodDelete, Path: "/api/v1/jobs/" + id},
		{Method: http.MethodDelete, Path: "/api/v1/jobs/" + id + "?grace_period_seconds=0"},
	} {
		api.Refused(http.StatusNotFound, call)
	}
	if listed(api, id) {
		t.Errorf("%s finds job %s in the list", api.User, id)
	}
}

func listed(api *harness.API, id string) bool {
	for _, job := range api.List("?limit=1000") {
		if job.ID == id {
			return true
		}
	}
	return false
}

func TestJobsOfOtherNamespacesAndUsersAreInvisible(t *testing.T) {
	t.Parallel()
	here, there := cluster.Namespace(t), cluster.Namespace(t)
	here.Counter("counter")
	there.Counter("counter")
	// A user of the same name in another namespace is another user.
	users := []*harness.API{here.API("alice"), here.API("bob"), here.API(""), there.API("alice"), there.API("")}
	ids := make([]string, len(users))
	for i, api := range users {
		ids[i] = api.Start("counter", map[string]any{"n": 3000, "delay": "100ms"})
	}
	for i, api := range users {
		for j, id := range ids {
			if i == j {
				sees(t, api, id)
				if job := api.Get(id); job.UserID != api.User {
					t.Errorf("a job of %s is shown as one of %s", api.User, job.UserID)
				}
				continue
			}
			neverSees(t, api, id)
		}
		if jobs := api.List(""); len(jobs) != 1 {
			t.Errorf("%s sees %d jobs, and not the one that is theirs", api.User, len(jobs))
		}
	}
	// Refused calls have had no effect.
	for i, api := range users {
		if job := api.Get(ids[i]); job.Status != "pending" && job.Status != "running" {
			t.Errorf("the job of %s is %s", api.User, job.Status)
		}
	}
}

func TestASpiderOfOneUserIsNotFoundForOthers(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	spider := n.Counter("private", func(spec *v1alpha1.SpiderSpec) { spec.UserID = "alice" })
	alice, bob := n.API("alice"), n.API("bob")
	alice.AwaitSpider("private")
	alice.Wait(alice.Start("private", map[string]any{"n": 1}), soon)
	for _, body := range []string{`{"spider_name": "private"}`, `{"spider_id": "` + spider.ID() + `"}`} {
		alice.Want(http.StatusOK, harness.Request{Method: http.MethodPost, Path: "/api/v1/jobs", Body: body}, nil)
		bob.Refused(http.StatusNotFound, harness.Request{Method: http.MethodPost, Path: "/api/v1/jobs", Body: body})
	}
}

func TestKubectlAndRESTShowTheSameJobs(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	alice, nobody := n.API("alice"), n.API("")
	job := func(name, user string) string {
		return fmt.Sprintf(`
apiVersion: scrapethis.app/v1alpha1
kind: SpiderJob
metadata: {name: %s}
spec:
  spiderRef: {name: counter}
  arguments: {"n": "5"}
  %s
`, name, user)
	}
	n.Run(job("by-kubectl", "")+"---"+job("by-kubectl-for-alice", "userID: alice"), "apply", "--filename=-")

	for name, api := range map[string]*harness.API{"by-kubectl": nobody, "by-kubectl-for-alice": alice} {
		done := n.AwaitPhase(name, v1alpha1.PhaseFinished, soon)
		id := done.Status.ID
		if id != done.ID() || strings.TrimSpace(n.Run("", "get", "spiderjob", name, "--output=jsonpath={.status.id}")) != id {
			t.Errorf("SpiderJob %s has the id %s, and says %s", name, done.ID(), id)
		}
		shown := api.Await(id, "is finished", atOnce, func(job harness.Job) bool { return job.Status == "finished" })
		if shown.Items() != 5 || shown.UserID != api.User || shown.Arguments["n"] != "5" || shown.Spider.Name != "counter" {
			t.Errorf("a job made by kubectl is shown as %+v", shown)
		}
	}

	id := alice.Start("counter", map[string]any{"n": 6})
	alice.Wait(id, soon)
	n.AwaitPhase(id, v1alpha1.PhaseFinished, soon)
	if line := n.Run("", "get", "spiderjob", id, "--no-headers"); !strings.Contains(line, "counter") ||
		!strings.Contains(line, "Finished") || !strings.Contains(line, " 6 ") {
		t.Errorf("kubectl shows a job made by REST as %s", line)
	}
	if jobs := alice.List("?spider_id=" + (alice.Get(id)).SpiderID); len(jobs) != 2 || jobs[0].ID != id {
		t.Errorf("alice's jobs, the newest first, are %+v", jobs)
	}
}

func TestAKeyCopiedIntoAnotherNamespaceGrantsNothing(t *testing.T) {
	t.Parallel()
	here, there := cluster.Namespace(t), cluster.Namespace(t)
	here.Counter("counter")
	there.Counter("counter")
	key, theirs := here.API("alice"), there.API("alice")
	id := theirs.Start("counter", nil)

	var keys v1alpha1.APIKeyList
	if err := here.Client.List(t.Context(), &keys, client.InNamespace(here.Name)); err != nil || len(keys.Items) != 1 {
		t.Fatalf("list the API keys: %d, %v", len(keys.Items), err)
	}
	stolen := &v1alpha1.APIKey{Spec: keys.Items[0].Spec}
	stolen.Name = "stolen"
	there.Create(stolen)
	// Whenever the REST API notices it, the key stays what it was: it is valid for its own namespace only.
	var who struct {
		Namespace string `json:"namespace"`
	}
	later := there.API("later")
	for range 3 {
		key.Want(http.StatusOK, harness.Request{Method: http.MethodGet, Path: "/api/v1/me"}, &who)
		if who.Namespace != here.Name {
			t.Errorf("the key opens namespace %s, not %s", who.Namespace, here.Name)
		}
		neverSees(t, key, id)
		later.List("")
	}
}

func TestAKeyIsRefusedOnceItIsRevokedOrExpired(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	revoked, expiring := n.API("alice"), n.API("bob", "--expires", "8s")
	refused := func(api *harness.API, within string) {
		n.Eventually(t, soon, within, func(ctx context.Context) error {
			answer, err := api.Try(ctx, harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs"})
			if err == nil && answer.Status != http.StatusUnauthorized {
				err = fmt.Errorf("the key is still answered with %d", answer.Status)
			}
			return err
		})
	}
	n.Run("", "delete", "apikeys", "--field-selector", "spec.keyID="+strings.Split(revoked.Key, "_")[1])
	refused(revoked, "the revoked key is refused")
	refused(expiring, "the expired key is refused")
}
