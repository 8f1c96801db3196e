package spiderjob

import (
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

const (
	// createdFor is how long a Job that was just created is assumed to exist although the cache does not show it yet.
	createdFor = 5 * time.Second
	// repeatAfter is how long to wait for the effect of an action in the cache before repeating it.
	repeatAfter = 5 * time.Second
)

// memory is what the controller remembers of each SpiderJob beyond what the caches show: its own latest writes, which the
// caches show a moment later, and what is gone from the cluster but still has to be recorded. All of it may be lost at any
// time: it saves API calls and keeps last-known facts, but correctness never depends on it. It holds a bounded amount for each
// SpiderJob.
type memory struct {
	mu   sync.Mutex
	jobs map[types.NamespacedName]*jobMemory
}

// jobMemory is what is remembered of one SpiderJob. Only the worker that reconciles it touches it, except for passed.
type jobMemory struct {
	uid types.UID
	// passed are Pods whose spider had ended, as the watch showed them since the last reconcile: the first such state, and the
	// latest. A Pod that is stopped may end and disappear within milliseconds, and its termination message with it. The memory's
	// lock guards it.
	passed []*podView
	// written is the SpiderJob as the last status write returned it.
	written *v1alpha1.SpiderJob
	// created is the Job created last, and createdAt when.
	created   *batchv1.Job
	createdAt time.Time
	// lastPod is the newest Pod seen.
	lastPod *podView
	// idle is the UID of a Pod that was seen before its spider ran, and runningSeen when the spider was first seen to run.
	idle        types.UID
	runningSeen time.Time
	// witness is a Pod as it was when it was last seen to have ended undisturbed.
	witness *podView
	// judged is the UID of the Pod of the latest attempt that this process itself has recorded as over.
	judged types.UID
	// exitSeen is when the spider of lastPod was first seen to have ended, and exited the Pod at that time, if nothing outside
	// had touched it.
	exitSeen time.Time
	exited   *podView
	// job is the UID of the Job seen last, and jobSeen and podSeen when it and lastPod were first seen.
	job              types.UID
	jobSeen, podSeen time.Time
	// stopSeen is when it was first seen that the Job controller is about to stop lastPod.
	stopSeen time.Time
	// words are the latest Warning Events, and killing what Events say about the end of a Pod that is gone.
	words   eventWords
	killing stopTrace
	// refused is the latest refusal of a Job.
	refused *refusedCreation
	// lastAction is the last action other than a creation, and actedAt when it was done.
	lastAction actionKey
	actedAt    time.Time
}

// actionKey identifies an action.
type actionKey struct {
	kind  actionKind
	uid   types.UID
	grace int64
}

func newMemory() *memory {
	return &memory{jobs: map[types.NamespacedName]*jobMemory{}}
}

// of returns what is remembered of the SpiderJob with that name and UID, empty if nothing is.
func (m *memory) of(key types.NamespacedName, uid types.UID) *jobMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[key]
	if r == nil || r.uid != uid {
		r = &jobMemory{uid: uid}
		m.jobs[key] = r
	}
	return r
}

// forget drops what is remembered of a SpiderJob.
func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, key)
}

// pass records a Pod that the watch shows, or, with gone, showed last, if its spider has ended. It is called between
// reconciles, which may come too late to find the Pod.
func (m *memory) pass(sj types.NamespacedName, pod *corev1.Pod, gone bool) {
	if !spiderEnded(pod) {
		return
	}
	view := viewPod(pod)
	view.deleting = view.deleting || gone
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[sj]
	if r == nil || r.uid != view.spiderJob {
		return
	}
	if len(r.passed) < 2 {
		r.passed = append(r.passed, view)
	} else {
		r.passed[1] = view
	}
}

// takePassed returns the Pods that have passed since the last call, in order.
func (m *memory) takePassed(r *jobMemory) []*podView {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := r.passed
	r.passed = nil
	return passed
}

