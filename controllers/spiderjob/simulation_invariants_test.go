package spiderjob

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
)

// What a SpiderJob may cost kube-apiserver: for each minute, and for each change of it, its Job or its Pods that others make, and
// each thing that its log says. A live look at everything takes four reads; a call that fails is tried again some fourteen times
// in the first minute.
const (
	readsPerMinute, writesPerMinute = 40, 15
	readsPerNews, writesPerNews     = 4, 2
)

// The invariants: what must hold in every history.
const (
	// invariantOneProcess: two processes of one SpiderJob never run at once, unless somebody else declared one of them dead.
	invariantOneProcess = "one process at a time"
	// invariantEndProven: no end is recorded while a process of the SpiderJob may run that no other component declared dead.
	invariantEndProven = "ends are proven"
	// invariantPhases: the phase never goes back; a terminal phase and its reason never change.
	invariantPhases = "phases go forward"
	// invariantCancelled: what was cancelled before its end ends as Cancelled, and nothing else does.
	invariantCancelled = "cancelled is Cancelled"
	// invariantCounts: counts never go down within an attempt, nor do attempts and interruptions.
	invariantCounts = "counts go up"
	// invariantVerdicts: what the end says of the run is what happened.
	invariantVerdicts = "verdicts are true"
	// invariantTimeouts: a timeout is over before it is recorded, however old what the caches show.
	invariantTimeouts = "timeouts are over"
	// invariantPrompt: what was refused is tried again within a minute of its repair, and a deletion that somebody's finalizer holds
	// up stops what runs.
	invariantPrompt = "every wait ends in time"
	// invariantKept: a SpiderJob is kept for as long as was said at its end, or is said now in its own spec.
	invariantKept = "records are kept"
	// invariantNoPanic: nothing panics, in the operator or in the simulation itself.
	invariantNoPanic = "no panic"
	// invariantSuccessKept: what this process saw succeed is not run again.
	invariantSuccessKept = "a success is not run again"
	// invariantGrace: no Pod is deleted with a grace below 1, unless it has ended.
	invariantGrace = "a grace is at least 1"
	// invariantUID: every deletion names the UID it means.
	invariantUID = "deletions name a UID"
	// invariantEnds: in a kind world every SpiderJob comes to its end.
	invariantEnds = "everything ends"
	// invariantNothingLeft: nothing of an ended SpiderJob is left running.
	invariantNothingLeft = "nothing is left running"
	// invariantExplained: every wait of more than a few seconds has a reason and a message.
	invariantExplained = "waits are explained"
	// invariantNoErrors: a reconcile fails only where a call failed.
	invariantNoErrors = "no errors without cause"
	// invariantFrugal: calls, reads and writes per waiting job are bounded.
	invariantFrugal = "calls are bounded"
	// invariantForgets: what is held per job is bounded.
	invariantForgets = "memory is bounded"
	// invariantArguments: a Job's spider gets the SpiderJob's arguments.
	invariantArguments = "arguments arrive"
	// invariantTerminalCreates: a SpiderJob that has ended, or is being deleted, never gets a Job.
	invariantTerminalCreates = "the end is the end"
)

// everyInvariant is each of them.
var everyInvariant = []string{
	invariantOneProcess,
	invariantEndProven,
	invariantPhases,
	invariantCancelled,
	invariantCounts,
	invariantVerdicts,
	invariantSuccessKept,
	invariantGrace,
	invariantUID,
	invariantEnds,
	invariantNothingLeft,
	invariantExplained,
	invariantNoErrors,
	invariantFrugal,
	invariantForgets,
	invariantTerminalCreates,
	invariantTimeouts,
	invariantNoPanic,
	invariantPrompt,
	invariantKept,
	invariantArguments,
}

// truth is what the checks know of a history.
type truth struct {
	seen  int // how much of the cluster's log was looked at
	jobs  map[types.UID]*trueJob
	ends  map[types.UID]time.Time            // when a Pod's status first said that its spider had ended
	spent map[types.NamespacedName]*spending // of late, by the SpiderJob it was spent on
	hung  int                                // calls that admission held up for long
	// deniedFields says that admission has called a field invalid at some time.
	deniedFields bool
}

