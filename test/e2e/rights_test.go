package e2e

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// attempt is a request to Kubernetes. If it would change something it is a dry run.
type attempt struct{ what, verb, path, body string }

// refused reports whether the user's rights do not permit the attempt. Any other result does not matter here.
func refused(t *testing.T, as rest.Interface, a attempt) bool {
	t.Helper()
	request := as.Verb(a.verb).AbsPath(a.path).Param("dryRun", metav1.DryRunAll)
	if a.body != "" {
		request = request.SetHeader("Content-Type", "application/json").Body([]byte(a.body))
	}
	err := request.Do(t.Context()).Error()
	// Admission also forbids things, but in other words.
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), " cannot ")
}

// impersonate returns a client of Kubernetes that acts as somebody else.
func impersonate(t *testing.T, user string) rest.Interface {
	t.Helper()
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate.UserName = user
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return clientset.CoreV1().RESTClient()
}

// TestProcessesAreRefusedWhatTheyDoNotNeed asks kube-apiserver itself, as each of the processes.
func TestProcessesAreRefusedWhatTheyDoNotNeed(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	n.Start("job", "counter", map[string]string{"n": "1"})
	n.AwaitEnd("job", soon)
	pod := n.Pods("job")[0].Name
	n.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "password"}})

	core, batch := "/api/v1/namespaces/"+n.Name, "/apis/batch/v1/namespaces/"+n.Name
	rights := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + n.Name
	own := "/apis/scrapethis.app/v1alpha1/namespaces/" + n.Name
	const (
		newPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"a"}]}}`
		newJob = `{"apiVersion":"scrapethis.app/v1alpha1","kind":"SpiderJob","metadata":{"name":"a"},` +
			`"spec":{"spiderRef":{"name":"b"}}}`
		spider  = `{"apiVersion":"scrapethis.app/v1alpha1","kind":"Spider","metadata":{"name":"a"},"spec":{"image":"a"}}`
		nothing = `{}`
	)
	var (
		readSecret  = attempt{"read a Secret", http.MethodGet, core + "/secrets/password", ""}
		listSecrets = attempt{"list Secrets", http.MethodGet, core + "/secrets", ""}
		readConfig  = attempt{"list ConfigMaps", http.MethodGet, core + "/configmaps", ""}
		createPod   = attempt{"create a Pod", http.MethodPost, core + "/pods", newPod}
		exec        = attempt{"run a command in a Pod", http.MethodPost, core + "/pods/" + pod + "/exec", nothing}
		attach      = attempt{"attach to a Pod", http.MethodPost, core + "/pods/" + pod + "/attach", nothing}
		token       = attempt{"make a token", http.MethodPost, core + "/serviceaccounts/default/token", nothing}
		makeRole    = attempt{"grant rights", http.MethodPost, rights + "/rolebindings", nothing}
		readPod     = attempt{"read a Pod", http.MethodGet, core + "/pods/" + pod, ""}
		listPods    = attempt{"list Pods", http.MethodGet, core + "/pods", ""}
		patchPod    = attempt{"change a Pod", http.MethodPatch, core + "/pods/" + pod, nothing}
		listJobs    = attempt{"list Jobs", http.MethodGet, batch + "/jobs", ""}
		deleteJob   = attempt{"delete a Job", http.MethodDelete, batch + "/jobs/job", ""}
		nodes       = attempt{"list nodes", http.MethodGet, "/api/v1/nodes", ""}

		list         = attempt{"list SpiderJobs", http.MethodGet, own + "/spiderjobs", ""}
		listAll      = attempt{"list everybody's SpiderJobs", http.MethodGet, "/apis/scrapethis.app/v1alpha1/spiderjobs", ""}
		start        = attempt{"create a SpiderJob", http.MethodPost, own + "/spiderjobs", newJob}
		changeStatus = attempt{"write a SpiderJob's status", http.MethodPut, own + "/spiderjobs/job/status", nothing}
		createSpider = attempt{"create a Spider", http.MethodPost, own + "/spiders", spider}
		listSpiders  = attempt{"list Spiders", http.MethodGet, own + "/spiders", ""}
		listKeys     = attempt{"list APIKeys", http.MethodGet, own + "/apikeys", ""}
		createKey    = attempt{"create an APIKey", http.MethodPost, own + "/apikeys", nothing}
	)
	account := func(component string) string {
		return "system:serviceaccount:" + n.System + ":spider-operator-" + component
	}
	for who, test := range map[string]struct {
		user      string
		may, cant []attempt
	}{
		"the REST API": {
			user: account("apiserver"),
			may:  []attempt{list, listAll, start, listSpiders, createSpider, listKeys, readPod},
			cant: []attempt{
				readSecret, listSecrets, readConfig, createPod, exec, attach, token, makeRole, listPods, patchPod, listJobs, deleteJob,
				nodes, changeStatus, createKey,
			},
		},
		"the controller": {
			user: account("controller"),
			may:  []attempt{list, listAll, start, listSpiders, listPods, patchPod, listJobs, deleteJob, changeStatus},
			cant: []attempt{
				readSecret, listSecrets, readConfig, createPod, exec, attach, token, makeRole, nodes,
				createSpider, listKeys, createKey,
			},
		},
		"a spider": {
			user: "system:serviceaccount:" + n.Name + ":default",
			cant: []attempt{readSecret, createPod, exec, token, list, start, changeStatus, listSpiders, listKeys, createKey},
		},
	} {
		t.Run(who, func(t *testing.T) {
			as := impersonate(t, test.user)
			for _, a := range test.may {
				if refused(t, as, a) {
					t.Errorf("%s may not %s", who, a.what)
				}
			}
			for _, a := range test.cant {
				if !refused(t, as, a) {
					t.Errorf("%s may %s", who, a.what)
				}
			}
		})
	}
}
