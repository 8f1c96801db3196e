package spiderjob

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// TestDecideOnHostileClusters is the manual of what others do to a run: on lost nodes, behind webhooks, with containers that
// somebody injected, and under people who delete things.
func TestDecideOnHostileClusters(t *testing.T) {
	sj := makeSpiderJob
	job := func(change ...func(*plan)) jobBuilder { return makeJob(sj().SpiderJob, change...) }
	pod := func() podBuilder { return makePod(job().Job, "run-a").on("n1") }
	second := func() podBuilder {
		b := makePod(job().Job, "run-b").on("n1")
		b.CreationTimestamp = at(8 * time.Second)
		return b
	}
	own := func(p *plan) { p.StatsSource = v1alpha1.StatsFromTerminationMessage }
	retry := func(p *plan) { p.Retries, p.StatsSource = 1, v1alpha1.StatsFromTerminationMessage }
	timeout := func(p *plan) { p.TimeoutSeconds = 60 }
	ended := func(code int32, message string) corev1.ContainerState {
		return corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message, StartedAt: at(0), FinishedAt: at(1)},
		}
	}
	waits := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	scrapes := podlog.Reading{Opened: true, Since: epoch}
	evicted := func() podBuilder {
		return pod().exited(0).failed("Evicted", "The node was low on resource: memory. ").disrupted("TerminationByKubelet")
	}
	interrupted := want{
		phase:  v1alpha1.PhaseRunning,
		reason: v1alpha1.ReasonInterrupted,
		stop:   v1alpha1.ReasonInterrupted,
		retry:  true,
	}
	with := func(w want, change func(*want)) want { change(&w); return w }
	concluded := want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonCompleted}
	finished := want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted}
	failed := func(reason, contains string) want {
		return want{phase: v1alpha1.PhaseError, reason: reason, contains: contains}
	}
	pending := func(reason, contains string, after time.Duration) want {
		return want{phase: v1alpha1.PhasePending, reason: reason, contains: contains, after: after}
	}
	stopping := func(contains string, w want) want {
		w.phase, w.reason, w.stop, w.contains = v1alpha1.PhaseRunning, v1alpha1.ReasonStopping, v1alpha1.ReasonCancelled, contains
		return w
	}

	for _, c := range []struct {
		name string
		now  time.Duration
		see  observing
		want want
	}{
		// Somebody deletes a Job without its Pod, or a second Pod is there.
		{"a Pod that lost its Job: the caches are not enough", 6 * time.Second,
			observe(sj().running("run-a")).withPods(pod().running().orphan()), want{need: needLive}},
		{"a Pod that lost its Job is followed, and stopped", 6 * time.Second,
			observe(sj().running("run-a")).lively().withPods(pod().running().orphan()), with(interrupted, func(w *want) { w.log = podlog.Follow })},
		{"no Job is made beside a Pod that lost its Job", 6 * time.Second,
			observe(sj()).lively().withPods(pod().running().orphan()), want{
				phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonWaiting, contains: "run-a", action: deletePod, after: recheck,
			}},
		{"a Pod that had ended before it lost its Job is judged", 6 * time.Second,
			observe(sj().running("run-a")).lively().withPods(pod().exited(0).orphan()).reads(finalReading(3, "finished")),
			with(finished, func(w *want) { w.items, w.final = 3, true })},
		{"a cancel stops a Pod that lost its Job", 6 * time.Second,
			observe(sj().running("run-a").cancelled()).withPods(pod().running().orphan()).reads(scrapes),
			stopping("by ann", want{action: deletePod, log: podlog.Follow, after: recheck})},
		{"a stray Pod beside the Job's is stopped", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job().uid("job-2")).withPods(pod().running().orphan()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, contains: "run-a, which has lost its Job", action: deletePod, after: recheck}},
		{"a Pod of the Job before that never ran", 9 * time.Second,
			observe(sj()).withJob(job().deleting()).withPods(pod().orphan()),
			want{phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonWaiting, contains: "run-a, which has lost its Job", action: deletePod, after: recheck}},
		{"nothing is read again while a Pod that lost its Job is being stopped", 9 * time.Second,
			observe(sj()).withPods(pod().running().orphan().deleting()),
			want{phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonWaiting, contains: "run-a, which has lost its Job", after: recheck}},
		{"nor while a Pod of an earlier SpiderJob is", 9 * time.Second, afterEarlierPod(observe(sj()), pod().running()),
			want{phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonWaiting, contains: "of an earlier SpiderJob", after: recheck}},
		{"an ended SpiderJob stops what still runs of it", time.Minute,
			observe(sj().ended(v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, 0)).withPods(pod().running().orphan()),
			want{action: deletePod, after: recheck}},
		{"two Pods run at once", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job()).withPods(pod().running(), second().running()),
			with(interrupted, func(w *want) { w.log = podlog.Follow })},
		{"a stop stops both", 9 * time.Second,
			observe(sj().running("run-a").cancelled()).withJob(job().deleting()).withPods(pod().running().deleting(), second().running()).
				reads(scrapes), stopping("by ann", want{action: deletePod, log: podlog.Follow, after: recheck})},
		{"and does not end while one lives", 9 * time.Second,
			observe(sj().running("run-a").cancelled()).lively().withPods(pod().exited(0), second().running().deleting()),
			stopping("by ann", want{log: podlog.Follow, after: recheck})},

		// Nodes.
		{"the runtime made up an exit code", 6 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).withPods(pod().exited(255, because("Unknown"))), interrupted},
		{"the kubelet made up an exit code", 6 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).withPods(pod().exited(137, because("ContainerStatusUnknown"))), interrupted},
		{"a node runs the container again in the same Pod", 6 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).withPods(restarted(pod().running())), interrupted},
		{"the storage of its own is used up", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(137).failed("Evicted", `Usage of EmptyDir volume "scrapethis-tmp" exceeds the limit "1Gi". `)),
			failed(v1alpha1.ReasonOutOfStorage, "1Gi")},
		{"the node's storage is used up", 6 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).withPods(
				pod().exited(137).failed("Evicted", "The node was low on resource: ephemeral-storage.").disrupted("TerminationByKubelet")), interrupted},
		{"killed a moment ago: the runtime may yet say that memory was why", 6 * time.Second,
			exitSeen(observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(137)), 5*time.Second),
			want{after: time.Second}},
		{"killed, and nothing says that memory was why", 8 * time.Second,
			exitSeen(observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(137)), 5*time.Second),
			failed(v1alpha1.ReasonKilled, "signal 9")},
		{"a child ran out of memory, and the spider exits with 0", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(0, because(oomKilled))),
			failed(v1alpha1.ReasonOutOfMemory, "memory")},
		{"a child ran out of memory, but the counts are there", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job()).withPods(pod().exited(0, because(oomKilled))).reads(finalReading(3, "finished")),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, contains: "more memory", items: 3, final: true}},
		{"a lost node: the stop says what it waits for", 3 * time.Minute,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonCancelled, false).cancelled()).withJob(job().deleting()).
				withPods(pod().running().deleting()), stopping("node n1 has not confirmed the end of Pod run-a", want{log: podlog.Follow, after: recheck})},
		{"grace 0 means 1", 3 * time.Second,
			observe(sj().running("run-a").cancelled().grace(0)).withJob(job()).withPods(pod().running()).reads(scrapes),
			stopping("by ann", want{action: deletePod, log: podlog.Follow, after: recheck})},
		{"a shorter grace shortens a stop", 6 * time.Second,
			observe(sj().running("run-a").cancelled().grace(5)).withJob(job().deleting()).withPods(pod().running().deleting()).reads(scrapes),
			stopping("by ann", want{action: deletePod, log: podlog.Follow, after: recheck})},
		{"an ended Pod that somebody's finalizer holds is proof enough", 9 * time.Second,
			observe(sj().running("run-a").cancelled()).lively().withJob(job().deleting()).withPods(pod().exited(143).deleting().held()),
			want{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled}},

		// Containers that somebody added.
		{"the spider has ended, a sidecar runs on: was it stopped?", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(0).outlived("mesh")), want{need: needKilling}},
		{"it was: how its Pod ends will tell why", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(0).outlived("mesh")).killing(evidenceOfStop),
			want{after: recheck}},
		{"it was not: the verdict is recorded", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("mesh")).
				killing(evidenceNone),
			with(concluded, func(w *want) { w.items, w.final, w.contains = 5, true, "other containers" })},
		{"then the kubelet is told to end it", 6 * time.Second,
			observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job(own)).withPods(pod().exited(0).outlived("mesh")),
			want{action: endPod, after: recheck}},
		{"then it is waited for", 7 * time.Second,
			observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job(own)).withPods(pod().exited(0).outlived("mesh").ending()),
			want{after: recheck}},
		{"a native sidecar is waited for alone", 7 * time.Second,
			observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job(own)).withPods(
				stillRunning(pod().exited(0).init("mesh", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}))), want{after: recheck}},
		{"what does not end in time goes with its Pod", time.Minute,
			observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job(own)).withPods(pod().exited(0).outlived("mesh").ending()),
			want{action: deletePod, after: recheck}},
		{"the end is written when all have ended, whatever the Pod says of it", 8 * time.Second,
			observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job(own)).withPods(
				pod().exited(0).beside("mesh", ended(137, "")).failed("DeadlineExceeded", "too long")), finished},
		{"no drain changes the verdict", 8 * time.Second,
			observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job(own)).withPods(
				pod().exited(0).beside("mesh", ended(137, "")).disrupted("EvictionByEvictionAPI").deleting()), finished},
		{"a node that runs the spider again is stopped", 8 * time.Second,
			observe(sj().concluded(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted)).withJob(job(own)).withPods(restarted(pod().running().outlived("mesh"))),
			want{action: deletePod, after: recheck}},
		{"a sidecar that fails is no failure of the spider", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job(own)).withPods(
				pod().exited(0, said(`{"items_scraped": 5}`)).beside("mesh", ended(1, "")).failed("", "")), with(finished, func(w *want) { w.items, w.final = 5, true })},
		{"an init container has failed", 6 * time.Second,
			observe(sj()).withJob(job(own)).withPods(pod().init("setup", ended(3, "no key\nKeyError: shop")).failed("", "")),
			failed(v1alpha1.ReasonConfiguration, "init container setup failed, so that the spider could not start: it exited with code 3: no key | KeyError: shop")},
		{"an init container's image cannot be pulled", 11 * time.Second,
			observe(sj()).withJob(job()).withPods(pod().init("setup", waits("ImagePullBackOff", "no such image"))),
			pending(v1alpha1.ReasonImagePull, "init container setup: no such image", 5*time.Minute)},

		// What keeps a Pod from starting.
		{"nothing is known of why a Pod does not start", 11 * time.Second,
			observe(sj()).withJob(job()).withPods(pod()), want{need: needPodEvents}},
		{"its volume does not mount", 11 * time.Second,
			podEventsSay(observe(sj()).withJob(job()).withPods(pod()), v1alpha1.ReasonConfiguration, `secret "s" not found`),
			pending(v1alpha1.ReasonConfiguration, "secret", 8*time.Second)},
		{"a Pod is there: it is queued no more", 3 * time.Second,
			observe(queuedJob(sj())).withJob(job()).withPods(pod()), pending(v1alpha1.ReasonCreated, "is being started", 3*time.Second)},
		{"patience counts from the first failure seen", time.Hour,
			observe(sj().failing(time.Hour - time.Minute)).withJob(job()).withPods(pod().waiting("ErrImagePull", "no")),
			pending(v1alpha1.ReasonImagePull, "no", 4*time.Minute)},
		{"another controller is to run the Job", 3 * time.Second,
			observe(sj()).lively().withJob(managed(job(), "kueue.x-k8s.io/multikueue")),
			want{phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonConfiguration, contains: "multikueue"}},

		// Who refuses a Job.
		{"a webhook is down", time.Second, createErr(observe(sj()), apierrors.NewInternalError(errors.New(
			`failed calling webhook "x.example.org": connection refused`))), pending(v1alpha1.ReasonPodNotCreated, "connection refused", firstRefusal)},
		{"a webhook denies with 400", time.Second, createErr(observe(sj()), apierrors.NewBadRequest(
			`admission webhook "x.example.org" denied the request: no`)), pending(v1alpha1.ReasonPodForbidden, "denied the request", firstRefusal)},
		{"kube-apiserver has too much to do", time.Second, createErr(observe(sj()), apierrors.NewTooManyRequests("slow down", 1)),
			pending(v1alpha1.ReasonPodNotCreated, "slow down", firstRefusal)},
		{"the Job is too large", time.Second, createErr(observe(sj()), apierrors.NewGenericServerResponse(
			http.StatusRequestEntityTooLarge, "create", batchv1.Resource("jobs"), "run", "limit is 3145728", 0, true)),
			pending(v1alpha1.ReasonPodNotCreated, "could not be created", firstRefusal)},
		{"then it is tried again", 4 * time.Second, createErr(observe(sj()), apierrors.NewTooManyRequests("slow down", 1)), want{action: createJob}},

		// Time.
		{"waiting counts in no timeout", time.Hour, observe(sj()).withJob(job(timeout)).withPods(
			pod().condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, "0/1 nodes")),
			pending(v1alpha1.ReasonUnschedulable, "0/1 nodes", 0)},
		{"the Job's own deadline is judged before the deletion it brings", 61 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job().condition(batchv1.JobFailureTarget, batchv1.JobReasonDeadlineExceeded, "too long")).
				withPods(pod().running().deleting()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonDeadlineExceeded, contains: "too long"}},
		{"the kubelet has kept the Pod's own deadline", time.Hour,
			observe(sj().running("run-a")).withJob(job(own)).withPods(pod().exited(143).failed("DeadlineExceeded", "Pod was active on the node longer")),
			failed(v1alpha1.ReasonDeadlineExceeded, "longer than it may")},

		// What was seen to end stays so.
		{"it was seen to succeed before its Pod was deleted", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).remembering(pod().exited(0).deleting()).
				witnessed(pod().exited(0, said(`{"items_scraped": 5}`))), with(finished, func(w *want) { w.items, w.final = 5, true })},
		{"it was seen to succeed before its Job was deleted", 9 * time.Second,
			observe(sj().running("run-a")).lively().remembering(pod().exited(0).deleting()).
				witnessed(pod().exited(0, said(`{"items_scraped": 5}`))), with(finished, func(w *want) { w.items, w.final = 5, true })},
		{"it was seen to end before its Pod was evicted: only Events tell whether it was stopped", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).withPods(evicted()).
				sawEnd(pod().exited(0).outlived("proxy")), want{need: needKilling}},
		{"it was seen to succeed before its Pod was evicted, or preempted", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).withPods(evicted()).
				sawEnd(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("proxy")).killing(evidenceNone),
			with(finished, func(w *want) { w.items, w.final = 5, true })},
		{"it was seen to succeed before its Pod was evicted and its Job deleted", 9 * time.Second,
			observe(sj().running("run-a")).lively().remembering(evicted()).
				sawEnd(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("proxy")).killing(evidenceNone),
			with(finished, func(w *want) { w.items, w.final = 5, true })},
		{"it was seen to succeed before its Job was deleted, and its Pod with it", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).deleting()).withPods(pod().exited(0).beside("mesh", ended(0, "")).deleting()).
				sawEnd(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("mesh")).killing(evidenceNone),
			with(finished, func(w *want) { w.items, w.final = 5, true })},
		{"it was seen to succeed before its Job was deleted, whose Pod is still there", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).deleting()).
				withPods(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("mesh")).
				sawEnd(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("mesh")).killing(evidenceNone),
			with(concluded, func(w *want) { w.items, w.final = 5, true })},
		{"it was seen to succeed before its Job was suspended", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).suspended()).
				withPods(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("mesh")).
				sawEnd(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("mesh")).killing(evidenceNone),
			with(concluded, func(w *want) { w.items, w.final = 5, true })},
		{"it ended by itself before its Job was deleted without it: what else is in its Pod has to end", 9 * time.Second,
			observe(sj().running("run-a")).lively().withPods(pod().exited(0).outlived("proxy").orphan()).
				witnessed(pod().exited(0)),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, contains: "has lost its Job", action: deletePod, after: recheck}},
		{"a Job of the version before ran out of time between two of its Pods, of which the first failed", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).retries(1).condition(batchv1.JobFailed, "DeadlineExceeded", "it was active for too long")).
				remembering(pod().exited(1)).witnessed(pod().exited(1)),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonDeadlineExceeded}},
		{"it was seen to succeed, and lost its Job, before anything of it was recorded", 9 * time.Second,
			observe(sj()).lively().remembering(pod().exited(0, said(`{"items_scraped": 5}`)).deleting()).
				sawEnd(pod().exited(0, said(`{"items_scraped": 5}`)).outlived("proxy")).killing(evidenceNone),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 5, final: true}},
		{"another leader recorded an interruption of what this process saw succeed", 9 * time.Second,
			overlooked(sj().running("run-a")).lively().remembering(pod().exited(0, said(`{"items_scraped": 5}`))).
				witnessed(pod().exited(0, said(`{"items_scraped": 5}`))),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 5, final: true}},
		{"this process itself recorded that interruption", 9 * time.Second,
			overlooked(sj().running("run-a")).lively().remembering(pod().exited(0, said(`{"items_scraped": 5}`))).
				witnessed(pod().exited(0, said(`{"items_scraped": 5}`))).judgedHere(),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, action: createJob}},
		{"nothing is left of its Job and its Spider, and it closed as spiders do that fail", 9 * time.Second,
			observe(sj().running("run-a")).withoutSpider().lively().remembering(pod().exited(0, said(`{"finish_reason": "closespider_errorcount"}`))).
				witnessed(pod().exited(0, said(`{"finish_reason": "closespider_errorcount"}`))),
			want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderFailed, contains: "closespider_errorcount"}},
		{"its Pod is deleted, and its Job's own time limit may be why, which is said a moment later", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).limited()).withPods(pod().running().deleting()).stopping(8 * time.Second),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, after: time.Second}},
		{"the same, and its spider has ended", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).limited()).withPods(pod().exited(143).deleting()).stopping(8 * time.Second),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, after: time.Second}},
		{"its Job's own time limit was not why its Pod was deleted", 11 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).limited()).withPods(pod().running().deleting()).stopping(8 * time.Second),
			interrupted},
		{"it was seen to end before it lost its Job: the caches suffice to wait for what else is in its Pod", 9 * time.Second,
			observe(sj().running("run-a")).withPods(pod().exited(0).outlived("proxy").orphan().deleting()).
				sawEnd(pod().exited(0).outlived("proxy")),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, contains: "has lost its Job", after: recheck}},
		{"it was evicted, and was seen to end before the reason was", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own)).withPods(evicted()).
				sawEnd(pod().exited(0).outlived("proxy")).killing(evidenceOfStop), interrupted},
		{"its Pod was disrupted, says its Job", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job().condition(batchv1.JobFailed, jobReasonPodFailurePolicy, "DisruptionTarget")), interrupted},
		{"Events of its end would be gone by now", 2 * time.Hour,
			observe(sj().running("run-a")).lively().withJob(job().condition(batchv1.JobComplete, "", "")).killing(evidenceGone),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, contains: "Events of that time are gone"}},

		{"the Pod that made a Job of the version before complete is gone, and an earlier one had failed", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).retries(1).condition(batchv1.JobComplete, "", "")).withPods(pod().exited(1)).
				witnessed(pod().exited(1)).killing(evidenceNone),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, contains: "its Pod was deleted"}},
		{"and a queue had suspended that Job", 9 * time.Second,
			observe(sj().running("run-a")).lively().withJob(job(own).retries(1).suspended().condition(batchv1.JobComplete, "", "")).
				withPods(pod().exited(1)), interrupted},

		// Attempts.
		{"a failed attempt is followed by another, by one path", 6 * time.Second,
			observe(sj().running("run-a")).withJob(job(retry)).withPods(pod().exited(1)),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRetrying, stop: v1alpha1.ReasonRetrying, retry: true, contains: "attempt 1 failed (ExitCode)"}},
		{"its Job goes first", 7 * time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonRetrying, true)).withJob(job(retry)).withPods(pod().exited(1)),
			want{action: deleteJob, after: recheck}},
		{"then comes a pause", 9 * time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonRetrying, true).failures(1)).lively(),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, after: firstPause}},
		{"the attempt that failed is not judged again", 9 * time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonRetrying, true).failures(1)).lively().remembering(pod().exited(1)).
				witnessed(pod().exited(1)), want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, after: firstPause}},
		{"then the next", 30 * time.Second,
			observe(sj().running("").pausing(19 * time.Second)).lively(), want{action: createJob}},
		{"an attempt that is over is not judged again by a cache that lags", 20 * time.Second,
			observe(sj().running("run-a").failures(1).pausing(30 * time.Second)).withJob(job(retry)).withPods(pod().exited(1)).old(),
			want{need: needLive}},
		{"no retry is left", 20 * time.Second,
			observe(sj().running("run-a").failures(1)).withJob(job(retry)).withPods(pod().exited(1)), failed(v1alpha1.ReasonExitCode, "code 1")},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(c.see.observation, epoch.Add(c.now))
			checkDecision(t, c.see.observation, d, c.want)
			if d.action.kind == deletePod && d.action.grace < 1 {
				t.Errorf("a Pod is deleted with a grace of %d s", d.action.grace)
			}
		})
	}
}