// trueJob is what is true of one SpiderJob.
type trueJob struct {
	created   int  // Jobs that were ever made for it
	old       bool // the version before made one of them
	cancelled bool
	ended     bool
	processes []*simulated.Process
	// overdueAt is when it was first recorded that its time was over: a node may be late in telling of an end.
	overdueAt  time.Time
	waitsSince time.Time
	end        string // the terminal phase and its reason
	endedAt    time.Time
	endVersion int64 // the resource version in which the end was recorded
	endedBy    *process
	keep       time.Duration // how long it is to be kept after its end
}

func newTruth() truth {
	return truth{jobs: map[types.UID]*trueJob{}, spent: map[types.NamespacedName]*spending{}, ends: map[types.UID]time.Time{}}
}

// spending is what a SpiderJob has cost kube-apiserver, and what was new of it meanwhile.
type spending struct{ reads, writes, news int }

func (t *truth) spentOn(sj types.NamespacedName) *spending {
	s := t.spent[sj]
	if s == nil {
		s = &spending{}
		t.spent[sj] = s
	}
	return s
}

func (t *truth) of(sj types.UID) *trueJob {
	j := t.jobs[sj]
	if j == nil {
		j = &trueJob{}
		t.jobs[sj] = j
	}
	return j
}

// started checks a process that has just started.
func (h *history) started(p *simulated.Process) {
	if p.Kind != simulated.Spider {
		return
	}
	j := h.truth.of(p.SpiderJob)
	for _, other := range j.processes {
		if other.Running() && other.DeclaredDead == "" {
			h.violate(
				invariantOneProcess, "Pod %s on node %s starts while Pod %s on node %s runs", p.PodName, p.Node, other.PodName, other.Node,
			)
		}
	}
	j.processes = append(j.processes, p)
}

// check looks at every change since the last time.
func (h *history) check() {
	log := h.cluster.Log()
	for ; h.truth.seen < len(log) && h.broken == ""; h.truth.seen++ {
		change := log[h.truth.seen]
		h.noteNews(change)
		switch change.Kind {
		case simulated.SpiderJobs:
			h.checkSpiderJob(change)
		case simulated.Jobs:
			h.checkJob(change)
		case simulated.Pods:
			h.checkPod(change)
		default:
		}
	}
}

func (h *history) checkSpiderJob(change *simulated.Change) {
	after, ok := change.After.(*v1alpha1.SpiderJob)
	if !ok {
		h.checkRemoval(change)
		return
	}
	before, ok := change.Before.(*v1alpha1.SpiderJob)
	if !ok {
		return
	}
	j := h.truth.of(after.UID)
	if after.Spec.Cancellation != nil && !after.Status.Phase.Terminal() {
		j.cancelled = true
	}
	was, is := &before.Status, &after.Status
	switch {
	case was.Phase.Terminal() && ptr.Deref(was.TTLSecondsAfterFinished, -1) != ptr.Deref(is.TTLSecondsAfterFinished, -1):
		h.violate(
			invariantKept, "was to be kept for %d s, and then for %d s", ptr.Deref(was.TTLSecondsAfterFinished, -1),
			ptr.Deref(is.TTLSecondsAfterFinished, -1),
		)
	case was.Phase.Terminal() && (was.Phase != is.Phase || was.Reason != is.Reason):
		h.violate(invariantPhases, "%s/%s is followed by %s/%s", was.Phase, was.Reason, is.Phase, is.Reason)
	case was.Phase == v1alpha1.PhaseRunning && is.Phase == v1alpha1.PhasePending && is.Reason != v1alpha1.ReasonQueued:
		h.violate(invariantPhases, "Running goes back to Pending/%s", is.Reason)
	case is.Attempts < was.Attempts || is.Interruptions < was.Interruptions:
		h.violate(
			invariantCounts, "attempts go from %d to %d, interruptions from %d to %d", was.Attempts, is.Attempts, was.Interruptions,
			is.Interruptions,
		)
	case was.Stats != nil && is.Stats != nil && was.Stats.Attempt == is.Stats.Attempt && is.Stats.ItemsScraped < was.Stats.ItemsScraped:
		h.violate(invariantCounts, "items go down from %d to %d", was.Stats.ItemsScraped, is.Stats.ItemsScraped)
	}
	if is.Stop != nil && is.Stop.Reason == v1alpha1.ReasonDeadlineExceeded && j.overdueAt.IsZero() {
		j.overdueAt = time.Now()
	}
	if !was.Phase.Terminal() && is.Phase.Terminal() {
		j.end = string(is.Phase) + "/" + is.Reason
		j.ended, j.endedAt, j.keep = true, time.Now(), h.keeps(after)
		j.endVersion, j.endedBy = change.Version, h.process(change.By)
		h.checkEnd(after, j)
	}
}

