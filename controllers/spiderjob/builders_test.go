package spiderjob

import (
	"encoding/json"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// epoch is when everything in these tests was created.
var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) metav1.Time { return metav1.NewTime(epoch.Add(d)) }

func testDefaults() Defaults {
	return Defaults{
		SpiderImage:      "spiders:1",
		GracePeriod:      30 * time.Second,
		PodRetention:     time.Hour,
		TTL:              7 * 24 * time.Hour,
		MaxInterruptions: 3,
		ImagePatience:    5 * time.Minute,
	}
}

// sjBuilder builds a SpiderJob.
type sjBuilder struct{ *v1alpha1.SpiderJob }

func makeSpiderJob() sjBuilder {
	return sjBuilder{&v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "run", UID: "sj-1", Generation: 1, CreationTimestamp: metav1.NewTime(epoch),
		},
		Spec:   v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}},
		Status: v1alpha1.SpiderJobStatus{Phase: v1alpha1.PhasePending},
	}}
}

func (b sjBuilder) cancelled() sjBuilder {
	b.Generation = 2
	b.Spec.Cancellation = &v1alpha1.Cancellation{RequestedBy: "ann"}
	return b
}

func (b sjBuilder) deleting() sjBuilder {
	now := at(0)
	b.DeletionTimestamp = &now
	return b
}

// running is a SpiderJob whose Pod was recorded as running.
func (b sjBuilder) running(pod string) sjBuilder {
	started := at(2 * time.Second)
	b.Status = v1alpha1.SpiderJobStatus{
		ObservedGeneration: 1, Phase: v1alpha1.PhaseRunning, Reason: v1alpha1.ReasonRunning,
		JobUID: "job-1", PodName: pod, Attempts: 1, StartedAt: &started,
	}
	return b
}

func (b sjBuilder) stopping(reason string, retry bool) sjBuilder {
	b.Status.ObservedGeneration = 1
	b.Status.JobUID = "job-1"
	since := at(3 * time.Second)
	b.Status.Stop = &v1alpha1.Stop{JobUID: "job-1", Since: &since, Reason: reason, Message: "for a reason", Retry: retry}
	return b
}

// failing is a SpiderJob whose attempt has failed to start since some time.
func (b sjBuilder) failing(since time.Duration) sjBuilder {
	when := at(since)
	b.Status.FailingSince = &when
	return b
}

func (b sjBuilder) interrupted(times int32) sjBuilder {
	b.Status.Interruptions = times
	return b
}

func (b sjBuilder) ended(phase v1alpha1.Phase, reason string, finished time.Duration) sjBuilder {
	when := at(finished)
	b.Status = v1alpha1.SpiderJobStatus{
		ObservedGeneration: 1, Phase: phase, Reason: reason, FinishedAt: &when, JobUID: "job-1",
	}
	return b
}

func makeSpider() *v1alpha1.Spider {
	return &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "books"}}
}

// jobBuilder builds the Job of a SpiderJob.
type jobBuilder struct{ *batchv1.Job }

func makeJob(owner *v1alpha1.SpiderJob, change ...func(*plan)) jobBuilder {
	p, err := newPlan(owner, makeSpider(), testDefaults())
	if err != nil {
		panic(err)
	}
	p.EarlierAttempts = 0
	for _, f := range change {
		f(&p)
	}
	job, err := buildJob(owner, makeSpider(), p, testDefaults())
	if err != nil {
		panic(err)
	}
	job.UID = "job-1"
	job.CreationTimestamp = metav1.NewTime(epoch)
	job.Status.StartTime = &metav1.Time{Time: epoch}
	return jobBuilder{job}
}

func (b jobBuilder) uid(uid string) jobBuilder {
	b.UID = types.UID(uid)
	return b
}

func (b jobBuilder) deleting() jobBuilder {
	now := at(0)
	b.DeletionTimestamp = &now
	return b
}

// unseen is a Job that the Job controller has not come to yet.
func (b jobBuilder) unseen() jobBuilder {
	b.Status.StartTime = nil
	return b
}

func (b jobBuilder) suspended() jobBuilder {
	yes := true
	b.Spec.Suspend = &yes
	return b
}

// limited gives the Job a time limit of its own.
func (b jobBuilder) limited() jobBuilder {
	b.Spec.ActiveDeadlineSeconds = new(int64(60))
	return b
}