func podEventsSay(b observing, reason, message string) observing {
	b.words = eventWords{of: b.lastPod.uid, at: epoch.Add(10 * time.Second), said: refusal{reason, message}}
	return b
}

func exitSeen(b observing, at time.Duration) observing {
	b.exitSeen = epoch.Add(at)
	return b
}

// restarted is a Pod whose spider runs for the second time.
func restarted(b podBuilder) podBuilder {
	b.Status.ContainerStatuses[0].RestartCount = 1
	return b
}

// stillRunning is a Pod that the kubelet does not call ended.
func stillRunning(b podBuilder) podBuilder {
	b.Status.Phase = corev1.PodRunning
	return b
}

func queuedJob(b sjBuilder) sjBuilder {
	b.Status.Reason, b.Status.Message = v1alpha1.ReasonQueued, "its Job is suspended"
	return b
}

func managed(b jobBuilder, by string) jobBuilder {
	b.Spec.ManagedBy = &by
	return b
}

func (b sjBuilder) failures(n int32) sjBuilder {
	b.Status.Failures, b.Status.PodUID = n, "run-a"
	return b
}

// overlooked is an observation of a SpiderJob whose attempt is recorded as interrupted, and over.
func overlooked(b sjBuilder) observing {
	b = b.pausing(0).interrupted(1)
	b.Status.Reason, b.Status.PodUID = v1alpha1.ReasonInterrupted, string(makePod(makeJob(b.SpiderJob).Job, "run-a").UID)
	return observe(b)
}

