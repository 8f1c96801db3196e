package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Namespace is a test's own tenant, under the restricted Pod Security Standard.
type Namespace struct {
	*Cluster

	// Name is its name.
	Name string

	t testing.TB
}

// Namespace creates a namespace for the test, and deletes it when the test ends. If the test fails it logs what is in the
// namespace.
func (c *Cluster) Namespace(t testing.TB) *Namespace {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := c.Client.Create(t.Context(), object); err != nil {
		t.Fatalf("create a namespace: %v", err)
	}
	n := &Namespace{Cluster: c, Name: object.Name, t: t}
	t.Cleanup(func() {
		for _, violation := range c.invariants.of(n.Name) {
			t.Error(violation)
		}
		if t.Failed() {
			n.explain()
		}
		// The test's own context is done by now.
		if err := c.Client.Delete(context.Background(), object); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete namespace %s: %v", n.Name, err)
		}
	})
	return n
}

// SystemNamespace returns the namespace of the operator and its release.
func (c *Cluster) SystemNamespace(t testing.TB) *Namespace {
	return &Namespace{Cluster: c, Name: c.System, t: t}
}

// In returns the same namespace for another test, such as a subtest.
func (n *Namespace) In(t testing.TB) *Namespace {
	return &Namespace{Cluster: n.Cluster, Name: n.Name, t: t}
}

// API creates an API key by the operator's own command, with further flags if needed, and returns the REST API as the key's
// user; "" is the namespace itself. It returns once the key is accepted.
func (n *Namespace) API(user string, flags ...string) *API {
	n.t.Helper()
	return n.APIAt(n.APIURL, user, flags...)
}

// APIAt is like API for a REST API at another address.
func (n *Namespace) APIAt(address, user string, flags ...string) *API {
	n.t.Helper()
	arguments := append([]string{"apikey", "create", "--kubeconfig", n.Kubeconfig, "--namespace", n.Name}, flags...)
	if user != "" {
		arguments = append(arguments, "--user", user)
	}
	key, err := n.operator(n.t.Context(), arguments...)
	if err != nil {
		n.t.Fatalf("create an API key: %v", err)
	}
	api := &API{Key: strings.TrimSpace(key), URL: address, t: n.t, contract: n.contract}
	if api.User = user; user == "" {
		api.User = n.Name
	}
	n.Eventually(n.t, 10*time.Second, "the API accepts the new key", func(ctx context.Context) error {
		response, err := api.Try(ctx, Request{Method: http.MethodGet, Path: "/api/v1/me"})
		if err == nil && response.Status != http.StatusOK {
			err = fmt.Errorf("%d %s", response.Status, response.Body)
		}
		return err
	})
	return api
}

// Create creates objects in the namespace.
func (n *Namespace) Create(objects ...client.Object) {
	n.t.Helper()
	for _, object := range objects {
		object.SetNamespace(n.Name)
		if err := n.Client.Create(n.t.Context(), object); err != nil {
			n.t.Fatalf("create %T %s: %v", object, object.GetName(), err)
		}
	}
}

// Scrapy creates a Spider of the demo's Scrapy project, changed as said.
func (n *Namespace) Scrapy(name string, change ...func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider {
	n.t.Helper()
	return n.spider(name, n.ScrapyImage, change)
}

// Counter creates the Spider of the demo's counter, changed as said.
func (n *Namespace) Counter(name string, change ...func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider {
	n.t.Helper()
	command := func(spec *v1alpha1.SpiderSpec) { spec.Command = []string{"/counter"} }
	return n.spider(name, n.CounterImage, slices.Insert(change, 0, command))
}

// Python creates a Spider that runs a Python program of the test's own, changed as said.
func (n *Namespace) Python(name, program string, change ...func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider {
	n.t.Helper()
	command := func(spec *v1alpha1.SpiderSpec) { spec.Command = []string{"python3", "-u", "-c", program} }
	return n.spider(name, n.ScrapyImage, slices.Insert(change, 0, command))
}

func (n *Namespace) spider(name, image string, change []func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider {
	n.t.Helper()
	spider := &v1alpha1.Spider{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.SpiderSpec{
			Image: image,
			// Many tests share one small node.
			Pod: v1alpha1.PodOptions{Resources: &corev1.ResourceRequirements{
				Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
				},
				Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
			}},
		},
	}
	for _, c := range change {
		c(&spider.Spec)
	}
	n.Create(spider)
	return spider
}

// Start creates a SpiderJob, as kubectl would, and returns its name.
func (n *Namespace) Start(name, spider string, arguments map[string]string, change ...func(*v1alpha1.SpiderJobSpec)) string {
	n.t.Helper()
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: spider}},
	}
	for argument, value := range arguments {
		if job.Spec.Arguments == nil {
			job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{}
		}
		job.Spec.Arguments[argument] = v1alpha1.ArgumentValue(value)
	}
	for _, c := range change {
		c(&job.Spec)
	}
	n.Create(job)
	return name
}