// keeps is the least that a SpiderJob is to be kept after its end, by what Spiders of its name, and the operator, have ever said;
// its own spec is asked later.
func (h *history) keeps(sj *v1alpha1.SpiderJob) time.Duration {
	least, spiders := testDefaults().TTL, h.spidersOf(sj)
	for i, spider := range spiders {
		keep := testDefaults().TTL
		if ttl := spider.Spec.TTLSecondsAfterFinished; ttl != nil {
			keep = time.Duration(*ttl) * time.Second
		}
		// Where no Spider ever went, the operator's own choice is none.
		if i == 0 && h.kinds&troubleSpiders == 0 {
			least = keep
		}
		least = min(least, keep)
	}
	return least
}

// checkRemoval: the operator removes a SpiderJob when its time is over, and not before.
func (h *history) checkRemoval(change *simulated.Change) {
	sj, ok := change.Before.(*v1alpha1.SpiderJob)
	if !ok || !strings.HasPrefix(change.By, simulated.Operator) {
		return
	}
	j := h.truth.of(sj.UID)
	keep := j.keep
	if own := sj.Spec.TTLSecondsAfterFinished; own != nil {
		keep = time.Duration(*own) * time.Second
	}
	if kept := time.Since(j.endedAt); kept+2*h.skews.widest+2*time.Second < keep {
		h.violate(invariantKept, "SpiderJob %s is removed %s after its end, and was to be kept for %s", sj.UID, kept, keep)
	}
}

// limitReached reports whether the limit of a namespace keeps a SpiderJob from running: another one of it runs.
func (h *history) limitReached(sj *v1alpha1.SpiderJob) bool {
	if !h.limited || sj.Namespace != "a" {
		return false
	}
	return slices.ContainsFunc(h.cluster.AllSpiderJobs(), func(other *v1alpha1.SpiderJob) bool {
		return other.Namespace == sj.Namespace && other.UID != sj.UID && !other.Status.Phase.Terminal()
	})
}

// checkPrompt looks at what still waits though nothing has been in its way for more than a minute.
func (h *history) checkPrompt() {
	for _, sj := range h.cluster.AllSpiderJobs() {
		j := h.truth.of(sj.UID)
		if !sj.Status.Phase.Terminal() && j.created == 0 && sj.DeletionTimestamp == nil && sj.Status.Reason != v1alpha1.ReasonWaiting &&
			sj.Status.Reason != v1alpha1.ReasonSpiderNotFound && !h.limitReached(sj) {
			h.violate(
				invariantPrompt, "SpiderJob %s has no Job though nothing has been in its way for more than a minute: %s/%s %q", sj.UID,
				sj.Status.Phase, sj.Status.Reason, sj.Status.Message,
			)
		}
	}
}

// checkHeld: a SpiderJob that is deleted, and held by somebody's finalizer, is stopped all the same.
func (h *history) checkHeld() {
	for _, sj := range h.cluster.AllSpiderJobs() {
		if sj.DeletionTimestamp == nil || len(h.cluster.Admission) > 0 {
			continue
		}
		for _, p := range h.truth.of(sj.UID).processes {
			if p.Running() && p.Signalled.IsZero() && p.DeclaredDead == "" && h.answers(p.Node) {
				h.violate(invariantPrompt, "SpiderJob %s was deleted, is held by %q, and Pod %s runs on", sj.UID, sj.Finalizers, p.PodName)
			}
		}
	}
}

// answers reports whether a node is there.
func (h *history) answers(name string) bool {
	for _, n := range h.cluster.Nodes() {
		if n.Name == name {
			return n.State == simulated.Up && !n.Deleted
		}
	}
	return false
}