// judgedHere says that this process has recorded the attempt of the observation's Pod as over.
func (b observing) judgedHere() observing {
	b.judged = b.lastPod.uid
	return b
}

// pausing is a SpiderJob between two attempts.
func (b sjBuilder) pausing(until time.Duration) sjBuilder {
	from := at(until)
	b.Status.JobUID, b.Status.AttemptFrom = "", &from
	return b
}

// TestAnOldJobsNextPodIsAnotherAttempt checks that the third Pod of a Job of an earlier version, of whose first nothing is
// left, has counts of its own.
func TestAnOldJobsNextPodIsAnotherAttempt(t *testing.T) {
	sj := makeSpiderJob().running("run-b")
	job := makeJob(sj.SpiderJob).retries(1)
	failed := makePod(job.Job, "run-b").on("n1").exited(1).failed("", "")
	sj.Status.Attempts, sj.Status.PodUID = 2, string(failed.UID)
	see := observe(sj).lively().withJob(job).withPods(failed, makePod(job.Job, "run-c").on("n1").running())
	if d := decide(see.observation, epoch.Add(9*time.Second)); d.status.PodName != "run-c" || d.status.Attempts != 3 {
		t.Errorf("Pod %s is attempt %d, want run-c to be the third", d.status.PodName, d.status.Attempts)
	}
}

