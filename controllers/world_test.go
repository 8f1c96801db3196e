package controllers

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
	"github.com/scrapethis/spider-operator/controllers/stats"
)

// choices is where a history takes its turns from.
type choices interface {
	// pick returns a number from 0 to n-1.
	pick(n int, what string) int
}

// world is a small model of what surrounds decide: an API server with the objects of one SpiderJob, the Job controller, a
// kubelet, users, caches that lag behind, and a controller process that dies at any point. It checks what must always hold.
type world struct {
	choose  choices
	decide  func(*observation, time.Time) decision
	same    func(a, b client.Object) bool // whether an update from a to b wakes nobody
	now     time.Time
	sj      *v1alpha1.SpiderJob
	spider  *v1alpha1.Spider
	job     *batchv1.Job
	pods    []*pod
	ever    map[string]*pod // all Pods there ever were, by name
	version int
	jobs    int

	// cached is what the caches show.
	cached struct {
		sj     *v1alpha1.SpiderJob
		spider *v1alpha1.Spider
		job    *batchv1.Job
		pods   []*corev1.Pod
	}
	// process is what the controller has in memory; it is lost when the process dies.
	process struct {
		queued  bool      // an event has put the SpiderJob into the work queue
		timer   time.Time // when it is put there without one; zero for never
		since   int       // the version at which it began to lead
		written *v1alpha1.SpiderJob
		memory  recollection
		logs    map[types.UID]*podlog.Reading
	}
	// cancelledInTime says that the cancellation was there before a terminal phase was.
	cancelledInTime bool
	history         []string
	broken          string
}

// pod is a Pod with what really happened to it.
type pod struct {
	*corev1.Pod
	items     int64
	disturbed bool // from outside, before its end
}

func newWorld(c choices, decide func(*observation, time.Time) decision) *world {
	w := &world{
		choose: c, decide: decide, same: sameButVersion,
		now: epoch, sj: makeSpiderJob().SpiderJob, spider: makeSpider(), ever: map[string]*pod{},
	}
	retries, most := int32(c.pick(3, "retries")), int32(c.pick(3, "interruptions allowed"))
	w.spider.Spec.Retries, w.spider.Spec.MaxInterruptions = &retries, &most
	if c.pick(3, "timeout") == 0 {
		limit := int64(60)
		w.spider.Spec.TimeoutSeconds = &limit
	}
	w.touch(w.sj)
	w.cached.sj, w.cached.spider = w.sj.DeepCopy(), w.spider.DeepCopy()
	w.restart()
	w.process.since = 0
	return w
}

func (w *world) log(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%6s ", w.now.Sub(epoch).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// violate notes that something happened that must not.
func (w *world) violate(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
		w.log("VIOLATION: %s", w.broken)
	}
}

func (w *world) touch(obj metav1.Object) {
	w.version++
	obj.SetResourceVersion(fmt.Sprint(w.version))
}

func (w *world) restart() {
	w.process.since, w.process.written, w.process.memory = w.version, nil, recollection{}
	w.process.logs = map[types.UID]*podlog.Reading{}
	w.process.queued, w.process.timer = true, time.Time{}
}

func (w *world) alive() []*pod {
	var out []*pod
	for _, p := range w.pods {
		if !podEnded(p.Pod) {
			out = append(out, p)
		}
	}
	return out
}

// step lets one thing happen.
func (w *world) step() {
	switch w.choose.pick(20, "what happens") {
	case 0, 1, 2, 3:
		w.deliver(w.choose.pick(4, "which cache catches up"))
	case 4, 5, 6, 7, 8, 9:
		w.reconcile(w.choose.pick(8, "where the process dies"))
	case 10, 11:
		w.jobController()
	case 12, 13, 14:
		w.kubelet(w.choose.pick(6, "how the process ends"))
	case 15:
		jumps := []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, time.Minute, time.Hour, -time.Minute}
		w.now = w.now.Add(jumps[w.choose.pick(len(jumps), "how the clock jumps")])
	case 16:
		w.readLogs()
	default:
		w.disturb(w.choose.pick(10, "what is done to it"))
	}
}