// checkEnd holds an end against the truth.
func (h *history) checkEnd(sj *v1alpha1.SpiderJob, j *trueJob) {
	st := &sj.Status
	for _, p := range j.processes {
		if p.Running() && p.DeclaredDead == "" {
			h.violate(invariantEndProven, "ends as %s/%s while Pod %s runs on node %s", st.Phase, st.Reason, p.PodName, p.Node)
		}
	}
	for _, pod := range h.podsOf(sj.UID) {
		if !podEnded(pod) {
			h.violate(invariantEndProven, "ends as %s/%s while Pod %s has not ended", st.Phase, st.Reason, pod.Name)
		}
	}
	switch cancelled := st.Phase == v1alpha1.PhaseCancelled; {
	case j.cancelled && !cancelled:
		h.violate(invariantCancelled, "was cancelled, and ends as %s/%s", st.Phase, st.Reason)
	case cancelled && !j.cancelled && sj.DeletionTimestamp == nil: // a deletion asks for it, too
		h.violate(invariantCancelled, "ends as Cancelled without a cancellation")
	}
	h.checkVerdict(sj, j)
}

// lastProcess is the one that the end speaks of: the last of the Pod that the status names, else the last of all.
func (j *trueJob) lastProcess(pod string) *simulated.Process {
	var last *simulated.Process
	for _, p := range j.processes {
		if pod == "" || p.PodName == pod {
			last = p
		}
	}
	if last == nil && pod != "" {
		return j.lastProcess("") // the Pod of the last attempt was never seen
	}
	return last
}

func (h *history) checkVerdict(sj *v1alpha1.SpiderJob, j *trueJob) {
	st := &sj.Status
	p := j.lastProcess(st.PodName)
	untrue := func(format string, args ...any) {
		h.violate(invariantVerdicts, "%s/%s %q: %s", st.Phase, st.Reason, st.Message, fmt.Sprintf(format, args...))
	}
	what := "no process ever ran"
	if p != nil {
		what = fmt.Sprintf(
			"the process of Pod %s exited with %d, finish reason %q; signalled to end: %q; lost: %q", p.PodName, p.Exit(), p.FinishReason(),
			p.SignalledBy, p.Lost,
		)
	}
	switch st.Reason {
	case v1alpha1.ReasonCompleted:
		if p == nil || !p.Undisturbed() || p.Exit() != 0 || p.FinishReason() != "finished" {
			untrue("%s", what)
		} else if st.Stats != nil && st.Stats.Final && st.Stats.ItemsScraped != p.Items() {
			untrue("counts %d items, and the spider scraped %d", st.Stats.ItemsScraped, p.Items())
		}
		h.checkExpectations(sj, j, p, untrue)
	case v1alpha1.ReasonCompletedUnverified:
		if p != nil && j.endedBy.ends[p.Pod] && p.OutOfMemory() {
			untrue("a process of Pod %s ran out of memory", p.PodName)
		}
		if p == nil || p.DeclaredDead == "" && p.Lost == "" && (!p.Undisturbed() || p.Exit() != 0) {
			untrue("%s", what)
		}
	case v1alpha1.ReasonStoppedItself, v1alpha1.ReasonExpectationsNotMet, v1alpha1.ReasonStalled:
		h.checkExpectations(sj, j, p, untrue)
	case v1alpha1.ReasonExitCode:
		if p == nil || !p.Undisturbed() || p.Exit() == 0 {
			untrue("%s", what)
		}
		if retries := h.retriesOf(sj); int(st.Attempts) <= retries && !h.hadOldJob(sj) {
			untrue("%d retries are allowed, and there were %d attempts", retries, st.Attempts)
		}
	case v1alpha1.ReasonKilled:
		if p == nil || !p.Undisturbed() || p.Exit() < 128 {
			untrue("%s", what)
		}
	case v1alpha1.ReasonSpiderFailed:
		if p == nil || !p.Undisturbed() || p.FinishReason() != "closespider_errorcount" {
			untrue("%s", what)
		}
	case v1alpha1.ReasonOutOfMemory:
		if p == nil || !p.OutOfMemory() {
			untrue("%s", what)
		}
	case v1alpha1.ReasonDeadlineExceeded:
		h.checkDeadline(sj, j)
	case v1alpha1.ReasonInvalidJob:
		if !h.fieldsCalledInvalid() {
			untrue("nothing was invalid")
		}
	case v1alpha1.ReasonImagePull, v1alpha1.ReasonConfiguration:
		if h.kinds&(troubleImages|troubleVolumes|troubleInits|troubleSidecars|troubleNatives) == 0 {
			untrue("every container could start")
		}
	case v1alpha1.ReasonOutOfStorage:
		if p != nil && p.SignalledBy != simulated.OwnStorage && !h.podTouched(p) && !h.saidEvicted(p.Pod) {
			untrue("%s", what)
		}
	case v1alpha1.ReasonInterrupted:
		if p != nil && p.SignalledBy == simulated.OwnStorage && !h.podTouched(p) && !strings.Contains(st.Message, "suspended") {
			untrue("%s", what)
		}
		if p != nil && len(j.processes) == 1 && p.Undisturbed() && p.Exit() == 0 && !h.podTouched(p) {
			untrue("%s", what)
		}
	}
}