// TestPausesBetweenAttemptsGrow checks that the pause grows with each failure and each interruption.
func TestPausesBetweenAttemptsGrow(t *testing.T) {
	for _, c := range []struct {
		name   string
		status v1alpha1.SpiderJobStatus
		reason string
		want   time.Duration
	}{
		{"the first interruption", v1alpha1.SpiderJobStatus{Interruptions: 1}, v1alpha1.ReasonInterrupted, 0},
		{"the second", v1alpha1.SpiderJobStatus{Interruptions: 2}, v1alpha1.ReasonInterrupted, firstPause},
		{"the third", v1alpha1.SpiderJobStatus{Interruptions: 3}, v1alpha1.ReasonInterrupted, 2 * firstPause},
		{"the thousandth", v1alpha1.SpiderJobStatus{Interruptions: 1000}, v1alpha1.ReasonInterrupted, maxPause},
		{"the third that never started", v1alpha1.SpiderJobStatus{Unstarted: 3}, v1alpha1.ReasonInterrupted, 2 * firstPause},
		{"the first failure", v1alpha1.SpiderJobStatus{Failures: 1}, v1alpha1.ReasonRetrying, firstPause},
		{"the second failure", v1alpha1.SpiderJobStatus{Failures: 2}, v1alpha1.ReasonRetrying, 2 * firstPause},
	} {
		if got := pauseAfter(&c.status, c.reason); got != c.want {
			t.Errorf("%s is followed by a pause of %s, want %s", c.name, got, c.want)
		}
	}
}