// disturb is what users, nodes and queues do.
func (w *world) disturb(what int) {
	switch what {
	case 0, 1:
		if w.sj.Spec.Cancellation == nil {
			w.log("a user cancels")
			w.sj.Spec.Cancellation = &v1alpha1.Cancellation{}
			w.sj.Generation++
			w.cancelledInTime = !w.sj.Status.Phase.Terminal()
			w.touch(w.sj)
		}
	case 2, 3:
		if p := w.anyAlive(); p != nil && p.DeletionTimestamp == nil {
			w.log("a user deletes Pod %s", p.Name)
			w.deletePod(p)
		}
	case 4:
		if p := w.anyAlive(); p != nil && p.DeletionTimestamp == nil {
			w.log("a node evicts Pod %s", p.Name)
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet",
			})
			w.deletePod(p)
		}
	case 5:
		if w.job != nil && w.job.DeletionTimestamp == nil {
			w.log("a user deletes the Job")
			w.deleteJob()
		}
	case 6:
		if w.spider != nil {
			w.log("a user deletes the Spider")
			w.spider = nil
		} else {
			w.log("a user makes another Spider of that name")
			w.spider = makeSpider()
			w.spider.Spec.InterruptionPolicy = v1alpha1.InterruptionFail
		}
	case 7, 8:
		if w.job != nil && w.job.DeletionTimestamp == nil && !jobOver(w.job) {
			yes := !valueOr(w.job.Spec.Suspend, false)
			w.log("a queue sets suspend to %t", yes)
			w.job.Spec.Suspend = &yes
		}
	case 9:
		w.log("the controller dies and is started again")
		w.restart()
		for i := range 4 {
			w.deliver(i)
		}
	}
}

func (w *world) anyAlive() *pod {
	if alive := w.alive(); len(alive) > 0 {
		return alive[0]
	}
	return nil
}

func (w *world) deletePod(p *pod) {
	if podEnded(p.Pod) && p.DeletionTimestamp != nil {
		return
	}
	grace := int64(30)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{Time: w.now}, &grace
	if !podEnded(p.Pod) {
		p.disturbed = true
	}
}

func (w *world) deleteJob() {
	w.job.DeletionTimestamp = &metav1.Time{Time: w.now}
}

// deliver brings one of the caches up to date. What is in it is slim, and what changes nothing in that wakes nobody.
func (w *world) deliver(which int) {
	switch which {
	case 0:
		w.process.queued = w.process.queued || w.cached.sj.ResourceVersion != w.sj.ResourceVersion
		w.cached.sj = w.copySpiderJob()
	case 1:
		w.cached.spider = w.spider.DeepCopy() // nobody watches Spiders
	case 2:
		before := w.cached.job
		w.cached.job = w.copyJob()
		switch {
		case before == nil && w.cached.job == nil:
		case before == nil || w.cached.job == nil || !w.same(before, w.cached.job):
			w.process.queued = true
		}
	case 3:
		before := w.cached.pods
		w.cached.pods = w.copyPods()
		if !slices.EqualFunc(before, w.cached.pods, func(a, b *corev1.Pod) bool { return w.same(a, b) }) {
			w.process.queued = true
		}
	}
}

func viewPods(pods []*corev1.Pod) []*podView {
	views := make([]*podView, 0, len(pods))
	for _, pod := range pods {
		views = append(views, viewPod(pod))
	}
	sortPods(views)
	return views
}

// spiderState is the state of the spider's container.
func spiderState(pod *corev1.Pod) corev1.ContainerState {
	if v := viewPod(pod); v.spider != nil {
		return v.spider.state
	}
	return corev1.ContainerState{}
}

func (w *world) copySpiderJob() *v1alpha1.SpiderJob {
	sj := w.sj.DeepCopy()
	slimSpiderJob(sj)
	return sj
}

func (w *world) copyJob() *batchv1.Job {
	job := w.job.DeepCopy()
	if job != nil {
		slimJob(job)
	}
	return job
}

func (w *world) copyPods() []*corev1.Pod {
	out := make([]*corev1.Pod, 0, len(w.pods))
	for _, p := range w.pods {
		pod := p.DeepCopy()
		slimPod(pod)
		out = append(out, pod)
	}
	return out
}

func jobOver(job *batchv1.Job) bool {
	return viewJob(job).over()
}

