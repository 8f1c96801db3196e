package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestTheSamplesRun(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Run("", "apply", "--filename", filepath.Join("..", "..", "config", "samples"))
	if st := n.AwaitPhase("sample-travel", v1alpha1.PhaseFinished, crawl).Status; st.Stats.ItemsScraped != 30 {
		t.Errorf("sample-travel has scraped %d items", st.Stats.ItemsScraped)
	}
	if st := n.AwaitPhase("sample-count", v1alpha1.PhaseFinished, crawl).Status; st.Stats.ItemsScraped != 25 {
		t.Errorf("sample-count has counted to %d", st.Stats.ItemsScraped)
	}
}

func TestKubectlShowsStateAndReasonOfJobs(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	n.Start("good", "counter", map[string]string{"n": "17"})
	n.Start("bad", "counter", map[string]string{"n": "17", "exit": "4"})
	n.Start("asleep", "counter", map[string]string{"n": "1000", "delay": "1s"})
	n.AwaitEnd("good", soon)
	n.AwaitEnd("bad", soon)
	n.AwaitPhase("asleep", v1alpha1.PhaseRunning, soon)

	for _, tt := range []struct {
		command string
		says    []string // patterns
	}{
		{"get spiderjobs", []string{
			`NAME +SPIDER +PHASE +ITEMS +STARTED +DURATION +AGE`, `good +counter +Finished +17 +\S+ +\d+s`, `bad +counter +Error +17 `,
			`asleep +counter +Running +\S* *\d+s`,
		}},
		{"get sj bad --output wide", []string{`REASON +EXPECTATIONS +ATTEMPTS +USER +POD`, `ExitCode +1 .*bad-`}},
		{"get spiderjobs --field-selector spec.spiderRef.name=nobody", []string{`^$`}},
		{"get spiders", []string{`counter +\S*spider-demo-counter`}},
		{"describe spiderjob bad", []string{
			`Reason: +ExitCode`, `Message: +the process exited with code 4`, `Exit Code: +4`, `Items Scraped: +17`, `Warning +ExitCode`,
		}},
		{"describe spiderjob good", []string{`Phase: +Finished`, `Source: +TerminationMessage`, `Events: +<none>`}},
		{"explain spiderjob.spec", []string{`arguments\s`, `cancellation\s`, `spiderRef\s.*-required-`, `immutable except for`}},
		{"explain spiderjob.status.phase", []string{`Pending, Running, Finished, Cancelled`}},
		{"explain spider.spec.pod", []string{`resources\s`, `in addition to the image`}},
		{"wait --for=condition=Succeeded spiderjob/good --timeout=5s", []string{`condition met`}},
		{"logs job/good", []string{`items_scraped`}},
	} {
		output := n.Run("", strings.Fields(tt.command)...)
		for _, pattern := range tt.says {
			if !regexp.MustCompile(pattern).MatchString(output) {
				t.Errorf("kubectl %s does not say %s:\n%s", tt.command, pattern, output)
			}
		}
	}
}

// TestKubernetesRolesGrantTheRightsForSpiders checks what the chart adds to Kubernetes' own roles. A user who may write
// Spiders can run any image, and one who may write APIKeys can be any user, so those rights are left to tenant administrators.
func TestKubernetesRolesGrantTheRightsForSpiders(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	for _, role := range []string{"view", "edit", "admin"} {
		n.Run("", "create", "serviceaccount", role)
		n.Run("", "create", "rolebinding", role, "--clusterrole="+role, "--serviceaccount="+n.Name+":"+role)
	}
	n.Run("", "create", "serviceaccount", "tenant")
	n.Run("", "create", "rolebinding", "tenant", "--clusterrole=spider-operator-tenant-admin", "--serviceaccount="+n.Name+":tenant")
	// kube-apiserver notices a new binding a moment later. A right that all of them have shows when.
	for _, who := range []string{"view", "edit", "admin", "tenant"} {
		n.Eventually(t, soon, "the binding of "+who+" is in force", func(context.Context) error {
			if !n.May(who, "list", "spiderjobs") {
				return errors.New("it may not list SpiderJobs yet")
			}
			return nil
		})
	}
	for _, tt := range []struct {
		verb, resource string
		who            string // the user that may
	}{
		{"list", "spiderjobs", "view edit admin tenant"},
		{"list", "spiders", "view edit admin tenant"},
		{"create", "spiderjobs", "edit admin tenant"},
		{"delete", "spiderjobs", "edit admin tenant"},
		{"update", "spiderjobs/status", ""},
		{"create", "spiderschedules", "edit admin tenant"},
		{"update", "spiderschedules/status", ""},
		{"create", "spiders", "tenant"},
		{"list", "spiderquotas", "view edit admin tenant"},
		{"update", "spiderquotas", "tenant"},
		{"get", "apikeys", "tenant"},
		{"create", "apikeys", "tenant"},
	} {
		for _, who := range []string{"view", "edit", "admin", "tenant"} {
			want := slices.Contains(strings.Fields(tt.who), who)
			if may := n.May(who, tt.verb, tt.resource); may != want {
				t.Errorf("may %s %s %s: %t, want %t", who, tt.verb, tt.resource, may, want)
			}
		}
	}
}

// TestTheDemoAndTheOperatorRunUnderTheRestrictedStandard checks that the demo's crawl, which was the first of all tests, and
// the operator itself are admitted under the restricted Pod Security Standard.
func TestTheDemoAndTheOperatorRunUnderTheRestrictedStandard(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{"demo", cluster.System} {
		running, err := cluster.Clientset.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(running.Items) == 0 {
			t.Errorf("namespace %s has no Pods (%v)", namespace, err)
		}
		lax := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "lax-", Namespace: namespace},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: cluster.CounterImage}}},
		}
		err = cluster.Client.Create(t.Context(), lax, client.DryRunAll)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "restricted:`) {
			t.Errorf("a Pod that asks for no restrictions is created in namespace %s: %v", namespace, err)
		}
	}
}

func TestBothProcessesServeMetricsOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, component := range []string{"controller", "apiserver"} {
		text := cluster.Metrics(t, component)
		if !strings.Contains(text, "\nspider_operator_") {
			t.Errorf("the %s serves no metrics of its own:\n%.2000s", component, text)
		}
	}
}