// hadOldJob reports whether the version before had made a SpiderJob's Job, in which the Job controller tries again.
func (h *history) hadOldJob(sj *v1alpha1.SpiderJob) bool {
	for _, change := range h.cluster.Log() {
		job, ok := change.After.(*batchv1.Job)
		if ok && job.Labels[v1alpha1.LabelSpiderJobUID] == string(sj.UID) && ptr.Deref(job.Spec.BackoffLimit, 0) > 0 {
			return true
		}
	}
	return false
}

// retriesOf is how many retries every Spider of a SpiderJob's name has allowed; none where there may have been no Spider.
func (h *history) retriesOf(sj *v1alpha1.SpiderJob) int {
	least := 0
	for _, change := range h.cluster.Log() {
		if spider, ok := change.Before.(*v1alpha1.Spider); ok && change.After == nil && spider.Namespace == sj.Namespace {
			return 0
		}
	}
	for i, change := range h.spidersOf(sj) {
		if n := int(ptr.Deref(change.Spec.Retries, 0)); i == 0 || n < least {
			least = n
		}
	}
	return least
}

// spidersOf are all Spiders that a SpiderJob's name of one has ever meant.
func (h *history) spidersOf(sj *v1alpha1.SpiderJob) []*v1alpha1.Spider {
	var all []*v1alpha1.Spider
	for _, change := range h.cluster.Log() {
		if spider, ok := change.After.(*v1alpha1.Spider); ok && spider.Namespace == sj.Namespace &&
			spider.Name == sj.Spec.SpiderRef.Name {
			all = append(all, spider)
		}
	}
	return all
}

// nodeSilent reports whether a Pod is on a node that tells nothing.
func (h *history) nodeSilent(uid types.UID) bool {
	pod := h.cluster.Pod(uid)
	if pod == nil {
		return false
	}
	for _, n := range h.cluster.Nodes() {
		if n.Name == pod.Spec.NodeName {
			return n.Deleted || n.State != simulated.Up
		}
	}
	return true
}

// saidEvicted reports whether a Pod's status ever said that it was evicted: who cannot look into the node has to believe it.
func (h *history) saidEvicted(pod types.UID) bool {
	for _, change := range h.cluster.Log() {
		if after, ok := change.After.(*corev1.Pod); ok && after.UID == pod && after.Status.Reason == "Evicted" {
			return true
		}
	}
	return false
}

// podTouched reports whether somebody did something to a process's Pod or to its Job.
func (h *history) podTouched(p *simulated.Process) bool {
	for _, change := range h.cluster.Log() {
		switch before := change.Before.(type) {
		case *corev1.Pod:
			if before.UID == p.Pod && (change.After == nil || change.After.GetDeletionTimestamp() != nil) &&
				!strings.HasPrefix(change.By, simulated.Operator) {
				return true
			}
		case *batchv1.Job:
			if before.Labels[v1alpha1.LabelSpiderJobUID] == string(p.SpiderJob) && !strings.HasPrefix(change.By, simulated.Operator) &&
				(change.After == nil || change.After.GetDeletionTimestamp() != nil || ptr.Deref(before.Spec.Suspend, false)) {
				return true
			}
		}
	}
	return false
}

func (h *history) fieldsCalledInvalid() bool {
	for _, a := range h.cluster.Admission {
		if a.Answer == simulated.DeniedField && a.Verb == "create" {
			return true
		}
	}
	return h.truth.deniedFields
}