// TestUnstartedAttemptsAreNotCounted checks that an attempt whose process never ran is not counted as an interruption, up to
// ten in a row.
func TestUnstartedAttemptsAreNotCounted(t *testing.T) {
	sj := makeSpiderJob()
	see := func(unstarted int32) decision {
		sj.Status.Unstarted = unstarted
		pod := makePod(makeJob(sj.SpiderJob).Job, "run-a").failed("OutOfcpu", "no room")
		return decide(observe(sj).lively().withJob(makeJob(sj.SpiderJob)).withPods(pod).observation, epoch.Add(time.Minute))
	}
	if d := see(0); d.status.Interruptions != 0 || d.status.Unstarted != 1 || d.status.Stop == nil || !d.status.Stop.Retry {
		t.Errorf("the first attempt that the node refuses: %s", d)
	}
	if d := see(maxUnstarted); d.status.Interruptions != 1 {
		t.Errorf("the eleventh attempt that the node refuses: %s", d)
	}
}

// TestRetentionIsResolvedAtTheEnd checks that a record is kept for as long as Spider and operator said when it ended.
func TestRetentionIsResolvedAtTheEnd(t *testing.T) {
	sj := makeSpiderJob()
	see := observe(
		sj,
	).withJob(makeJob(sj.SpiderJob)).
		withPods(makePod(makeJob(sj.SpiderJob).Job, "run-a").exited(0)).
		reads(finalReading(1, "finished"))
	week, year := int64(7*24*3600), int64(365*24*3600)
	see.spider.Spec.TTLSecondsAfterFinished = &year
	d := decide(see.observation, epoch.Add(6*time.Second))
	if kept := d.status.TTLSecondsAfterFinished; kept == nil || *kept != year {
		t.Fatalf("the Spider's year is resolved as %s", d)
	}
	ended := makeSpiderJob().ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 0)
	ended.Status.TTLSecondsAfterFinished = &year
	month := epoch.Add(30 * 24 * time.Hour)
	if d := decide(observe(ended).withoutSpider().observation, month); d.action.kind == deleteSpiderJob {
		t.Error("the record is deleted early because its Spider was deleted")
	}
	ended.Spec.TTLSecondsAfterFinished = &week
	if d := decide(observe(ended).observation, month); d.action.kind != deleteSpiderJob {
		t.Error("what the SpiderJob itself says does not count")
	}
	always := forEver
	ended.Spec.TTLSecondsAfterFinished = &always
	if d := decide(observe(ended).observation, epoch.Add(20*365*24*time.Hour)); d.action.kind == deleteSpiderJob {
		t.Error("a SpiderJob with the longest TTL, ten years, was deleted")
	}
}

