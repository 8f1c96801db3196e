package spiderjob

import (
	"errors"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// want is what a case expects of a decision. An empty phase or reason stands for "no status is written".
type want struct {
	need     need
	action   actionKind
	log      podlog.Mode
	phase    v1alpha1.Phase
	reason   string
	contains string // in the message
	stop     string // reason of the recorded stop
	retry    bool
	items    int64
	final    bool
	after    time.Duration
}

// TestDecide is the manual of the lifecycle: one observation, and the decision that follows.
func TestDecide(t *testing.T) {
	sj := makeSpiderJob
	pending := func(reason, contains string, after time.Duration) want {
		return want{phase: v1alpha1.PhasePending, reason: reason, contains: contains, after: after}
	}
	failed := func(reason, contains string) want {
		return want{phase: v1alpha1.PhaseError, reason: reason, contains: contains}
	}
	timeout := func(p *plan) { p.TimeoutSeconds = 60 }
	startDeadline := func(p *plan) { p.StartDeadlineSeconds = 59 }
	// stopping is a cancellation that is recorded and under way.
	stopping := func(w want) want {
		w.phase, w.reason, w.stop, w.contains = v1alpha1.PhasePending, v1alpha1.ReasonStopping, v1alpha1.ReasonCancelled, "by ann"
		return w
	}
	own := func(p *plan) { p.StatsSource = v1alpha1.StatsFromTerminationMessage }
	blind := func(p *plan) { p.StatsSource = v1alpha1.StatsFromNowhere }
	fail := func(p *plan) { p.Interruptions = v1alpha1.InterruptionFail }
	scheduled := func(b podBuilder) podBuilder { return b.condition(corev1.PodScheduled, corev1.ConditionTrue, "", "") }
	first := func() podBuilder { return makePod(makeJob(sj().SpiderJob).Job, "run-a") }
	second := func() podBuilder {
		b := makePod(makeJob(sj().SpiderJob).Job, "run-b")
		b.CreationTimestamp = at(8 * time.Second)
		return b
	}

	for _, c := range []struct {
		name string
		now  time.Duration // since epoch
		see  observing
		want want
	}{
		// A job begins.
		{"a new job gets its Job", time.Second, observe(sj()), want{action: createJob}},
		{"a job from before this process led is looked at first", time.Second, observe(sj()).old(), want{need: needLive}},
		{"and gets its Job once nothing is found", time.Second, observe(sj()).old().lively(), want{action: createJob}},
		{"its Spider is not in the cache", time.Second, observe(sj()).withoutSpider(), want{need: needLive}},
		{"its Spider may yet come", time.Second, observe(sj()).withoutSpider().lively(),
			pending(v1alpha1.ReasonSpiderNotFound, "books", 4*time.Second)},
		{"its Spider does not come", 6 * time.Second, observe(sj()).withoutSpider().lively(), failed(v1alpha1.ReasonSpiderNotFound, "books")},
		{"it asks for a setting that is not allowed", time.Second, observe(settings(sj(), "LOG_FILE")).lively(),
			failed(v1alpha1.ReasonInvalidJob, "LOG_FILE")},
		{"an earlier SpiderJob's Job is in the way", time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob).ownedBy("SpiderJob", "run", "sj-0")), pending(v1alpha1.ReasonWaiting, "run", recheck)},
		{"an earlier SpiderJob's Pod still closes, its Job gone", time.Second, afterEarlierPod(observe(sj()), first()),
			pending(v1alpha1.ReasonWaiting, "run-a", recheck)},
		{"somebody else's Job is in the way, the cache says", time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob).ownedBy("CronJob", "run", "x")), want{need: needLive}},
		{"somebody else's Job is in the way", time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob).ownedBy("CronJob", "run", "x")).lively(), failed(v1alpha1.ReasonNameConflict, "run")},
		{"the API server finds its Job invalid", time.Second, createErr(observe(sj()).lively(), invalid("spec.template")), failed(v1alpha1.ReasonInvalidJob, "invalid")},
		{"a policy denies its Job as invalid, without naming a field", time.Second, createErr(observe(sj()), invalid("")),
			pending(v1alpha1.ReasonPodForbidden, "could not be created", firstRefusal)},
		{"the quota has no room for its Job", time.Second, createErr(observe(sj()), forbidden("exceeded quota: jobs")),
			pending(v1alpha1.ReasonQuotaExceeded, "exceeded quota", firstRefusal)},
		{"it is being deleted, and nothing was made yet", time.Second, observe(sj().deleting()).lively(),
			want{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, contains: "deleted"}},

		// Before the spider starts.
		{"no Pod yet", time.Second, observe(sj()).withJob(makeJob(sj().SpiderJob)), want{after: time.Second}},
		{"no Pod for long, but the Job controller is behind", 6 * time.Second, observe(sj()).withJob(makeJob(sj().SpiderJob).unseen()),
			want{after: jobPatience - 6*time.Second}},
		{"no Pod, though the Job controller has been there", refusalPatience, observe(sj()).withJob(makeJob(sj().SpiderJob)),
			want{need: needJobEvents}},
		{"no Pod, and the Events say why", 6 * time.Second,
			eventsSay(observe(sj()).withJob(makeJob(sj().SpiderJob)), `pods "run-a" is forbidden: violates PodSecurity "restricted:latest"`),
			pending(v1alpha1.ReasonPodForbidden, "PodSecurity", 6*time.Second)},
		{"no Pod, for want of a service account", 6 * time.Second,
			eventsSay(observe(sj()).withJob(makeJob(sj().SpiderJob)), `pods "run-" is forbidden: error looking up service account shop/x: serviceaccount "x" not found`),
			pending(v1alpha1.ReasonServiceAccountNotFound, "service account", 6*time.Second)},
		{"a queue holds the Job back", time.Hour, observe(sj()).withJob(makeJob(sj().SpiderJob, timeout).suspended()),
			pending(v1alpha1.ReasonQueued, "suspended", 0)},
		{"the Pod is being started", 2 * time.Second, observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first()), want{after: podPatience - time.Second}},
		{"no node has room, for a moment", 2 * time.Second, observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(
			first().condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, "0/1 nodes")), want{after: time.Second}},
		{"no node has room", time.Hour, observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(
			first().condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, "0/1 nodes")),
			pending(v1alpha1.ReasonUnschedulable, "0/1 nodes", 0)},
		{"no node has room, and the time is over", 61 * time.Second, observe(sj()).lively().withJob(makeJob(sj().SpiderJob, startDeadline)).withPods(
			first().condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, "0/1 nodes")),
			want{phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonStartDeadlineExceeded}},
		{"the image cannot be pulled", 11 * time.Second, observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(
			scheduled(first()).waiting("ImagePullBackOff", "no such image")), pending(v1alpha1.ReasonImagePull, "no such image", 5*time.Minute)},
		{"patience with the image is over", 6 * time.Minute, observe(sj().failing(30 * time.Second)).lively().withJob(makeJob(sj().SpiderJob)).withPods(
			scheduled(first()).waiting("ErrImagePull", "no such image")),
			want{phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonImagePull}},
		{"a Secret is missing", 11 * time.Second, observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(
			scheduled(first()).waiting("CreateContainerConfigError", `secret "s" not found`)),
			pending(v1alpha1.ReasonConfiguration, "secret", 5*time.Minute)},

		// It runs.
		{"the spider runs", 3 * time.Second, observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first().running()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, log: podlog.Sample}},
		{"its log shows progress", 3 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob)).withPods(first().running()).reads(progress(7)),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, log: podlog.Sample, items: 7}},
		{"a spider with its own command has no log to read", 3 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, own)).withPods(first().running()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning}},
		{"its time is over, the caches say", 63 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob, timeout)).withPods(first().running()), want{need: needLive}},
		{"its time is over", 63 * time.Second,
			observe(sj().running("run-a")).lively().withJob(makeJob(sj().SpiderJob, timeout)).withPods(first().running()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonDeadlineExceeded}},

		{"its time is over before it was noted that it runs", 63 * time.Second,
			observe(sj()).lively().withJob(makeJob(sj().SpiderJob, timeout)).withPods(first().running()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, stop: v1alpha1.ReasonDeadlineExceeded}},

		// It ends by itself.
		{"exit code 0, the counts still to be read", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)), want{log: podlog.Final, after: time.Second}},
		{"finished", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)).reads(finalReading(12, "finished")),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 12, final: true}},
		{"finished, but nothing could be read", 16 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)).reads(podlog.Reading{Since: epoch.Add(5 * time.Second)}),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified}},
		{"finished, in a termination message", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, own)).withPods(first().exited(0, said(`{"items_scraped": 5}`))),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 5, final: true}},
		{"finished, with no message", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, own)).withPods(first().exited(0)),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified}},
		{"finished, and nothing is to be read", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, blind)).withPods(first().exited(0)),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted}},
		{"too many errors, exit code 0", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)).reads(finalReading(3, "closespider_errorcount")),
			want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderFailed, items: 3, final: true, contains: "closespider_errorcount"}},
		{"an error in the termination message, exit code 0", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, own)).withPods(first().exited(0, said(`{"error": "no shop"}`))),
			want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderFailed, contains: "no shop"}},
		{"a Scrapy whose termination message gives an error and no counts: its log is asked for them", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0, said(`{"error": "no shop"}`))),
			want{log: podlog.Final, after: time.Second}},
		{"and gives them", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0, said(`{"error": "no shop"}`))).reads(finalReading(3, "finished")),
			want{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonSpiderFailed, items: 3, final: true, contains: "no shop"}},
		{"a signal, exit code 0", 6 * time.Second,
			observe(sj()).lively().withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)).reads(signalled(finalReading(3, "shutdown"))),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, retry: true, items: 3, final: true, log: podlog.Final}},
		{"it finishes where an earlier attempt was interrupted, and attempts are summed up", 6 * time.Second,
			observe(resumed(sj(), 7)).withJob(makeJob(sj().SpiderJob, sumAttempts)).withPods(first().exited(0)).reads(finalReading(5, "finished")),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 12, final: true}},
		{"it finishes where an earlier attempt was interrupted, and the last one counts", 6 * time.Second,
			observe(resumed(sj(), 7)).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)).reads(finalReading(5, "finished")),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, items: 5, final: true}},
		{"exit code 1", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, own)).withPods(first().exited(1, said("Traceback\nValueError: no category"))),
			failed(v1alpha1.ReasonExitCode, "code 1: ValueError: no category")},
		{"out of memory", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, own)).withPods(first().exited(137, because("OOMKilled"))),
			failed(v1alpha1.ReasonOutOfMemory, "more memory")},
		{"killed by a signal", 6 * time.Second,
			observe(sj()).withJob(makeJob(sj().SpiderJob, own)).withPods(first().exited(139)), failed(v1alpha1.ReasonKilled, "signal 11")},
		{"failed, with a retry left", 6 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob, own).retries(1)).withPods(first().exited(1)),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRetrying, contains: "attempt 1 failed"}},
		{"the retry runs", 9 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob, own).retries(1)).withPods(first().exited(1), second().running()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning}},
		{"failed, with no retry left", 9 * time.Second,
			observe(sj().running("run-b")).withJob(makeJob(sj().SpiderJob, own).retries(1)).withPods(first().exited(1), second().exited(2)),
			failed(v1alpha1.ReasonExitCode, "code 2")},
		{"the Job has failed, and no Pod tells why", 9 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).condition(batchv1.JobFailed, "BackoffLimitExceeded", "no more")).lively().killing(evidenceNone),
			failed(v1alpha1.ReasonJobFailed, "no more")},

		// It is interrupted: an exit code proves nothing then.
		{"its Pod is being deleted, the caches say", 5 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob)).withPods(first().running().deleting()), want{need: needLive}},
		{"its Pod is being deleted", 5 * time.Second,
			observe(sj().running("run-a")).lively().withJob(makeJob(sj().SpiderJob)).withPods(first().running().deleting()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, retry: true, log: podlog.Follow}},
		{"its Pod was drained, and Scrapy exited with 0", 6 * time.Second,
			observe(sj().running("run-a")).lively().withJob(makeJob(sj().SpiderJob).condition(batchv1.JobComplete, "", "")).
				withPods(first().exited(0).disrupted("EvictionByEvictionAPI")).reads(finalReading(4, "finished")),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, retry: true, items: 4, final: true, log: podlog.Final}},
		{"its Job is being deleted", 6 * time.Second,
			observe(sj().running("run-a")).lively().withJob(makeJob(sj().SpiderJob).deleting()).withPods(first().exited(0)).reads(finalReading(4, "finished")),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, retry: true, items: 4, final: true, log: podlog.Final}},
		{"its Job is complete, but the Pod that could prove it is gone", 6 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).condition(batchv1.JobComplete, "", "")).lively(),
			want{need: needKilling}},
		{"and no sign of a stop", 6 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).condition(batchv1.JobComplete, "", "")).lively().killing(evidenceNone),
			want{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompletedUnverified, contains: "no sign of a stop"}},
		{"and the kubelet tells of a stop", 6 * time.Second,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).condition(batchv1.JobComplete, "", "")).lively().killing(evidenceOfStop),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, retry: true}},
		{"its Job is gone from the cache", 6 * time.Second, observe(sj().running("run-a")), want{need: needLive}},
		{"its Job is gone", 6 * time.Second, observe(sj().running("run-a")).lively(),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, retry: true}},
		{"a Spider that wants no new attempt", 5 * time.Second,
			observe(sj().running("run-a")).lively().withJob(makeJob(sj().SpiderJob, fail)).withPods(first().running().deleting()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, log: podlog.Follow}},
		{"one interruption too many", 5 * time.Second,
			observe(sj().running("run-a").interrupted(3)).lively().withJob(makeJob(sj().SpiderJob)).withPods(first().running().deleting()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, log: podlog.Follow, contains: "more than 3"}},
		{"the interrupted attempt is gone, and the next begins", 5 * time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonInterrupted, true)).lively(),
			want{action: createJob, phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning}},
		{"the next attempt has its Job", time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonInterrupted, true)).withJob(makeJob(sj().SpiderJob).uid("job-2")),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonRunning, after: time.Second}},
		{"the last interrupted attempt is gone", 5 * time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonInterrupted, false)).lively(), failed(v1alpha1.ReasonInterrupted, "for a reason")},
		{"a queue takes the Job back", time.Minute,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).suspended()), pending(v1alpha1.ReasonQueued, "suspended", 0)},
		{"a queue is taking the Job back", time.Minute,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).suspended()).withPods(first().running()),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonStopping, contains: "suspended", log: podlog.Follow}},
		{"a queue has taken the Job back, the counts still to be read", time.Minute,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).suspended()).withPods(first().exited(0).deleting()),
			want{log: podlog.Final, after: time.Second}},
		{"a queue has taken the Job back, and Scrapy exited with 0", time.Minute,
			observe(sj().running("run-a")).withJob(makeJob(sj().SpiderJob).suspended()).withPods(first().exited(0).deleting()).
				reads(finalReading(4, "shutdown")),
			want{phase: v1alpha1.PhasePending, reason: v1alpha1.ReasonQueued, contains: "suspended", items: 4, final: true}},
		{"a queue has taken the Job back once too often", time.Minute,
			observe(sj().running("run-a").interrupted(3)).lively().withJob(makeJob(sj().SpiderJob).suspended()).withPods(first().exited(0).deleting()).
				reads(finalReading(4, "shutdown")),
			want{phase: v1alpha1.PhaseRunning, reason: v1alpha1.ReasonInterrupted, stop: v1alpha1.ReasonInterrupted, items: 4, final: true,
				log: podlog.Final, contains: "more than 3"}},
		{"a queue has just let the Job go, and its time has not begun", 2 * time.Minute,
			observe(sj()).withJob(makeJob(sj().SpiderJob, timeout).condition(batchv1.JobSuspended, "JobSuspended", "")),
			pending(v1alpha1.ReasonQueued, "suspended", 0)},

		// It is cancelled.
		{"cancelled before the Job, the cache says", time.Second, observe(sj().cancelled()), want{need: needLive}},
		{"cancelled before the Job", time.Second, observe(sj().cancelled()).lively(),
			want{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, contains: "by ann"}},
		{"cancelled before the Pod", time.Second, observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob)), stopping(want{action: deleteJob, after: recheck})},
		{"cancelled before the spider starts", 3 * time.Second,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob)).withPods(first()), stopping(want{action: deletePod, after: recheck})},
		{"cancelled in mid-crawl: its log first", 3 * time.Second,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob)).withPods(first().running()), stopping(want{log: podlog.Follow, after: streamPatience})},
		{"then its Pod", 3 * time.Second,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob)).withPods(first().running()).reads(podlog.Reading{Opened: true, Since: epoch}),
			stopping(want{log: podlog.Follow, action: deletePod, after: recheck})},
		{"the Pod even if the log cannot be had", 5 * time.Second,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob)).withPods(first().running()).reads(podlog.Reading{Err: errors.New("no"), Since: epoch}),
			stopping(want{log: podlog.Follow, action: deletePod, after: recheck})},
		{"then its Job", 4 * time.Second,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob)).withPods(first().running().deleting()),
			stopping(want{log: podlog.Follow, action: deleteJob, after: recheck})},
		{"then it waits", 4 * time.Second,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob).deleting()).withPods(first().running().deleting()),
			stopping(want{log: podlog.Follow, after: recheck})},
		{"then the end, with what the log said last", 9 * time.Second,
			observe(sj().cancelled()).lively().remembering(first().exited(0).deleting()).reads(finalReading(9, "shutdown")),
			want{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled, items: 9, final: true}},
		{"but not before the log's end", 9 * time.Second,
			observe(sj().cancelled()).remembering(first().exited(0).deleting()).reads(podlog.Reading{Opened: true, Since: epoch.Add(4 * time.Second)}),
			want{after: time.Second}},
		{"cancelled, though it finished meanwhile", 6 * time.Second,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)).reads(finalReading(12, "finished")),
			stopping(want{action: deleteJob, after: recheck, log: podlog.Final})},
		{"cancelled while suspended", time.Minute,
			observe(sj().cancelled()).withJob(makeJob(sj().SpiderJob).suspended()), stopping(want{action: deleteJob, after: recheck})},
		{"a cancellation outranks an interruption", 5 * time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonInterrupted, true).cancelled()).lively(),
			want{phase: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled}},
		{"a running Pod whose Job somebody else removed: its log first", 4 * time.Second,
			observe(sj().running("run-a").stopping(v1alpha1.ReasonInterrupted, true)).withPods(first().running().deleting()),
			want{log: podlog.Follow, after: recheck}},
		{"a Pod without a Job is deleted too", 4 * time.Second,
			observe(sj().cancelled()).withPods(first()), stopping(want{action: deletePod, after: recheck})},

		// It has ended.
		{"kept for a while", time.Minute,
			observe(sj().ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 0)).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)),
			want{after: 59 * time.Minute}},
		{"its Job's time is over", 61 * time.Minute,
			observe(sj().ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 0)).withJob(makeJob(sj().SpiderJob)).withPods(first().exited(0)),
			want{action: deleteJob, after: recheck}},
		{"its own time is over", 8 * 24 * time.Hour,
			observe(sj().ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 0)), want{action: deleteSpiderJob, after: recheck}},
		{"a Job that can still run is removed at once", time.Minute,
			observe(sj().ended(v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, 0)).withJob(makeJob(sj().SpiderJob).uid("job-2")),
			want{action: deleteJob, after: recheck}},
		{"it never gets another Job", time.Minute,
			observe(sj().ended(v1alpha1.PhaseError, v1alpha1.ReasonExitCode, 0)).lively(), want{after: 7*24*time.Hour - time.Minute}},
		{"a cancellation that came too late changes nothing", time.Minute,
			observe(sj().ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 0).cancelled()), want{after: 7*24*time.Hour - time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(c.see.observation, epoch.Add(c.now))
			checkDecision(t, c.see.observation, d, c.want)
		})
	}
}