// jobController does what Kubernetes' own does: makes Pods, counts their ends (an exit code 0 is a success to it, whatever
// brought it about), and clears away the Pods of a Job that is deleted or suspended.
func (w *world) jobController() {
	job := w.job
	if job == nil {
		return
	}
	stopping := job.DeletionTimestamp != nil || (valueOr(job.Spec.Suspend, false) && !jobOver(job))
	var failed int32
	var active, succeeded bool
	kept := w.pods[:0:0]
	for _, p := range w.pods {
		switch {
		case stopping && !podEnded(p.Pod) && p.DeletionTimestamp == nil:
			w.deletePod(p)
		case job.DeletionTimestamp != nil && podEnded(p.Pod):
			w.log("Pod %s is gone", p.Name)
			continue
		}
		active = active || !podEnded(p.Pod)
		succeeded = succeeded || p.Status.Phase == corev1.PodSucceeded
		if p.Status.Phase == corev1.PodFailed && !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.DisruptionTarget
		}) {
			failed++
		}
		kept = append(kept, p)
	}
	w.pods = kept
	switch {
	case job.DeletionTimestamp != nil:
		if len(w.pods) == 0 {
			w.log("the Job is gone")
			w.job = nil
		}
	case jobOver(job) || active:
	case succeeded:
		w.setJob(batchv1.JobComplete)
	case failed > *job.Spec.BackoffLimit:
		w.setJob(batchv1.JobFailed)
	case !valueOr(job.Spec.Suspend, false):
		name := fmt.Sprintf("%s-%d", job.UID, len(w.pods)+w.version)
		w.version++
		b := makePod(job, name)
		b.CreationTimestamp = metav1.Time{Time: w.now}
		w.ever[name] = &pod{Pod: b.Pod}
		w.pods = append(w.pods, w.ever[name])
		w.log("the Job controller makes Pod %s", name)
	}
}

func (w *world) setJob(condition batchv1.JobConditionType) {
	w.log("the Job is %s", condition)
	w.job.Status.Conditions = append(w.job.Status.Conditions, batchv1.JobCondition{
		Type: condition, Status: corev1.ConditionTrue, Reason: "Test",
	})
}

// kubelet lets the spider of a Pod start, scrape, or end; one whose Pod is deleted ends with exit code 0 or by the signal,
// and its Pod goes some time after that.
func (w *world) kubelet(how int) {
	kept := w.pods[:0:0]
	acted := false
	for _, p := range w.pods {
		if acted {
			kept = append(kept, p)
			continue
		}
		acted = true
		state := spiderState(p.Pod)
		switch {
		case podEnded(p.Pod) && p.DeletionTimestamp != nil:
			w.log("Pod %s is gone", p.Name)
			continue
		case podEnded(p.Pod):
			acted = false
		case state.Running == nil && p.DeletionTimestamp != nil:
			w.log("Pod %s never started", p.Name)
			p.Status.Phase = corev1.PodFailed
		case state.Running == nil:
			podBuilder{p.Pod}.running()
			p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.Time{Time: w.now}
			w.log("Pod %s runs", p.Name)
		case p.DeletionTimestamp != nil:
			w.exit(p, []int32{0, 143}[how%2], "shutdown")
		case how < 3:
			p.items += int64(how)
		case how == 3:
			w.exit(p, 1, "")
		default:
			w.exit(p, 0, "finished")
		}
		kept = append(kept, p)
	}
	w.pods = kept
}

func (w *world) exit(p *pod, code int32, reason string) {
	started := spiderState(p.Pod).Running.StartedAt
	podBuilder{p.Pod}.exited(code)
	ended := p.Status.ContainerStatuses[0].State.Terminated
	ended.StartedAt, ended.FinishedAt = started, metav1.Time{Time: w.now}
	w.log("the spider of Pod %s exits with %d after %d items (%s)", p.Name, code, p.items, reason)
	if r := w.process.logs[p.UID]; r != nil && r.Opened {
		w.final(r, p, code, reason)
	}
}

func (w *world) final(r *podlog.Reading, p *pod, code int32, reason string) {
	r.Done, w.process.queued = true, true
	if code == 0 {
		r.Known, r.ObservedAt = true, w.now
		r.Counts = stats.Counts{Items: p.items, FinishReason: reason, Origin: v1alpha1.OriginScrapyStats, Final: true}
	}
}

