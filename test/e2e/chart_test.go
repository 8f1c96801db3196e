package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

const (
	chart = "../../charts/spider-operator"
	// release is the demo's.
	release = "spider-operator"
	// patient runs until the test ends it, and then reports what it has done. It dies of the signal that asks it to end.
	patient = `
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
while not os.path.exists("/tmp/end"):
    time.sleep(0.1)
open("/dev/termination-log", "w").write('{"items_scraped": 11, "finish_reason": "finished"}')
`
)

// TestTheChartIsRemovedInstalledUpgradedAndRolledBackUnderRunningJobs checks that the demo's release can be uninstalled,
// installed as of the commit before this one, upgraded to this one and rolled back, by the commands of docs/run.md, and
// restored in the end. All jobs that run meanwhile do so in one and the same Pod, to their end.
func TestTheChartIsRemovedInstalledUpgradedAndRolledBackUnderRunningJobs(t *testing.T) {
	l := newChartLife(t)
	throughout, ending, lost := l.run("patient"), l.run("patient"), l.run("patient")

	l.uninstall()
	// The harness does not watch what happens now.
	l.end(ending)
	l.AwaitPod(ending.job, "has ended", soon, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodSucceeded })
	deletePod(t, l.Namespace, lost.pod)
	l.AwaitGone(&corev1.Pod{}, lost.pod.Name, soon)
	unattended := l.Start("unattended", "counter", map[string]string{"n": "3"})

	l.helm("install", release, l.before.chart, "--wait", "--set", "apiserver.replicas=2,controller.spiderImage="+l.ScrapyImage,
		"--set", imageValues(l.before.image))
	l.AwaitPhase(unattended, v1alpha1.PhaseFinished, soon)
	answersAgain(t, l.Namespace, l.api)
	ended(t, l.api.Wait(ending.job, soon), "finished", 11, 1)
	// The kubelet's Event shows the stop that no controller saw: an interruption, and another attempt.
	l.Await(lost.job, "runs again", soon, func(job *v1alpha1.SpiderJob) bool {
		return job.Status.Attempts == 2 && job.Status.Reason == v1alpha1.ReasonRunning
	})
	l.end(running{job: lost.job, pod: started(l.Namespace, lost.job)})
	ended(t, l.api.Wait(lost.job, soon), "finished", 11, 2)

	l.underCalls("during-upgrade", throughout, func() {
		l.helm("upgrade", release, chart, "--wait", "--reset-then-reuse-values",
			"--set", imageValues(l.image)+",tests.spider=counter,tests.apiKeySecret="+l.key)
	})
	l.runs(l.image)
	l.unharmed(throughout)
	l.helmTest()
	l.underCalls("during-rollback", throughout, func() { l.helm("rollback", release, "--wait") })
	l.runs(l.before.image)
	l.unharmed(throughout)

	l.putBack(t)
	l.runs(l.image)
	l.unharmed(throughout)
	l.end(throughout)
	ended(t, l.api.Wait(throughout.job, soon), "finished", 11, 1)
	for _, r := range []running{throughout, ending} {
		l.ranOnce(r)
	}
}

// chartLife is the demo's release while a test has it to itself, and a tenant of it.
type chartLife struct {
	*harness.Namespace

	t      *testing.T
	system *harness.Namespace
	api    *harness.API
	// values is a file with the values of the release, and image the image of its operator.
	values, image string
	// key is the Secret of a key for `helm test`.
	key    string
	before previous
}

// previous is the operator as of an earlier commit.
type previous struct{ chart, image string }

// running is a job, and the only Pod that it may have.
type running struct {
	job string
	pod *corev1.Pod
}

func newChartLife(t *testing.T) *chartLife {
	t.Helper()
	l := &chartLife{t: t, system: cluster.SystemNamespace(t), before: makePrevious(t)}
	l.values = filepath.Join(t.TempDir(), "values.json")
	if err := os.WriteFile(l.values, []byte(l.helm("get", "values", release, "--output", "json")), 0o600); err != nil {
		t.Fatalf("keep the release's values: %v", err)
	}
	l.image = cluster.OperatorImage(t)
	// The other tests need the operator, whatever happens in this one.
	t.Cleanup(func() {
		if t.Failed() {
			l.putBack(t)
		}
	})
	l.Namespace = cluster.Namespace(t)
	l.Python("patient", patient)
	l.Counter("counter")
	l.Scrapy("category", leisurely)
	l.api = l.API("alice").OfAnyVersion()
	l.key = secretKey(t, l.system, l.API("checker").Key)
	return l
}