// checkDeadline: a timeout is over only after that much time of a process, as far as clocks agree.
func (h *history) checkDeadline(sj *v1alpha1.SpiderJob, j *trueJob) {
	for _, change := range h.cluster.Log() {
		if job, ok := change.Before.(*batchv1.Job); ok && job.Spec.ActiveDeadlineSeconds != nil &&
			job.Labels[v1alpha1.LabelSpiderJobUID] == string(sj.UID) {
			return // a Job of the version before: its time counts from its creation
		}
	}
	var longest time.Duration
	for _, p := range j.processes {
		until := time.Now()
		if !j.overdueAt.IsZero() {
			until = j.overdueAt
		}
		if recorded, ok := h.truth.ends[p.Pod]; ok && recorded.Before(until) {
			until = recorded
		}
		since := p.Started
		for _, earlier := range j.processes {
			if earlier.Pod == p.Pod && earlier.Started.Before(since) {
				since = earlier.Started // its node may not have reported yet that it has started the container again
			}
		}
		longest = max(longest, until.Sub(since))
	}
	var limit time.Duration
	for _, change := range h.cluster.Log() {
		if spider, ok := change.After.(*v1alpha1.Spider); ok && spider.Namespace == sj.Namespace && spider.Spec.TimeoutSeconds != nil {
			if d := time.Duration(*spider.Spec.TimeoutSeconds) * time.Second; limit == 0 || d < limit {
				limit = d
			}
		}
	}
	if longest+2*h.skews.widest+2*time.Second < limit || limit == 0 {
		h.violate(invariantTimeouts, "%s: the longest that a process was known to run is %s of %s", sj.Status.Message, longest, limit)
	}
}

func (h *history) checkJob(change *simulated.Change) {
	job, ok := change.After.(*batchv1.Job)
	if !ok || change.Before != nil {
		return
	}
	uid := types.UID(job.Labels[v1alpha1.LabelSpiderJobUID])
	j := h.truth.of(uid)
	j.created++
	for _, sj := range h.cluster.AllSpiderJobs() {
		arguments := string(sj.Spec.Arguments["url"])
		if sj.UID == uid && strings.HasPrefix(change.By, simulated.Operator) && !carries(job, arguments) {
			h.violate(invariantArguments, "Job %s is made without the arguments of %s", job.UID, uid)
		}
	}
	for _, p := range h.leaders {
		if p.name == change.By && p.succeeded[uid] != "" {
			h.violate(
				invariantSuccessKept, "%s makes Job %s for %s, of which it saw Pod %s succeed", p.name, job.UID, uid, p.succeeded[uid],
			)
		}
	}
	// An end that a deposed process tells while another leads reaches that one's caches late: what it makes meanwhile is removed at
	// once.
	if leader := h.leader(); j.ended && change.By == leader.name && (j.endedBy == leader || j.endVersion <= leader.began) {
		h.violate(invariantTerminalCreates, "Job %s is made for %s, which has ended", job.UID, uid)
	}
}

// carries reports whether a Job's spider is given a text.
func carries(job *batchv1.Job, text string) bool {
	c := &job.Spec.Template.Spec.Containers[0]
	has := func(given string) bool { return strings.Contains(given, text) }
	return slices.ContainsFunc(c.Command, has) || slices.ContainsFunc(c.Args, has) ||
		slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return has(e.Value) })
}

func (h *history) checkPod(change *simulated.Change) {
	if after, ok := change.After.(*corev1.Pod); ok && simulated.SpiderState(after).Terminated != nil {
		if _, known := h.truth.ends[after.UID]; !known {
			h.truth.ends[after.UID] = time.Now()
		}
	}
	before, ok := change.Before.(*corev1.Pod)
	if !ok || !strings.HasPrefix(change.By, simulated.Operator) || podEnded(before) || before.Spec.NodeName == "" ||
		ptr.Deref(before.DeletionGracePeriodSeconds, 1) < 1 { // somebody else has done so before
		return
	}
	if change.After == nil || ptr.Deref(change.After.GetDeletionGracePeriodSeconds(), 1) < 1 {
		h.violate(invariantGrace, "%s deletes Pod %s with grace 0", change.By, before.Name)
	}
}

