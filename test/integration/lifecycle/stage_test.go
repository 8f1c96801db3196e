package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// patience bounds how long a test waits for what must happen. A passing test never uses it up.
const patience = 60 * time.Second

// stage is a namespace for the lives of SpiderJobs.
type stage struct {
	*testing.T
	namespace string
	node      *node.Node
	history   *history
	options   controllers.Options
	// patience is how long this test waits for what must happen.
	patience time.Duration
	// sideBySide says that the test itself makes two processes of a SpiderJob run at once.
	sideBySide bool
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, namespace: cluster.Namespace(t), node: testNode, patience: patience}
	s.options = options(s.namespace)
	s.history = watchNamespace(t, s.namespace, s.running)
	t.Cleanup(func() {
		for _, run := range s.node.Runs(s.namespace) {
			if run.Beside && !s.sideBySide {
				t.Errorf("a process of SpiderJob %s was started in Pod %s beside another one", run.SpiderJob, run.Pod)
			}
		}
		if err := testNode.Failures(); err != nil && t.Failed() {
			t.Logf("the node failed: %v", err)
		}
	})
	return s
}

// controller starts a controller that lives as long as the test.
func (s *stage) controller() *replica {
	s.Helper()
	return startReplica(s.T, s.options, death{})
}

// spider creates the Spider books, whose Pods run program.
func (s *stage) spider(program node.Program, change ...func(*v1alpha1.SpiderSpec)) {
	s.Helper()
	spider := &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "books"}}
	for _, f := range change {
		f(&spider.Spec)
	}
	s.create(spider)
	if program != nil {
		s.node.Serve(s.namespace, program)
	}
}

// job creates a SpiderJob of the Spider books.
func (s *stage) job(name string, change ...func(*v1alpha1.SpiderJobSpec)) *v1alpha1.SpiderJob {
	s.Helper()
	sj := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}},
	}
	for _, f := range change {
		f(&sj.Spec)
	}
	s.create(sj)
	return sj
}

// record creates a SpiderJob that finished a while ago, and of which no Job is left. No controller may run yet.
func (s *stage) record(name string) {
	s.Helper()
	sj := s.job(name)
	now := metav1.Now()
	sj.Status = v1alpha1.SpiderJobStatus{
		ObservedGeneration: sj.Generation, Phase: v1alpha1.PhaseFinished, Reason: v1alpha1.ReasonCompleted, Attempts: 1,
		StartedAt: &now, FinishedAt: &now, JobUID: "a-job", PodName: name + "-abcde",
		Stats: &v1alpha1.Stats{ItemsScraped: 5, Source: v1alpha1.OriginTerminationMessage, Attempt: 1, Final: true},
	}
	if err := cluster.Client.Status().Update(s.Context(), sj); err != nil {
		s.Fatalf("record the end of SpiderJob %s: %v", name, err)
	}
}

func (s *stage) create(object client.Object) {
	s.Helper()
	if err := cluster.Client.Create(s.Context(), object); err != nil {
		s.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

// cancel requests the cancellation of a SpiderJob.
func (s *stage) cancel(name string, graceSeconds *int64) {
	s.Helper()
	s.update(&v1alpha1.SpiderJob{}, name, func(object client.Object) {
		object.(*v1alpha1.SpiderJob).Spec.Cancellation = &v1alpha1.Cancellation{
			RequestedBy: "ann", GracePeriodSeconds: graceSeconds,
		}
	})
}

// suspend suspends a Job, or resumes it.
func (s *stage) suspend(name string, yes bool) {
	s.Helper()
	s.update(&batchv1.Job{}, name, func(object client.Object) { object.(*batchv1.Job).Spec.Suspend = &yes })
}

// update changes the current state of an object.
func (s *stage) update(object client.Object, name string, change func(client.Object)) {
	s.Helper()
	for {
		s.get(object, name)
		change(object)
		err := cluster.Client.Update(s.Context(), object)
		switch {
		case err == nil:
			return
		case !apierrors.IsConflict(err):
			s.Fatalf("update %T %s: %v", object, name, err)
		}
	}
}

func (s *stage) get(object client.Object, name string) {
	s.Helper()
	if err := cluster.Client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: name}, object); err != nil {
		s.Fatalf("get %T %s: %v", object, name, err)
	}
}

// delete deletes an object as kubectl does: in the background, with the object's own grace period.
func (s *stage) delete(object client.Object) {
	s.Helper()
	err := cluster.Client.Delete(s.Context(), object, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		s.Fatalf("delete %T %s: %v", object, object.GetName(), err)
	}
}

// pod returns the Pod that a SpiderJob's status names.
func (s *stage) pod(sj *v1alpha1.SpiderJob) *corev1.Pod {
	s.Helper()
	pod := &corev1.Pod{}
	s.get(pod, sj.Status.PodName)
	return pod
}

// finals returns the numbers of items that were ever shown as final, for each attempt of a SpiderJob.
func (s *stage) finals(spiderJob string) (finals map[int32]int64) {
	s.history.look(func() { finals = maps.Clone(s.history.finals[spiderJob]) })
	return finals
}

// running returns the number of running processes of a SpiderJob.
func (s *stage) running(spiderJob string) int {
	n := 0
	for _, run := range s.node.Runs(s.namespace) {
		if run.SpiderJob == spiderJob && !run.Ended {
			n++
		}
	}
	return n
}

// starts returns the number of processes that were ever started for a SpiderJob.
func (s *stage) starts(spiderJob string) int {
	n := 0
	for _, run := range s.node.Runs(s.namespace) {
		if run.SpiderJob == spiderJob {
			n++
		}
	}
	return n
}