// errNotYet is the error of a condition that does not hold yet, if there is nothing more specific.
var errNotYet = errors.New("not yet")

// Await waits until a SpiderJob is as wanted, and returns it.
func (n *Namespace) Await(name, what string, within time.Duration, ok func(*v1alpha1.SpiderJob) bool) *v1alpha1.SpiderJob {
	n.t.Helper()
	job := &v1alpha1.SpiderJob{}
	n.Eventually(n.t, within, "SpiderJob "+name+" "+what, func(ctx context.Context) error {
		if err := n.watched.Get(ctx, client.ObjectKey{Namespace: n.Name, Name: name}, job); err != nil {
			return err
		}
		if !ok(job) {
			st := job.Status
			return fmt.Errorf("%w: it is %s, %s: %s (attempts %d)", errNotYet, st.Phase, st.Reason, st.Message, st.Attempts)
		}
		return nil
	})
	return job
}

// AwaitPhase waits until a SpiderJob is in the phase, and fails at once when it has ended in another.
func (n *Namespace) AwaitPhase(name string, phase v1alpha1.Phase, within time.Duration) *v1alpha1.SpiderJob {
	n.t.Helper()
	job := n.Await(name, "is "+string(phase), within, func(job *v1alpha1.SpiderJob) bool {
		return job.Status.Phase == phase || job.Status.Phase.Terminal()
	})
	if job.Status.Phase != phase {
		n.t.Fatalf("SpiderJob %s ended %s, not %s: %s: %s", name, job.Status.Phase, phase, job.Status.Reason, job.Status.Message)
	}
	return job
}

// AwaitReason waits until a SpiderJob has the reason.
func (n *Namespace) AwaitReason(name, reason string, within time.Duration) *v1alpha1.SpiderJob {
	n.t.Helper()
	return n.Await(name, "says "+reason, within, func(job *v1alpha1.SpiderJob) bool { return job.Status.Reason == reason })
}

// AwaitWarning waits until there is a Warning about a SpiderJob with the reason.
func (n *Namespace) AwaitWarning(name, reason string, within time.Duration) {
	n.t.Helper()
	n.Eventually(n.t, within, "an Event of SpiderJob "+name+" says "+reason, func(ctx context.Context) error {
		var events corev1.EventList
		if err := n.watched.List(ctx, &events, client.InNamespace(n.Name)); err != nil {
			return err
		}
		for i := range events.Items {
			e := &events.Items[i]
			about := e.InvolvedObject.Kind == "SpiderJob" && e.InvolvedObject.Name == name
			if about && e.Type == corev1.EventTypeWarning && e.Reason == reason {
				return nil
			}
		}
		return errNotYet
	})
}

// AwaitEnd waits until a SpiderJob has ended, in any phase.
func (n *Namespace) AwaitEnd(name string, within time.Duration) *v1alpha1.SpiderJob {
	n.t.Helper()
	return n.Await(name, "has ended", within, func(job *v1alpha1.SpiderJob) bool { return job.Status.Phase.Terminal() })
}

// Pods returns the SpiderJob's current Pods, read live.
func (n *Namespace) Pods(job string) []corev1.Pod {
	n.t.Helper()
	var pods corev1.PodList
	err := n.Client.List(n.t.Context(), &pods, client.InNamespace(n.Name), client.MatchingLabels{v1alpha1.LabelSpiderJob: job})
	if err != nil {
		n.t.Fatalf("list the Pods of SpiderJob %s: %v", job, err)
	}
	return pods.Items
}

// Gone fails the test if anything of a SpiderJob still runs or could run again: a Job, or a Pod that has not ended.
func (n *Namespace) Gone(job string) {
	n.t.Helper()
	err := n.Client.Get(n.t.Context(), client.ObjectKey{Namespace: n.Name, Name: job}, &batchv1.Job{})
	if !apierrors.IsNotFound(err) {
		n.t.Errorf("the Job of SpiderJob %s is still there (%v)", job, err)
	}
	for _, pod := range n.Pods(job) {
		n.t.Errorf("Pod %s of SpiderJob %s is still there, %s", pod.Name, job, pod.Status.Phase)
	}
}

// AwaitGone waits until no object of the name exists any more.
func (n *Namespace) AwaitGone(object client.Object, name string, within time.Duration) {
	n.t.Helper()
	n.Eventually(n.t, within, fmt.Sprintf("%T %s is gone", object, name), func(ctx context.Context) error {
		err := n.Client.Get(ctx, client.ObjectKey{Namespace: n.Name, Name: name}, object)
		if err == nil {
			return errNotYet
		}
		return client.IgnoreNotFound(err)
	})
}

// AwaitQuota waits until Kubernetes enforces a quota of the namespace.
func (n *Namespace) AwaitQuota(name string, within time.Duration) {
	n.t.Helper()
	n.Eventually(n.t, within, "the quota "+name+" holds", func(ctx context.Context) error {
		var quota corev1.ResourceQuota
		if err := n.Client.Get(ctx, client.ObjectKey{Namespace: n.Name, Name: name}, &quota); err != nil {
			return err
		}
		if len(quota.Status.Hard) == 0 {
			return errNotYet
		}
		return nil
	})
}