// TestViewsReadOnlyWhatTheCacheKeeps checks that a view of a slimmed Job or Pod is the view of the whole one: what the cache
// drops, no view reads.
func TestViewsReadOnlyWhatTheCacheKeeps(t *testing.T) {
	everything := cmp.AllowUnexported(podView{}, jobView{}, objectRef{}, containerView{}, disruption{}, jobFailure{})
	sj := makeSpiderJob()
	pod := makePod(makeJob(sj.SpiderJob).Job, "run-a").on("n1").exited(0).outlived("mesh").ending().held().deleting().disrupted("X").
		init("setup", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "X", Message: "y"}}).failed("Evicted", "z")
	pod.Spec.Containers = makeJob(sj.SpiderJob).Spec.Template.Spec.Containers
	if diff := cmp.Diff(viewPod(pod.Pod), pod.view(), everything); diff != "" {
		t.Errorf("the view of a slimmed Pod differs (-full +slim):\n%s", diff)
	}
	job := managed(makeJob(sj.SpiderJob).suspended().condition(batchv1.JobFailed, "a", "b").deleting(), "somebody")
	job.Finalizers = []string{"example.org/backup", metav1.FinalizerDeleteDependents}
	if diff := cmp.Diff(viewJob(job.Job), job.view(), everything); diff != "" {
		t.Errorf("the view of a slimmed Job differs (-full +slim):\n%s", diff)
	}
}

// TestACompleteOldJobMakesNoFurtherPod checks that a failure whose Job of an earlier version is complete nevertheless is not waited
// for the Job controller to try again: it never does.
func TestACompleteOldJobMakesNoFurtherPod(t *testing.T) {
	sj := makeSpiderJob().running("run-b")
	job := makeJob(sj.SpiderJob).retries(3).condition(batchv1.JobComplete, "", "")
	failed := makePod(job.Job, "run-b").on("n1").exited(0).failed("Evicted", "Usage of EmptyDir volume \"tmp\" exceeds the limit \"1Gi\".")
	see := observe(sj).lively().withJob(job).witnessed(failed)
	if d := decide(see.observation, epoch.Add(time.Minute)); d.status.Reason == v1alpha1.ReasonRetrying && d.status.Stop == nil {
		t.Errorf("it waits for a Pod that never comes: %s", d)
	}
}