// await waits until a SpiderJob is in the state that what describes, and returns it.
func (s *stage) await(name, what string, condition func(*v1alpha1.SpiderJob) bool) *v1alpha1.SpiderJob {
	s.Helper()
	var found, last *v1alpha1.SpiderJob
	s.wait(fmt.Sprintf("SpiderJob %s is %s", name, what), func() bool {
		if last = s.history.spiderJobs[name]; last != nil && condition(last) {
			found = last
		}
		return found != nil
	}, func() string {
		if last == nil {
			return "it does not exist"
		}
		return "it is " + describe(&last.Status)
	})
	return found
}

func (s *stage) awaitPhase(name string, phase v1alpha1.Phase) *v1alpha1.SpiderJob {
	s.Helper()
	return s.await(name, string(phase), func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Phase == phase })
}

func (s *stage) awaitReason(name, reason string) *v1alpha1.SpiderJob {
	s.Helper()
	return s.await(name, reason, func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Reason == reason })
}

// awaitEnd waits for the end of a SpiderJob.
func (s *stage) awaitEnd(name string) *v1alpha1.SpiderJob {
	s.Helper()
	return s.await(name, "ended", func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Phase.Terminal() })
}

// awaitGone waits until a SpiderJob no longer exists.
func (s *stage) awaitGone(name string) {
	s.Helper()
	s.wait("SpiderJob "+name+" is gone", func() bool { return s.history.spiderJobs[name] == nil }, nil)
}

// awaitJob waits until the Job of a SpiderJob exists and is in the state that what describes, and returns it.
func (s *stage) awaitJob(name, what string, condition func(*batchv1.Job) bool) *batchv1.Job {
	s.Helper()
	var found *batchv1.Job
	s.wait(fmt.Sprintf("Job %s %s", name, what), func() bool {
		for _, job := range s.history.jobs {
			if job.Name == name && condition(job) {
				found = job
			}
		}
		return found != nil
	}, nil)
	return found
}

// awaitPod waits until a SpiderJob has a Pod, in any state, and returns it.
func (s *stage) awaitPod(name string) *corev1.Pod {
	s.Helper()
	var pods corev1.PodList
	s.eventually("SpiderJob "+name+" has a Pod", func() bool {
		err := cluster.Client.List(s.Context(), &pods, client.InNamespace(s.namespace),
			client.MatchingLabels{v1alpha1.LabelSpiderJob: name})
		if err != nil {
			s.Fatalf("list the Pods of SpiderJob %s: %v", name, err)
		}
		return len(pods.Items) > 0
	})
	return &pods.Items[0]
}

// awaitEvent waits until there is a Warning about a SpiderJob with a reason.
func (s *stage) awaitEvent(name, reason string) {
	s.Helper()
	s.eventually(fmt.Sprintf("an Event says %s of SpiderJob %s", reason, name), func() bool {
		var events corev1.EventList
		if err := cluster.Client.List(s.Context(), &events, client.InNamespace(s.namespace)); err != nil {
			s.Fatalf("list the Events of SpiderJob %s: %v", name, err)
		}
		for _, event := range events.Items {
			about := event.InvolvedObject.Kind == "SpiderJob" && event.InvolvedObject.Name == name
			if about && event.Reason == reason && event.Type == corev1.EventTypeWarning {
				return true
			}
		}
		return false
	})
}

// awaitNoJob waits until no Job of that name exists.
func (s *stage) awaitNoJob(name string) {
	s.Helper()
	s.wait("Job "+name+" is gone", func() bool {
		for _, job := range s.history.jobs {
			if job.Name == name {
				return false
			}
		}
		return true
	}, nil)
}

// jobsMade returns how many Jobs of a name were ever created.
func (s *stage) jobsMade(name string) int {
	var n int
	s.history.look(func() { n = s.history.jobsMade[name] })
	return n
}

// wait waits until a condition of the history holds.
func (s *stage) wait(what string, condition func() bool, instead func() string) {
	s.Helper()
	timeout := time.After(s.patience)
	for {
		var ok bool
		changed := s.history.look(func() { ok = condition() })
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			if instead != nil {
				what += ": " + instead()
			}
			s.Fatalf("waited too long until %s", what)
		}
	}
}

// eventually waits until a condition holds that is not part of the history.
func (s *stage) eventually(what string, condition func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), s.patience)
	defer cancel()
	for !condition() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			s.Fatalf("waited too long until %s", what)
		}
	}
}

// outcome is the end of a SpiderJob, without what differs from run to run.
type outcome struct {
	phase         v1alpha1.Phase
	reason        string
	attempts      int32
	interruptions int32
	items         int64
	final         bool
}

func outcomeOf(sj *v1alpha1.SpiderJob) outcome {
	st := &sj.Status
	o := outcome{phase: st.Phase, reason: st.Reason, attempts: st.Attempts, interruptions: st.Interruptions}
	if st.Stats != nil {
		o.items, o.final = st.Stats.ItemsScraped, st.Stats.Final
	}
	return o
}

// awaitOutcome waits for the end of a SpiderJob and checks it.
func (s *stage) awaitOutcome(name string, want outcome) *v1alpha1.SpiderJob {
	s.Helper()
	sj := s.awaitEnd(name)
	if got := outcomeOf(sj); got != want {
		s.Errorf("SpiderJob %s ended as %+v, want %+v: %s", name, got, want, describe(&sj.Status))
	}
	return sj
}