// makePrevious builds, by hack/e2e, what the test upgrades from.
func makePrevious(t *testing.T) previous {
	t.Helper()
	command := exec.CommandContext(t.Context(), "../../hack/e2e/previous.sh")
	command.Stderr = t.Output()
	output, err := command.Output()
	lines := strings.Fields(string(output))
	if err != nil || len(lines) != 2 {
		t.Fatalf("make what is upgraded from: %v, %q", err, output)
	}
	return previous{chart: lines[0], image: lines[1]}
}

// imageValues are the chart's values for an image with a tag.
func imageValues(image string) string {
	colon := strings.LastIndex(image, ":")
	return "image.repository=" + image[:colon] + ",image.tag=" + image[colon+1:]
}

func (l *chartLife) helm(arguments ...string) string {
	l.t.Helper()
	began := time.Now()
	output, err := l.system.Helm(arguments...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Logf("helm %s took %s", arguments[0], time.Since(began).Round(100*time.Millisecond))
	return output
}

// putBack restores the release to what it was before the test.
func (l *chartLife) putBack(t *testing.T) {
	t.Helper()
	_, err := l.system.Helm("upgrade", "--install", release, chart, "--reset-values", "--values", l.values, "--wait",
		"--take-ownership", "--force-conflicts")
	if err != nil {
		t.Fatalf("put the operator back: %v", err)
	}
}

// run starts a job through the API, and waits until it runs.
func (l *chartLife) run(spider string) running {
	l.t.Helper()
	job := l.api.Start(spider, nil)
	return running{job: job, pod: started(l.Namespace, job)}
}

// end ends a patient spider.
func (l *chartLife) end(r running) { l.Run("", "exec", r.pod.Name, "--", "touch", "/tmp/end") }

// unharmed fails the test if a job does not continue in its Pod.
func (l *chartLife) unharmed(r running) {
	l.t.Helper()
	l.ranOnce(r)
	if phase := l.AwaitReason(r.job, v1alpha1.ReasonRunning, atOnce).Status.Phase; phase != v1alpha1.PhaseRunning {
		l.t.Errorf("the job that runs throughout is %s", phase)
	}
}

// ranOnce fails the test if a job has another Pod than before, or the Pod was restarted.
func (l *chartLife) ranOnce(r running) {
	l.t.Helper()
	pods := l.Pods(r.job)
	if len(pods) != 1 || pods[0].UID != r.pod.UID || pods[0].DeletionTimestamp != nil ||
		pods[0].Status.ContainerStatuses[0].RestartCount != 0 {
		l.t.Errorf("job %s had Pod %s, and now has %+v", r.job, r.pod.UID, pods)
	}
}

// uninstall removes the release and waits until nothing of the operator runs.
func (l *chartLife) uninstall() {
	l.t.Helper()
	// The other tests know the address of the REST API, which is the Service's.
	l.helm("upgrade", release, chart, "--reset-then-reuse-values",
		"--set-string", `apiserver.service.annotations.helm\.sh/resource-policy=keep`)
	l.helm("uninstall", release, "--wait")
	l.Eventually(l.t, soon, "no process of the operator runs", func(ctx context.Context) error {
		pods, err := l.operatorPods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%s is still there", pods[0].Name)
		}
		return err
	})
	const kinds = "deployments,services,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings," +
		"poddisruptionbudgets,networkpolicies,customresourcedefinitions"
	left := strings.Fields(l.Run("", "get", kinds, "--all-namespaces", "--output", "name",
		"--selector", "app.kubernetes.io/instance="+release))
	slices.Sort(left)
	if want := []string{
		"customresourcedefinition.apiextensions.k8s.io/apikeys.scrapethis.app",
		"customresourcedefinition.apiextensions.k8s.io/spiderjobs.scrapethis.app",
		"customresourcedefinition.apiextensions.k8s.io/spiderquotas.scrapethis.app",
		"customresourcedefinition.apiextensions.k8s.io/spiders.scrapethis.app",
		"customresourcedefinition.apiextensions.k8s.io/spiderschedules.scrapethis.app",
		"service/spider-operator-apiserver",
	}; !slices.Equal(left, want) {
		l.t.Errorf("after its removal the release has left %q, want %q", left, want)
	}
}