func (b jobBuilder) retries(n int32) jobBuilder {
	b.Spec.BackoffLimit = &n
	return b
}

func (b jobBuilder) condition(kind batchv1.JobConditionType, reason, message string) jobBuilder {
	b.Status.Conditions = append(b.Status.Conditions, batchv1.JobCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message,
	})
	return b
}

func (b jobBuilder) ownedBy(kind, name, uid string) jobBuilder {
	b.OwnerReferences[0].Kind, b.OwnerReferences[0].Name, b.OwnerReferences[0].UID = kind, name, types.UID(uid)
	return b
}

// podBuilder builds a Pod of a Job.
type podBuilder struct{ *corev1.Pod }

func makePod(job *batchv1.Job, name string) podBuilder {
	return podBuilder{&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, Name: name, UID: types.UID(name), CreationTimestamp: at(time.Second),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
			Labels:          job.Spec.Template.Labels,
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}}
}

func (b podBuilder) state(state corev1.ContainerState) podBuilder {
	b.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: v1alpha1.ContainerName, State: state, ImageID: "sha256:abc"}}
	return b
}

func (b podBuilder) waiting(reason, message string) podBuilder {
	return b.state(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
}

func (b podBuilder) running() podBuilder {
	b.Status.Phase = corev1.PodRunning
	return b.state(corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(2 * time.Second)}})
}

func (b podBuilder) exited(code int32, change ...func(*corev1.ContainerStateTerminated)) podBuilder {
	b.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		b.Status.Phase = corev1.PodFailed
	}
	ended := &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: at(2 * time.Second), FinishedAt: at(5 * time.Second)}
	for _, f := range change {
		f(ended)
	}
	return b.state(corev1.ContainerState{Terminated: ended})
}

func said(message string) func(*corev1.ContainerStateTerminated) {
	return func(ended *corev1.ContainerStateTerminated) { ended.Message = message }
}

func because(reason string) func(*corev1.ContainerStateTerminated) {
	return func(ended *corev1.ContainerStateTerminated) { ended.Reason = reason }
}

func (b podBuilder) condition(kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) podBuilder {
	b.Status.Conditions = append(b.Status.Conditions, corev1.PodCondition{
		Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: at(time.Second),
	})
	return b
}

func (b podBuilder) disrupted(reason string) podBuilder {
	return b.condition(corev1.DisruptionTarget, corev1.ConditionTrue, reason, "the node is drained")
}

func (b podBuilder) deleting() podBuilder {
	now, grace := at(4*time.Second), int64(30)
	b.DeletionTimestamp, b.DeletionGracePeriodSeconds = &now, &grace
	return b
}

// observing puts an observation together. Without lively it is read from the caches.
type observing struct{ *observation }

func observe(sj sjBuilder) observing {
	return observing{&observation{sj: sj.SpiderJob, spider: makeSpider(), sinceLead: true, defaults: testDefaults()}}
}

func (b observing) withJob(job jobBuilder) observing {
	b.job = job.view()
	return b
}

func (b observing) withPods(pods ...podBuilder) observing {
	for _, pod := range pods {
		b.pods = append(b.pods, pod.view())
	}
	b.lastPod = b.presentPod()
	return b
}

func (b observing) remembering(pod podBuilder) observing {
	b.lastPod = pod.view()
	return b
}

// reads is what is known from the log of the last Pod.
func (b observing) reads(r podlog.Reading) observing {
	if !r.Since.IsZero() && r.Began.IsZero() {
		r.Began = r.Since
	}
	if !r.Since.IsZero() && r.Mode == 0 {
		r.Mode = podlog.Final
	}
	b.readings = map[types.UID]podlog.Reading{b.lastPod.uid: r}
	return b
}

// witnessed says that this process saw the Pod's spider end undisturbed, when the Pod was like that.
func (b observing) witnessed(pod podBuilder) observing {
	b.witness = pod.view()
	return b
}

// view is what the lifecycle sees of the Job in production: what the cache keeps.
func (b jobBuilder) view() *jobView {
	job := b.DeepCopy()
	slimJob(job)
	return viewJob(job)
}