// readLogs is podlog at work: it reads what was asked for, of Pods that are still there.
func (w *world) readLogs() {
	for uid, r := range w.process.logs {
		before := *r
		i := slices.IndexFunc(w.pods, func(p *pod) bool { return p.UID == uid })
		switch {
		case i < 0:
			r.Done = !r.Since.IsZero()
		case podEnded(w.pods[i].Pod) && !r.Since.IsZero():
			ended, reason := spiderState(w.pods[i].Pod).Terminated, "finished"
			if w.pods[i].disturbed {
				reason = "shutdown"
			}
			if ended != nil {
				w.final(r, w.pods[i], ended.ExitCode, reason)
			}
		case spiderState(w.pods[i].Pod).Running != nil:
			r.Opened = !r.Since.IsZero()
			r.Known, r.ObservedAt = true, w.now
			r.Counts = stats.Counts{Items: w.pods[i].items, Origin: v1alpha1.OriginScrapyLog}
		}
		if r.Known != before.Known || r.Opened != before.Opened || r.Done != before.Done || r.Counts != before.Counts {
			w.process.queued = true
		}
	}
}

// observe is what the controller sees, from its caches or live.
func (w *world) observe(live bool) *observation {
	o := &observation{
		live: live, defaults: testDefaults(), sj: w.cached.sj, spider: w.cached.spider, job: viewJob(w.cached.job), pods: viewPods(w.cached.pods),
	}
	if live {
		o.sj, o.spider, o.job, o.pods = w.copySpiderJob(), w.spider.DeepCopy(), viewJob(w.copyJob()), viewPods(w.copyPods())
	} else if written := w.process.written; written != nil && versionOf(written) > versionOf(o.sj) {
		o.sj = written
	}
	mem := &w.process.memory
	mem.remember(o, w.now)
	mem.show(o)
	o.readings = map[types.UID]podlog.Reading{}
	for uid, r := range w.process.logs {
		o.readings[uid] = *r
	}
	o.sinceLead = versionOf(o.sj) > w.process.since
	if o.job != nil { // Events are not part of this world
		o.words = eventWords{of: o.job.uid, at: w.now}
	}
	if o.lastPod != nil && o.lastPod.started().IsZero() {
		o.words = eventWords{of: o.lastPod.uid, at: w.now}
	}
	return o
}

func versionOf(sj *v1alpha1.SpiderJob) int {
	var n int
	_, _ = fmt.Sscan(sj.ResourceVersion, &n)
	return n
}

// reconcile is Reconcile, with a process that may die before or after either of its writes.
func (w *world) reconcile(dies int) {
	w.process.queued, w.process.timer = false, time.Time{}
	o := w.observe(false)
	for range maxRounds {
		d := w.decide(o, w.now)
		if d.need == needLive {
			o = w.observe(true)
			continue
		}
		if d.need == needKilling {
			o.killing = stopTrace{of: killingOf(o), found: evidenceNone}
			continue
		}
		for _, l := range d.logs {
			r := w.process.logs[l.pod.uid]
			if r == nil {
				r = &podlog.Reading{}
				w.process.logs[l.pod.uid] = r
			}
			if l.mode > podlog.Sample && r.Since.IsZero() {
				r.Since, r.Began = w.now, w.now
			}
		}
		if dies == 0 {
			w.restart()
			return
		}
		if err := w.act(d.action); apierrors.IsAlreadyExists(err) {
			o = w.observe(true)
			continue
		}
		if dies == 1 {
			w.restart()
			return
		}
		if d.after > 0 {
			w.process.timer = w.now.Add(d.after)
		}
		w.record(o, d.status)
		if dies == 2 {
			w.restart()
		}
		return
	}
	w.violate("no decision after %d rounds", maxRounds)
}

func (w *world) act(a action) error {
	switch a.kind {
	case createJob:
		if w.job != nil {
			return apierrors.NewAlreadyExists(batchv1.Resource("jobs"), w.job.Name)
		}
		if w.sj.Status.Phase.Terminal() {
			w.violate("a Job is created for a SpiderJob that has ended as %s", w.sj.Status.Phase)
		}
		if alive := w.alive(); len(alive) > 0 {
			w.violate("a Job is created while Pod %s of an earlier one is alive", alive[0].Name)
		}
		w.jobs++
		w.job = a.create.DeepCopy()
		w.job.UID = types.UID(fmt.Sprintf("job-%d", w.jobs))
		w.job.CreationTimestamp = metav1.Time{Time: w.now}
		w.log("the controller creates Job %s", w.job.UID)
	case deletePod:
		for _, p := range w.pods {
			if p.UID == a.on.uid {
				w.log("the controller deletes Pod %s", p.Name)
				w.deletePod(p)
			}
		}
	case deleteJob:
		if w.job != nil && w.job.UID == a.on.uid && w.job.DeletionTimestamp == nil {
			w.log("the controller deletes Job %s", w.job.UID)
			w.deleteJob()
		}
	case doNothing, endPod, deleteSpiderJob:
	}
	return nil
}