// operatorPods are the Pods of the operator's processes.
func (l *chartLife) operatorPods(ctx context.Context) ([]corev1.Pod, error) {
	processes := metav1.ListOptions{LabelSelector: "app.kubernetes.io/component in (controller, apiserver)"}
	list, err := l.Clientset.CoreV1().Pods(l.System).List(ctx, processes)
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// runs waits until the operator's processes are all of one image.
func (l *chartLife) runs(image string) {
	l.t.Helper()
	l.Eventually(l.t, soon, "the operator runs "+image, func(ctx context.Context) error {
		pods, err := l.operatorPods(ctx)
		if err != nil {
			return err
		}
		for i := range pods {
			if is := pods[i].Spec.Containers[0].Image; is != image {
				return fmt.Errorf("%s still runs %s", pods[i].Name, is)
			}
		}
		return nil
	})
}

// underCalls lets callers use the REST API while something is done to it, until the last of the processes that had to end has
// ended. Every call has to succeed, and each job that is started has to run once, to its end; so has a crawl that was there
// before.
func (l *chartLife) underCalls(step string, seen running, do func()) {
	l.t.Helper()
	l.Counter(step)
	crawl := l.api.Start("category", map[string]any{"category": "Travel"})
	l.AwaitPhase(crawl, v1alpha1.PhaseRunning, soon)
	l.api.AwaitSpider(step)

	callers := newCallers(l.t)
	get := func(path string) func() harness.Request {
		return func() harness.Request { return harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs" + path} }
	}
	unread := func(*harness.Response) {}
	callers.add(l.api, 100*time.Millisecond, get("/"+seen.job), unread)
	callers.add(l.api, time.Millisecond, get("/"+seen.job+"?wait=5s"), unread)
	callers.add(l.api.KeepingConnections(), 50*time.Millisecond, get(""), unread)
	var tried int
	var jobs []string
	callers.add(l.api, time.Second, func() harness.Request {
		tried++
		return harness.Request{
			Method: http.MethodPost, Path: "/api/v1/jobs", Body: fmt.Sprintf(`{"spider_name": %q, "arguments": {"n": 3}}`, step),
			Header: map[string]string{"Idempotency-Key": fmt.Sprintf("%s-%d", step, tried)},
		}
	}, func(answer *harness.Response) {
		var made struct{ JobID string }
		if err := json.Unmarshal(answer.Body, &made); err != nil {
			l.t.Errorf("decode %s: %v", answer.Body, err)
		}
		jobs = append(jobs, made.JobID)
	})
	do()
	l.Eventually(l.t, soon, "no process of the operator is about to end", func(ctx context.Context) error {
		pods, err := l.operatorPods(ctx)
		for i := range pods {
			if pods[i].DeletionTimestamp != nil {
				return fmt.Errorf("%s is", pods[i].Name)
			}
		}
		return err
	})
	callers.stop()

	for _, id := range jobs {
		ended(l.t, l.api.Wait(id, soon), "finished", 3, 1)
	}
	ended(l.t, l.api.Wait(crawl, soon), "finished", 30, 1)
	made := strings.Fields(l.Run("", "get", "spiderjobs", "--field-selector", "spec.spiderRef.name="+step,
		"--output", "jsonpath={.items[*].metadata.name}"))
	slices.Sort(jobs)
	if slices.Sort(made); len(jobs) == 0 || !slices.Equal(made, jobs) {
		l.t.Errorf("the API has answered that it made the jobs %q, and there are %q", jobs, made)
	}
}

// helmTest runs `helm test`, which has to run a spider.
func (l *chartLife) helmTest() {
	l.t.Helper()
	said := l.helm("test", release, "--logs")
	job := checked.FindStringSubmatch(said)
	if job == nil || !strings.Contains(said, "user checker of namespace "+l.Name) {
		l.t.Fatalf("helm test says\n%s", said)
	}
	st := l.AwaitPhase(job[1], v1alpha1.PhaseFinished, atOnce).Status
	if st.Stats.ItemsScraped != 100 || st.PodName == "" {
		l.t.Errorf("the job of helm test ended %s, %s: %s, stats %+v", st.Phase, st.Reason, st.Message, st.Stats)
	}
}