func checkDecision(t *testing.T, o *observation, d decision, w want) {
	t.Helper()
	if d.need != w.need || d.action.kind != w.action || d.log() != w.log || d.after != w.after {
		t.Fatalf("decided %s\nwant need=%d action=%d log=%v after=%s", d, w.need, w.action, w.log, w.after)
	}
	if w.phase == "" {
		if w.need == needNothing && !sameStatus(d.status, o.sj.Status) {
			t.Fatalf("decided to write a status where none is due: %s", d)
		}
		return
	}
	if d.status.Phase != w.phase || d.status.Reason != w.reason || !strings.Contains(d.status.Message, w.contains) {
		t.Errorf(
			"status is %s/%s %q, want %s/%s with %q", d.status.Phase, d.status.Reason, d.status.Message, w.phase, w.reason, w.contains,
		)
	}
	if w.phase.Terminal() != (d.status.FinishedAt != nil) {
		t.Errorf("finishedAt is %v in phase %s", d.status.FinishedAt, d.status.Phase)
	}
	switch stop := d.status.Stop; {
	case w.stop == "" && stop != nil:
		t.Errorf("records a stop for %s, want none", stop.Reason)
	case w.stop != "" && (stop == nil || stop.Reason != w.stop || stop.Retry != w.retry):
		t.Errorf("records stop %+v, want %s, retry %t", stop, w.stop, w.retry)
	}
	var items int64
	var final bool
	if d.status.Stats != nil {
		items, final = d.status.Stats.ItemsScraped, d.status.Stats.Final
	}
	if items != w.items || final != w.final {
		t.Errorf("counts %d items (final %t), want %d (%t)", items, final, w.items, w.final)
	}
}