// AwaitPod waits until the SpiderJob has a Pod as wanted, and returns it.
func (n *Namespace) AwaitPod(job, what string, within time.Duration, ok func(*corev1.Pod) bool) *corev1.Pod {
	n.t.Helper()
	var found *corev1.Pod
	n.Eventually(n.t, within, "a Pod of SpiderJob "+job+" "+what, func(ctx context.Context) error {
		var pods corev1.PodList
		err := n.watched.List(ctx, &pods, client.InNamespace(n.Name), client.MatchingLabels{v1alpha1.LabelSpiderJob: job})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			if ok(&pods.Items[i]) {
				found = &pods.Items[i]
				return nil
			}
		}
		return fmt.Errorf("%w: it has %d Pods", errNotYet, len(pods.Items))
	})
	return found
}

// Log reads the log of a Pod's spider as it is now.
func (n *Namespace) Log(pod string) string {
	n.t.Helper()
	text, err := n.Clientset.CoreV1().Pods(n.Name).GetLogs(pod, &corev1.PodLogOptions{Container: v1alpha1.ContainerName}).
		DoRaw(n.t.Context())
	if err != nil {
		n.t.Fatalf("read the log of Pod %s: %v", pod, err)
	}
	return string(text)
}

// AwaitLog waits until a Pod's spider has logged a line that matches, and returns the groups of the last such line.
func (n *Namespace) AwaitLog(pod string, line *regexp.Regexp, within time.Duration) []string {
	n.t.Helper()
	var found []string
	n.Eventually(n.t, within, "Pod "+pod+" logs "+line.String(), func(ctx context.Context) error {
		text, err := n.Clientset.CoreV1().Pods(n.Name).GetLogs(pod, &corev1.PodLogOptions{Container: v1alpha1.ContainerName}).DoRaw(ctx)
		if err != nil {
			return err
		}
		matches := line.FindAllStringSubmatch(string(text), -1)
		if len(matches) == 0 {
			return errNotYet
		}
		found = matches[len(matches)-1]
		return nil
	})
	return found
}

// FollowLog begins to follow the log of a Pod's spider. The function that it returns waits for the end of the log, and returns
// all of it.
func (n *Namespace) FollowLog(pod string) func() string {
	n.t.Helper()
	stream, err := n.Clientset.CoreV1().Pods(n.Name).
		GetLogs(pod, &corev1.PodLogOptions{Container: v1alpha1.ContainerName, Follow: true}).Stream(n.t.Context())
	if err != nil {
		n.t.Fatalf("follow the log of Pod %s: %v", pod, err)
	}
	var text bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(&text, stream)
		ended <- errors.Join(err, stream.Close())
	}()
	return func() string {
		n.t.Helper()
		if err := <-ended; err != nil {
			n.t.Fatalf("follow the log of Pod %s: %v", pod, err)
		}
		return text.String()
	}
}

// May reports whether a service account of the namespace may apply a verb to a resource of it or, with a slash, a subresource.
func (n *Namespace) May(account, verb, what string) bool {
	n.t.Helper()
	kind, subresource, _ := strings.Cut(what, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:" + n.Name + ":" + account,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: n.Name, Group: v1alpha1.GroupVersion.Group, Verb: verb, Resource: kind, Subresource: subresource,
		},
	}}
	if err := n.Client.Create(n.t.Context(), review); err != nil {
		n.t.Fatalf("ask what %s may do: %v", account, err)
	}
	return review.Status.Allowed
}

// Run runs kubectl in the namespace, with an input, and returns what it printed.
func (n *Namespace) Run(input string, arguments ...string) string {
	n.t.Helper()
	arguments = append([]string{"--kubeconfig", n.Kubeconfig, "--namespace", n.Name}, arguments...)
	command := exec.CommandContext(n.t.Context(), n.Kubectl, arguments...)
	command.Stdin = strings.NewReader(input)
	output, err := run(command)
	if err != nil {
		n.t.Fatal(err)
	}
	return output
}

// Helm runs Helm in the namespace, also while a test is cleaned up, and returns what it printed to standard output. Its error
// holds what it printed to standard error.
func (n *Namespace) Helm(arguments ...string) (string, error) {
	arguments = append([]string{"--kubeconfig", n.Kubeconfig, "--namespace", n.Name}, arguments...)
	return run(exec.CommandContext(context.WithoutCancel(n.t.Context()), n.HelmProgram, arguments...))
}

// run runs a program and returns what it printed to standard output. Its error holds what it printed to standard error.
func run(command *exec.Cmd) (string, error) {
	var output, complaint bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaint
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %q: %w: %s", filepath.Base(command.Path), command.Args[1:], err,
			strings.TrimSpace(complaint.String()))
	}
	return output.String(), nil
}