// remember records what an observation shows for the first time, and before that the Pods that have passed and are not in it.
// This only improves later decisions: without it, a process that has just started concludes the same from the objects
// themselves, if less exactly.
func (r *jobMemory) remember(o *observation, passed []*podView, now time.Time) {
	if o.job != nil && o.job.uid != r.job {
		r.job, r.jobSeen = o.job.uid, now
	}
	r.renew(o)
	for _, pod := range passed {
		earlier := r.lastPod != nil && r.lastPod.uid != pod.uid && !pod.created.After(r.lastPod.created)
		if !earlier && !containsPod(o.pods, pod.name) {
			r.see(o, pod, now)
		}
	}
	if pod := o.presentPod(); pod != nil {
		r.see(o, pod, now)
	}
}

// renew replaces the copy of a Pod that a cache shows as it was before its spider ended, although this process has already
// seen that end: by a live read, which the cache follows a moment later.
func (r *jobMemory) renew(o *observation) {
	last := r.lastPod
	if o.live || last == nil || last.exit() == nil {
		return
	}
	for i, pod := range o.pods {
		startedAgain := pod.spider != nil && pod.spider.restarts > last.spider.restarts
		if pod.uid == last.uid && pod.exit() == nil && !startedAgain {
			o.pods[i] = last
		}
	}
}

// see records what a Pod shows for the first time.
func (r *jobMemory) see(o *observation, pod *podView, now time.Time) {
	if r.lastPod == nil || r.lastPod.uid != pod.uid {
		r.podSeen, r.runningSeen, r.exitSeen, r.stopSeen, r.exited = now, time.Time{}, time.Time{}, time.Time{}, nil
	}
	if o.job != nil && (o.job.suspended || o.job.failing != nil || o.job.limited && pod.deleting) && r.stopSeen.IsZero() {
		r.stopSeen = now
	}
	if exit := pod.exit(); exit != nil && r.exitSeen.IsZero() {
		r.exitSeen = now
		if !exit.StartedAt.IsZero() && disturbance(pod) == "" {
			r.exited = pod
		}
	}
	switch {
	case pod.started().IsZero():
		r.idle = pod.uid
	case r.idle == pod.uid && r.runningSeen.IsZero():
		r.runningSeen = now
	}
	r.lastPod = pod
	if endedUndisturbed(pod) {
		r.witness = pod
	}
}

// latest returns the newer of the observed SpiderJob and the last written one.
func (r *jobMemory) latest(observed *v1alpha1.SpiderJob) *v1alpha1.SpiderJob {
	if r.written == nil {
		return observed
	}
	order, err := resourceversion.CompareResourceVersion(observed.ResourceVersion, r.written.ResourceVersion)
	if err != nil || order >= 0 {
		r.written = nil
		return observed
	}
	return r.written
}

// refuse records that a Job was refused.
func (r *jobMemory) refuse(err error, now time.Time) {
	since := now
	if r.refused != nil {
		since = r.refused.since
	}
	r.refused = &refusedCreation{err: err, since: since, at: now}
}

// seen records that the Job was seen: if it is not seen from now on, it is gone.
func (r *jobMemory) seen(job *batchv1.Job) {
	if r.created != nil && r.created.UID == job.UID {
		r.created = nil
	}
}

// show adds what is remembered to an observation.
func (r *jobMemory) show(o *observation) {
	o.lastPod, o.witness, o.exited, o.exitSeen, o.runningSeen = r.lastPod, r.witness, r.exited, r.exitSeen, r.runningSeen
	o.podSeen, o.stopSeen, o.words, o.refused = r.podSeen, r.stopSeen, r.words, r.refused
	o.judged = r.judged
	if o.job != nil {
		o.jobSeen = r.jobSeen
	}
	if r.killing.of == killingOf(o) {
		o.killing = r.killing
	}
}

// recentJob returns the Job created last, while the cache may not show it yet.
func (r *jobMemory) recentJob(now time.Time) *batchv1.Job {
	if r.created == nil || now.Sub(r.createdAt) >= createdFor {
		r.created = nil
	}
	return r.created
}

// done reports whether the action was done so recently that its effect may not be visible yet.
func (r *jobMemory) done(key actionKey, now time.Time) bool {
	return r.lastAction == key && now.Sub(r.actedAt) < repeatAfter
}