// view is what the lifecycle sees of the Pod in production: what the cache keeps.
func (b podBuilder) view() *podView {
	pod := b.DeepCopy()
	slimPod(pod)
	return viewPod(pod)
}

// sawEnd says that this process saw the Pod's spider end with nothing done to the Pod, when the Pod was like that.
func (b observing) sawEnd(pod podBuilder) observing {
	b.exited, b.exitSeen = pod.view(), epoch
	return b
}

// stopping says that the Job controller was first seen to stop the Pod so long after the epoch.
func (b observing) stopping(after time.Duration) observing {
	b.stopSeen = epoch.Add(after)
	return b
}

// killing is what Events said of the end of a Pod that is gone.
func (b observing) killing(found evidence) observing {
	b.observation.killing = stopTrace{of: killingOf(b.observation), found: found}
	return b
}

func (b observing) lively() observing {
	b.live = true
	return b
}

// old is a copy of the SpiderJob from before this process began to lead.
func (b observing) old() observing {
	b.sinceLead = false
	return b
}

func (b observing) withoutSpider() observing {
	b.spider = nil
	return b
}

// finalReading is what a log whose stats dump was read looks like.
func finalReading(items int64, finishReason string) podlog.Reading {
	return podlog.Reading{
		Known: true, Done: true, Opened: true, ObservedAt: epoch.Add(6 * time.Second), Since: epoch.Add(5 * time.Second),
		Counts: stats.Counts{Items: items, FinishReason: finishReason, Origin: v1alpha1.OriginScrapyStats, Final: true},
	}
}

// progress is what a running spider's log looks like.
func progress(items int64) podlog.Reading {
	return podlog.Reading{
		Known: true, ObservedAt: epoch.Add(3 * time.Second),
		Counts: stats.Counts{Items: items, Origin: v1alpha1.OriginScrapyLog},
	}
}

// String shows a decision the way a failing test should.
func (d decision) String() string {
	status, err := json.Marshal(d.status)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(
		"need=%d action=%d log=%v after=%s class=%d status=%s", d.need, d.action.kind, d.log(), d.after, d.class, status,
	)
}

// log is the mode in which the first log is to be read.
func (d decision) log() podlog.Mode {
	if len(d.logs) == 0 {
		return 0
	}
	return d.logs[0].mode
}

// orphan is a Pod without a controller: somebody deleted its Job and left it.
func (b podBuilder) orphan() podBuilder {
	b.OwnerReferences = nil
	return b
}

func (b podBuilder) on(node string) podBuilder {
	b.Spec.NodeName = node
	return b
}

// outlived has the Pod run on though its spider has ended: a container that somebody added does.
func (b podBuilder) outlived(sidecar string) podBuilder {
	b.Status.Phase = corev1.PodRunning
	return b.beside(sidecar, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(2 * time.Second)}})
}

// beside adds a container to the Pod.
func (b podBuilder) beside(name string, state corev1.ContainerState) podBuilder {
	b.Status.ContainerStatuses = append(b.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, State: state})
	return b
}

// init adds an init container to the Pod.
func (b podBuilder) init(name string, state corev1.ContainerState) podBuilder {
	b.Status.InitContainerStatuses = append(b.Status.InitContainerStatuses, corev1.ContainerStatus{Name: name, State: state})
	return b
}

// failed is a Pod that the kubelet gave a reason of its own.
func (b podBuilder) failed(reason, message string) podBuilder {
	b.Status.Phase, b.Status.Reason, b.Status.Message = corev1.PodFailed, reason, message
	return b
}

func (b podBuilder) held() podBuilder {
	b.Finalizers = []string{"example.org/backup"}
	return b
}

// ending is a Pod whose remaining containers the kubelet has to end.
func (b podBuilder) ending() podBuilder {
	deadline := int64(endedDeadline)
	b.Spec.ActiveDeadlineSeconds = &deadline
	return b
}

// concluded is a SpiderJob whose verdict is recorded while other containers of its Pod run on.
func (b sjBuilder) concluded(phase v1alpha1.Phase, reason string) sjBuilder {
	b = b.running("run-a").stopping(reason, false)
	b.Status.Stop.Phase, b.Status.PodUID = phase, "run-a"
	return b
}

func (b sjBuilder) grace(seconds int64) sjBuilder {
	b.Spec.Cancellation.GracePeriodSeconds = &seconds
	return b
}
