package lifecycle

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// queue does to Jobs what Kueue is documented to do: it suspends Jobs with a queue's name as they are created, writes where
// they may run into their Pod template when it admits them, and suspends them again when it preempts them.
type queue struct {
	*stage
	name string
}

// newQueue installs the equivalent of Kueue's webhook, for one namespace, and waits until it is in force.
func newQueue(s *stage) queue {
	s.Helper()
	q := queue{stage: s, name: "crawls"}
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "queue-" + s.namespace},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       jobs,
				},
			}}},
			MatchConditions: []admissionv1.MatchCondition{{
				Name: "has-a-queue", Expression: `has(object.metadata.labels) && '` + v1alpha1.LabelQueueName + `' in object.metadata.labels`,
			}},
			FailurePolicy:      ptr.To(admissionv1.Fail),
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{
				PatchType:          admissionv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: `Object{spec: Object.spec{suspend: true}}`},
			}},
		},
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name,
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: s.namespace},
			}},
		},
	}
	s.whileTested(policy, binding)
	s.eventually("the queue is in force", func() bool {
		probe := &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "probe",
				Labels: map[string]string{v1alpha1.LabelQueueName: q.name}},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "probe", Image: "probe:1"}},
			}}},
		}
		if err := cluster.Client.Create(s.Context(), probe, client.DryRunAll); err != nil {
			s.Fatalf("try whether the queue is in force: %v", err)
		}
		return ptr.Deref(probe.Spec.Suspend, false)
	})
	return q
}

// waiting waits for a suspended Job of that name that has no Pod, and returns it.
func (q queue) waiting(name string) *batchv1.Job {
	q.Helper()
	job := q.awaitJob(name, "waits in the queue", func(job *batchv1.Job) bool {
		return ptr.Deref(job.Spec.Suspend, false) && job.Status.Active == 0 && job.DeletionTimestamp == nil
	})
	if job.Labels[v1alpha1.LabelQueueName] != q.name {
		q.Fatalf("Job %s is labelled with queue %q, want %q", name, job.Labels[v1alpha1.LabelQueueName], q.name)
	}
	return job
}

// admit lets a Job start, on the nodes of one flavour.
func (q queue) admit(name, flavour string) {
	q.Helper()
	q.update(&batchv1.Job{}, name, func(object client.Object) {
		job := object.(*batchv1.Job)
		template := &job.Spec.Template
		template.Labels["flavour"] = flavour
		template.Spec.NodeSelector = map[string]string{"flavour": flavour}
		template.Spec.Tolerations = []corev1.Toleration{{Key: "flavour", Value: flavour, Effect: corev1.TaintEffectNoSchedule}}
		job.Spec.Suspend = ptr.To(false)
	})
}

// preempt takes a running Job back: it suspends the Job and resets its start time, so that its template may be changed again.
func (q queue) preempt(name string) {
	q.Helper()
	q.suspend(name, true)
	for {
		job := &batchv1.Job{}
		q.get(job, name)
		job.Status.StartTime = nil
		err := cluster.Client.Status().Update(q.Context(), job)
		switch {
		case err == nil:
			return
		case !apierrors.IsConflict(err):
			q.Fatalf("reset the start of Job %s: %v", name, err)
		}
	}
}

func inQueue(spec *v1alpha1.SpiderSpec) { spec.QueueName = "crawls" }

// TestASpiderJobWaitsInAQueue runs a SpiderJob through a queue, which the controller does not interfere with.
func TestASpiderJobWaitsInAQueue(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	q := newQueue(s)
	s.spider(quickCrawl(7), inQueue)
	replica := s.controller()
	s.job("run")
	job := q.waiting("run")
	if sj := s.awaitReason("run", v1alpha1.ReasonQueued); sj.Status.Phase != v1alpha1.PhasePending {
		t.Errorf("a queued SpiderJob is %s", describe(&sj.Status))
	}
	q.admit("run", "spot")
	s.awaitPhase("run", v1alpha1.PhaseRunning)
	pod := s.awaitPod("run")
	if pod.Spec.NodeSelector["flavour"] != "spot" || pod.Labels["flavour"] != "spot" || !tolerates(pod, "spot") {
		t.Errorf("the Pod does not have what the queue gave its Job: %v %v %v", pod.Spec.NodeSelector, pod.Labels, pod.Spec.Tolerations)
	}
	s.awaitOutcome("run", completed)
	if n := s.jobsMade("run"); n != 1 {
		t.Errorf("%d Jobs were made, want %s alone", n, job.UID)
	}
	want := []string{"create jobs", "update spiderjobs/status", "update spiderjobs/status", "update spiderjobs/status"}
	if got := replica.writes(); len(got) != len(want) { // queued, running, finished
		t.Errorf("the controller wrote %q, want %q", got, want)
	}
}

// TestASuspendedRunIsInterruptedAndQueuedAgain suspends the Job of a running SpiderJob. That is an interruption, even for a
// Scrapy that exits with 0; the job waits in the queue again, and runs once more when it is admitted.
func TestASuspendedRunIsInterruptedAndQueuedAgain(t *testing.T) {
	for _, c := range []struct {
		name    string
		program node.Program
		spider  func(*v1alpha1.SpiderSpec)
	}{
		{"Scrapy exits with 0", inTurn(longCrawl(3), quickCrawl(8)), func(*v1alpha1.SpiderSpec) {}},
		{"the process dies", inTurn(dies, exits(node.Exit{Message: `{"items_scraped": 8}`})), ownCommand},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			q := newQueue(s)
			s.spider(c.program, inQueue, c.spider)
			s.controller()
			s.job("run")
			q.waiting("run")
			q.admit("run", "spot")
			s.awaitPhase("run", v1alpha1.PhaseRunning)
			q.preempt("run")

			sj := s.await("run", "queued again", func(sj *v1alpha1.SpiderJob) bool {
				return sj.Status.Phase == v1alpha1.PhasePending && sj.Status.Reason == v1alpha1.ReasonQueued && sj.Status.Interruptions == 1
			})
			if n := s.starts("run"); n != 1 || sj.Status.Attempts != 1 {
				t.Errorf("%d processes were started while the SpiderJob waits, and it is %s", n, describe(&sj.Status))
			}
			q.waiting("run")
			q.admit("run", "reserved")
			s.awaitOutcome("run", outcome{
				phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, interruptions: 1, items: 8, final: true,
			})
			if made, starts := s.jobsMade("run"), s.starts("run"); made != 1 || starts != 2 {
				t.Errorf("the job took %d Jobs and %d processes, want the one Job and 2", made, starts)
			}
		})
	}
}

// TestQueuedTimeDoesNotCount keeps a SpiderJob queued for longer than its timeout, which counts only while the job runs.
func TestQueuedTimeDoesNotCount(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	q := newQueue(s)
	s.spider(quickCrawl(7), inQueue, func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](3) })
	s.controller()
	s.job("run")
	job := q.waiting("run")
	s.eventually("the timeout is over", func() bool { return metav1.Now().Sub(job.CreationTimestamp.Time).Seconds() > 4 })
	q.admit("run", "spot")
	s.awaitOutcome("run", completed)
}

func tolerates(pod *corev1.Pod, flavour string) bool {
	for _, toleration := range pod.Spec.Tolerations {
		if toleration.Value == flavour {
			return true
		}
	}
	return false
}