// sawPod notes that a process has seen a Pod whose spider has ended, and one whose spider succeeded with nothing done to it.
func (h *history) sawPod(p *process, pod *corev1.Pod) {
	ended := simulated.SpiderState(pod).Terminated
	if ended == nil || !p.knows(types.UID(pod.Labels[v1alpha1.LabelSpiderJobUID])) {
		return
	}
	p.ends[pod.UID] = true
	if ended.ExitCode != 0 || ended.Reason != "Completed" || pod.Status.Reason != "" || pod.DeletionTimestamp != nil ||
		disturbance(viewPod(pod)) != "" {
		return
	}
	uid := types.UID(pod.Labels[v1alpha1.LabelSpiderJobUID])
	if sj := h.cluster.SpiderJob(uid); p.succeeded[uid] != "" || sj == nil || sj.Status.Stop != nil || sj.Status.Phase.Terminal() {
		return
	}
	var last *simulated.Process
	for _, proc := range h.cluster.Processes() {
		if proc.Pod == pod.UID && proc.Kind == simulated.Spider {
			last = proc
		}
	}
	if last == nil || last.Running() || !h.succeeded(last) || h.podTouched(last) {
		return
	}
	p.succeeded[uid] = pod.UID
}

// checkWaits: what waits has a reason and a message.
func (h *history) checkWaits() {
	for _, sj := range h.cluster.AllSpiderJobs() {
		st := &sj.Status
		if st.Phase.Terminal() || sj.DeletionTimestamp != nil || h.unwritable(sj) {
			continue
		}
		j := h.truth.of(sj.UID)
		runs := false
		for _, p := range j.processes {
			runs = runs || p.Running()
		}
		// Nobody knows of a process that it has ended before its node, or somebody for that node, says so.
		known := runs || st.Phase == v1alpha1.PhaseRunning && st.Stop == nil && h.nodeSilent(types.UID(st.PodUID))
		if known && sj.Spec.Cancellation == nil {
			j.waitsSince = time.Time{}
			continue
		}
		if j.waitsSince.IsZero() {
			j.waitsSince = time.Now()
		}
		explained := st.Message != "" && st.Reason != "" && st.Reason != v1alpha1.ReasonRunning
		if !explained && time.Since(j.waitsSince) > 30*time.Second {
			h.violate(invariantExplained, "SpiderJob %s waits, and says %s/%s %q", sj.UID, st.Phase, st.Reason, st.Message)
		}
	}
}

// unwritable reports whether admission keeps the SpiderJob's status from being written.
func (h *history) unwritable(sj *v1alpha1.SpiderJob) bool {
	for _, a := range h.cluster.Admission {
		if a.Status && (a.Namespace == "" || a.Namespace == sj.Namespace) {
			return true
		}
	}
	return false
}

// noteNews counts what others than the operator have changed of a SpiderJob.
func (h *history) noteNews(change *simulated.Change) {
	about := change.After
	if about == nil {
		about = change.Before
	}
	if strings.HasPrefix(change.By, simulated.Operator) {
		return
	}
	name := about.GetLabels()[v1alpha1.LabelSpiderJob]
	if change.Kind == simulated.SpiderJobs {
		name = about.GetName()
	}
	h.truth.spentOn(types.NamespacedName{Namespace: about.GetNamespace(), Name: name}).news++
}

// checkSpending: while trouble lasts nobody may ask or write without end. What is new may be looked at, and told; a call that
// fails is tried again soon, and then less and less often.
func (h *history) checkSpending(during time.Duration) {
	minutes := int(during / time.Minute)
	for _, sj := range h.cluster.AllSpiderJobs() {
		s := h.truth.spentOn(types.NamespacedName{Namespace: sj.Namespace, Name: sj.Name})
		if s.reads > readsPerMinute*minutes+readsPerNews*s.news || s.writes > writesPerMinute*minutes+writesPerNews*s.news {
			h.violate(
				invariantFrugal, "SpiderJob %s has cost %d reads and %d writes in %s, with %d news of it", sj.UID, s.reads, s.writes, during,
				s.news,
			)
		}
	}
}

// checkSettled looks at what is left at the end.
func (h *history) checkSettled() {
	for _, p := range h.cluster.Processes() {
		if p.Running() && p.DeclaredDead == "" && !h.onLostNode(p) {
			h.violate(invariantNothingLeft, "container %s of Pod %s still runs at the end", p.Container, p.PodName)
		}
	}
	if alive := len(h.cluster.AllSpiderJobs()); !h.forgotten() {
		jobs, logs := h.leader().remembered()
		h.violate(
			invariantForgets, "with %d SpiderJobs, all of which have ended, %d are remembered and %d logs are read", alive, jobs, logs,
		)
	}
}