// resumed is a SpiderJob whose first attempt was interrupted with so many items, and whose second one runs.
func resumed(b sjBuilder, items int64) sjBuilder {
	b.Status.Attempts, b.Status.Interruptions = 2, 1
	b.Status.Stats = &v1alpha1.Stats{
		ItemsScraped: items,
		FinishReason: "shutdown",
		Source:       v1alpha1.OriginScrapyStats,
		Attempt:      1,
		Final:        true,
	}
	return b
}

func sumAttempts(p *plan) { p.SumAttempts = true }

func settings(b sjBuilder, names ...string) sjBuilder {
	b.Spec.Settings = map[string]v1alpha1.SettingValue{}
	for _, name := range names {
		b.Spec.Settings[name] = "x"
	}
	return b
}

func createErr(b observing, err error) observing {
	b.refused = &refusedCreation{err: err, since: epoch.Add(time.Second), at: epoch.Add(time.Second)}
	return b
}

func afterEarlierPod(b observing, pod podBuilder) observing {
	b.earlierPod = pod.running().view()
	return b
}

func eventsSay(b observing, message string) observing {
	b.words = eventWords{of: b.job.uid, at: epoch.Add(6 * time.Second), said: explain(message)}
	return b
}

// invalid is a 422 that names a field, or none where it comes from a policy.
func invalid(path string) error {
	cause := &field.Error{Type: field.ErrorTypeInvalid, Field: path, Detail: "no"}
	return apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "run", field.ErrorList{cause})
}

func forbidden(message string) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "run", errors.New(message))
}
