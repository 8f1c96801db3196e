package harness

import (
	"fmt"
	"reflect"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// invariants watches every SpiderJob and every spider's Pod of the cluster for what none of them may ever do, whatever the
// tests do to them:
//
//   - a terminal phase never changes, nor does its reason, its message or its counts;
//   - a job that has run is Pending again only because a queue holds it back;
//   - counts never go down within an attempt, and attempts never go down;
//   - finishedAt is set if and only if the phase is terminal;
//   - no two Pods of SpiderJobs of one name are alive at once, whether of one SpiderJob or of one that replaced another.
type invariants struct {
	mu         sync.Mutex
	jobs       map[types.UID]v1alpha1.SpiderJobStatus
	live       map[types.NamespacedName]map[string]bool // names of live Pods by their SpiderJob
	violations map[string][]string                      // by namespace
}

func newInvariants() *invariants {
	return &invariants{
		jobs:       map[types.UID]v1alpha1.SpiderJobStatus{},
		live:       map[types.NamespacedName]map[string]bool{},
		violations: map[string][]string{},
	}
}

func (i *invariants) seeJob(job *v1alpha1.SpiderJob) {
	i.mu.Lock()
	defer i.mu.Unlock()
	before, known := i.jobs[job.UID]
	now := *job.Status.DeepCopy()
	i.jobs[job.UID] = now
	report := func(format string, args ...any) {
		text := fmt.Sprintf("SpiderJob %s: %s", job.Name, fmt.Sprintf(format, args...))
		i.violations[job.Namespace] = append(i.violations[job.Namespace], text)
	}
	if (now.FinishedAt != nil) != now.Phase.Terminal() {
		report("finishedAt is %v in phase %s", now.FinishedAt, now.Phase)
	}
	if !known {
		return
	}
	switch {
	case before.Phase.Terminal():
		// Its remains may be removed; the record of its end stays.
		before.ObservedGeneration, before.ID = now.ObservedGeneration, now.ID
		if !reflect.DeepEqual(before, now) {
			report("changed after its end, from %+v to %+v", before, now)
		}
	case before.Phase == v1alpha1.PhaseRunning && now.Phase == v1alpha1.PhasePending && now.Reason != v1alpha1.ReasonQueued:
		report("was Running and is Pending again: %s: %s", now.Reason, now.Message)
	}
	if now.Attempts < before.Attempts {
		report("has had %d attempts, and now %d", before.Attempts, now.Attempts)
	}
	if before.Stats != nil && now.Stats != nil && before.Stats.Attempt == now.Stats.Attempt &&
		now.Stats.ItemsScraped < before.Stats.ItemsScraped {
		report("counted %d items, and now %d, of attempt %d", before.Stats.ItemsScraped, now.Stats.ItemsScraped, now.Stats.Attempt)
	}
}

func (i *invariants) seePod(pod *corev1.Pod) {
	owner := spiderJobOf(pod)
	if owner.Name == "" {
		return
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		i.podGone(pod)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.live[owner] == nil {
		i.live[owner] = map[string]bool{}
	}
	i.live[owner][pod.Name] = true
	if len(i.live[owner]) > 1 {
		i.violations[pod.Namespace] = append(i.violations[pod.Namespace],
			fmt.Sprintf("SpiderJob %s has %d live Pods at once", owner.Name, len(i.live[owner])))
	}
}

func (i *invariants) podGone(pod *corev1.Pod) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.live[spiderJobOf(pod)], pod.Name)
}

func spiderJobOf(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[v1alpha1.LabelSpiderJob]}
}

// of returns what has gone wrong in a namespace.
func (i *invariants) of(namespace string) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.violations[namespace]
}