func (w *world) record(o *observation, next v1alpha1.SpiderJobStatus) {
	if sameStatus(next, o.sj.Status) {
		return
	}
	if o.sj.ResourceVersion != w.sj.ResourceVersion {
		w.process.timer = w.now.Add(conflictPause)
		return
	}
	complete(&next, w.sj, metav1.Time{Time: w.now})
	w.check(next)
	w.sj.Status = next
	w.touch(w.sj)
	w.process.written = w.sj.DeepCopy()
	w.log("recorded %s/%s %s, attempts %d, %d items", next.Phase, next.Reason, next.Message, next.Attempts, items(&next))
}

// check holds a status that is about to be recorded against the truth and against the one before it.
func (w *world) check(next v1alpha1.SpiderJobStatus) {
	previous := &w.sj.Status
	switch {
	case previous.Phase.Terminal():
		w.violate("%s/%s is followed by %s/%s", previous.Phase, previous.Reason, next.Phase, next.Reason)
	case previous.Phase == v1alpha1.PhaseRunning && next.Phase == v1alpha1.PhasePending && next.Reason != v1alpha1.ReasonQueued:
		w.violate("Running goes back to Pending/%s", next.Reason)
	case next.Attempts < previous.Attempts || next.Interruptions < previous.Interruptions:
		w.violate("attempts or interruptions go down")
	}
	if a, b := previous.Stats, next.Stats; a != nil && b != nil && a.Attempt == b.Attempt && b.ItemsScraped < a.ItemsScraped {
		w.violate("items go down from %d to %d", a.ItemsScraped, b.ItemsScraped)
	}
	if next.Phase.Terminal() {
		w.checkEnd(next)
	}
}

func (w *world) checkEnd(next v1alpha1.SpiderJobStatus) {
	if alive := w.alive(); len(alive) > 0 {
		w.violate("ends as %s while Pod %s is alive", next.Phase, alive[0].Name)
	}
	switch cancelled := next.Phase == v1alpha1.PhaseCancelled; {
	case w.cancelledInTime && !cancelled:
		w.violate("a cancelled job ends as %s", next.Phase)
	case cancelled && !w.cancelledInTime:
		w.violate("ends as Cancelled, and nobody asked for it")
	case cancelled && w.job != nil:
		w.violate("ends as Cancelled while its Job is there")
	}
	if next.Phase != v1alpha1.PhaseFinished {
		return
	}
	p := w.ever[next.PodName]
	if p == nil || p.Status.Phase != corev1.PodSucceeded || p.disturbed {
		w.violate("ends as Finished, but Pod %s did not succeed by itself", next.PodName)
		return
	}
	if next.Stats.Final && next.Stats.ItemsScraped != p.items {
		w.violate("counts %d items, and the spider scraped %d", next.Stats.ItemsScraped, p.items)
	}
}

// settle lets everything run its course undisturbed: the job must come to its end, though it is looked at only when it was
// woken, or when the time has come at which it was to be looked at again.
func (w *world) settle() {
	if w.job != nil && valueOr(w.job.Spec.Suspend, false) {
		no := false
		w.job.Spec.Suspend = &no
	}
	for range 200 {
		if w.broken != "" || (w.sj.Status.Phase.Terminal() && len(w.alive()) == 0) {
			return
		}
		for i := range 4 {
			w.deliver(i)
		}
		if timer := w.process.timer; w.process.queued || !timer.IsZero() && !w.now.Before(timer) {
			w.reconcile(7)
		}
		w.jobController()
		w.kubelet(5)
		w.readLogs()
		w.now = w.now.Add(10 * time.Second)
	}
	w.violate("does not come to an end: %s/%s %s", w.sj.Status.Phase, w.sj.Status.Reason, w.sj.Status.Message)
}
