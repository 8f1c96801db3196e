package spiderjob

import (
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
)

// trouble is a set of kinds of trouble that histories may bring.
type trouble uint64

// The kinds of trouble. Each can be left out.
const (
	troubleUsers      trouble = 1 << iota // cancels, deletions of Pods, Jobs and SpiderJobs, with grace and propagation
	troubleZeroGrace                      // cancellations with a grace of 0
	troubleOrphans                        // bare deletions of Jobs
	troubleForce                          // deletions of Pods with grace 0, by users
	troubleSpiders                        // Spiders that go and come, retention that changes
	troubleCuts                           // nodes that are cut off, and come back
	troubleReboots                        // nodes that lose power, or the state of their runtime
	troubleDeadNodes                      // Node objects that are removed, out-of-service taints
	troubleSidecars                       // containers that are injected and outlive the spider, fail, or never start
	troubleNatives                        // native sidecars
	troubleInits                          // init containers
	troubleImages                         // images that cannot be pulled
	troubleVolumes                        // volumes that do not mount
	troubleEvictions                      // evictions, drains, preemptions
	troubleStorage                        // Pods that exceed their own storage
	troubleMemory                         // OOMKilled, with exit code 137 or 0
	troubleFinalizers                     // finalizers of others
	troubleAdmission                      // webhooks and policies
	troubleQuota                          // ResourceQuota of Pods, nodes without room
	troubleQueue                          // a queue that suspends and resumes
	troubleLogs                           // logs that hang, end early or are empty
	troubleCrashes                        // the process dies between two calls
	troubleDeposed                        // a process that has been deposed and does not know it
	troubleAPI                            // calls that fail, and answers that are lost
	troubleClocks                         // clocks that are minutes apart
	troubleJanitors                       // Pods that have ended and are removed by somebody
	troubleOldJobs                        // Jobs as the version before made them
	troubleVerdicts                       // spiders that stop themselves or stand still, and Spiders that expect something of them
	troubleEnd
)

const everyTrouble = troubleEnd - 1

var troubleNames = []string{
	"users", "zero-grace", "orphans", "force", "spiders", "cuts", "reboots", "dead-nodes", "sidecars", "natives", "inits", "images",
	"volumes", "evictions", "storage", "memory", "finalizers", "admission", "quota", "queue", "logs", "crashes", "deposed", "api",
	"clocks", "janitors", "old-jobs", "verdicts",
}

// String names the kinds, separated by commas.
func (t trouble) String() string {
	var names []string
	for i, name := range troubleNames {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// parseTroubles reads what String writes; "all" is every kind, and a name with a minus in front is left out.
func parseTroubles(s string) (trouble, error) {
	var set trouble
	for _, name := range strings.Split(s, ",") {
		without := strings.HasPrefix(name, "-")
		name = strings.TrimPrefix(name, "-")
		bits := trouble(0)
		if name == "all" {
			bits = everyTrouble
		}
		for i, known := range troubleNames {
			if name == known {
				bits = 1 << i
			}
		}
		if bits == 0 && name != "none" && name != "" {
			return 0, fmt.Errorf("no trouble is named %q; there are %s", name, strings.Join(troubleNames, " "))
		}
		if without {
			set &^= bits
		} else {
			set |= bits
		}
	}
	return set, nil
}

func (h *history) has(t trouble) bool { return h.troubles&t != 0 }

func (h *history) setClocks() {
	offset := func() time.Duration {
		d := time.Duration(h.pick(7)-3) * time.Minute
		h.skews.widest = max(h.skews.widest, d.Abs())
		return d
	}
	h.cluster.Skew, h.skews.controller = offset(), offset()
	for _, n := range h.cluster.Nodes() {
		n.Skew = offset()
	}
	h.tell("clocks are ahead: kube-apiserver's by %s, the controller's by %s", h.cluster.Skew, h.skews.controller)
}

// script says what will happen in a new Pod.
func (h *history) script(*corev1.Pod) simulated.PodScript {
	now := time.Now()
	s := simulated.PodScript{Spider: simulated.Script{
		Runs: time.Duration(1+h.pick(12)) * 10 * time.Second, FinishReason: "finished", Items: int64(h.pick(20)),
		Reacts: time.Duration(h.pick(5)) * time.Second,
	}}
	spider := &s.Spider
	if h.chance(15) {
		spider.Runs = time.Duration(h.pick(20)) * time.Minute
	}
	if h.chance(25) {
		spider.Exit, spider.FinishReason = 1, ""
	} else if h.chance(10) {
		spider.FinishReason = "closespider_errorcount"
	}
	if h.has(troubleVerdicts) {
		h.selfWilled(spider)
	}
	if h.chance(15) {
		spider.Reacts = simulated.Forever
	}
	if h.chance(20) {
		spider.TermExit = 143
	}
	if h.has(troubleMemory) && h.chance(20) {
		spider.Exit, spider.Reason, spider.FinishReason = 137, "OOMKilled", ""
		if h.chance(50) {
			spider.Exit, spider.FinishReason = 0, []string{"", "finished"}[h.pick(2)]
		}
	}
	waits := func(script *simulated.Script) {
		script.Waits, script.Message = "ImagePullBackOff", `Back-off pulling image "spiders:1"`
		if h.chance(30) {
			script.Waits, script.Message = "CreateContainerConfigError", `secret "shop" not found`
		}
		script.Ready = now.Add([]time.Duration{20 * time.Second, 2 * time.Minute, simulated.Forever}[h.pick(3)])
	}
	if h.has(troubleImages) && h.chance(25) {
		waits(spider)
	}
	if h.has(troubleVolumes) && h.chance(20) {
		s.Unmountable = now.Add([]time.Duration{20 * time.Second, 2 * time.Minute, simulated.Forever}[h.pick(3)])
		s.MountMessage = `MountVolume.SetUp failed for volume "cookies" : secret "cookies" not found`
	}
	if h.has(troubleSidecars) && h.chance(35) {
		s.Injected = append(s.Injected, simulated.Injected{Name: "mesh", Kind: simulated.Ordinary, Script: h.sidecar(waits)})
	}
	if h.has(troubleNatives) && h.chance(35) {
		s.Injected = append(s.Injected, simulated.Injected{Name: "proxy", Kind: simulated.Native, Script: h.sidecar(waits)})
	}
	if h.has(troubleInits) && h.chance(35) {
		init := simulated.Script{Runs: time.Duration(1+h.pick(30)) * time.Second}
		switch h.pick(3) {
		case 0:
			init.Exit = 3
		case 1:
			waits(&init)
		}
		s.Injected = append(s.Injected, simulated.Injected{Name: "fetch", Kind: simulated.Init, Script: init})
	}
	return s
}

// sidecar is a container that outlives the spider, ends or fails before it, or never starts.
func (h *history) sidecar(waits func(*simulated.Script)) simulated.Script {
	s := simulated.Script{Runs: simulated.Forever, Reacts: time.Duration(h.pick(4)) * time.Second, TermExit: int32(h.pick(2)) * 143}
	switch h.pick(5) {
	case 0:
		s.Runs = time.Duration(1+h.pick(100)) * time.Second
	case 1:
		s.Runs, s.Exit = time.Duration(1+h.pick(100))*time.Second, 1
	case 2:
		waits(&s)
	}
	return s
}

func (h *history) madeUp() string {
	return []string{"Unknown", "ContainerStatusUnknown", ""}[h.pick(3)]
}

// disturb is what users, nodes, queues and others do; nothing where the kind of trouble is left out.
func (h *history) disturb() {
	c := h.cluster
	if len(h.menu) == 0 {
		return
	}
	switch h.menu[h.pick(len(h.menu))] & h.troubles { //nolint:exhaustive // The others are no single acts: they are in the scripts.
	case troubleUsers:
		h.disturbAsUser()
	case troubleZeroGrace:
		if sj := h.anySpiderJob(); sj != nil {
			zero := int64(0)
			if c.Cancel(sj, &zero) {
				h.tell("a user cancels %s with grace 0", sj.UID)
			}
		}
	case troubleOrphans:
		if job := h.anyJob(); job != nil {
			h.tell("a user deletes Job %s without a word on its Pods", job.UID)
			c.DeleteAs("a user", job, metav1.DeleteOptions{})
		}
	case troubleForce:
		if pod := h.anyPod(); pod != nil {
			h.tell("a user deletes Pod %s by force", pod.Name)
			c.DeleteAs("a user", pod, deleteWithin(0))
		}
	case troubleSpiders:
		h.disturbSpiders()
	case troubleCuts:
		if n := h.anyNodeAtAll(); h.chance(60) {
			c.CutOff(n)
		} else if n.State == simulated.Cut {
			c.Reconnect(n, "")
		}
	case troubleReboots:
		switch n := h.anyNodeAtAll(); {
		case n.State == simulated.Off:
			c.Reconnect(n, h.madeUp())
		case h.chance(50):
			c.PowerOff(n)
		default:
			c.LoseRuntime(n, h.madeUp())
		}
	case troubleDeadNodes:
		switch n := h.anyNodeAtAll(); {
		case n.State == simulated.Up:
			c.CutOff(n)
		case h.chance(50):
			c.Remove(n)
			c.Join("node-" + fmt.Sprint(len(c.Nodes())))
		default:
			c.Taint(n)
		}
	case troubleEvictions:
		if pod := h.anyPod(); pod != nil && pod.Spec.NodeName != "" && !podEnded(pod) {
			switch h.pick(3) {
			case 0:
				h.tell("a node that holds Pod %s is drained", pod.Name)
				c.Drain(pod, "EvictionByEvictionAPI", "Eviction API: evicting")
			case 1:
				h.tell("the scheduler preempts Pod %s", pod.Name)
				c.Drain(pod, "PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod")
			default:
				c.Evict(pod, false)
			}
		}
	case troubleStorage:
		if pod := h.anyPod(); pod != nil && spiderRuns(pod) {
			c.Evict(pod, true)
		}
	case troubleFinalizers:
		h.disturbFinalizers()
	case troubleAdmission:
		h.disturbAdmission()
	case troubleQuota:
		h.disturbQuota()
	case troubleQueue:
		if job := h.anyJob(); job != nil {
			yes := h.chance(30)
			h.tell("a queue sets suspend of Job %s to %t", job.UID, yes)
			c.Suspend(job, yes)
		}
	case troubleLogs:
		n := h.anyNodeAtAll()
		n.Logs = simulated.LogTrouble(h.pick(simulated.LogTroubles))
		h.tell("logs of node %s %s", n.Name, n.Logs)
	case troubleCrashes:
		h.replace(false)
	case troubleDeposed:
		h.replace(true)
	case troubleJanitors:
		if pod := h.anyPod(); pod != nil && podEnded(pod) {
			h.tell("a janitor deletes Pod %s, which has ended", pod.Name)
			c.DeleteAs("a janitor", pod, metav1.DeleteOptions{})
		}
	case troubleOldJobs:
		h.makeOld()
	}
}

// replace lets another process lead. The one before dies, or acts on, not knowing it.
func (h *history) replace(deposed bool) {
	if !deposed || len(h.leaders) > 1 {
		for _, p := range h.leaders {
			p.die()
		}
		h.leaders = nil
	}
	h.leaders = append(h.leaders, h.newProcess(4, h.skews.controller, func(simulated.Kind) int { return h.pick(4) }))
}

func deleteWithin(grace int64) metav1.DeleteOptions {
	return metav1.DeleteOptions{GracePeriodSeconds: &grace}
}

func (h *history) disturbAsUser() {
	c := h.cluster
	switch h.pick(9) {
	case 0, 1:
		if sj := h.anySpiderJob(); sj != nil {
			var grace *int64
			if h.chance(60) {
				seconds := int64(1 + h.pick(60))
				grace = &seconds
			}
			if c.Cancel(sj, grace) {
				h.tell("a user cancels %s with grace %d", sj.UID, ptr.Deref(grace, -1))
			}
		}
	case 2, 3:
		if pod := h.anyPod(); pod != nil {
			grace := int64(1 + h.pick(40))
			h.tell("a user deletes Pod %s with grace %d", pod.Name, grace)
			c.DeleteAs("a user", pod, deleteWithin(grace))
		}
	case 4, 5:
		if job := h.anyJob(); job != nil {
			policy := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground}[h.pick(2)]
			h.tell("a user deletes Job %s: %s", job.UID, policy)
			c.DeleteAs("a user", job, metav1.DeleteOptions{PropagationPolicy: &policy})
		}
	case 6:
		if sj := h.anySpiderJob(); sj != nil {
			h.tell("a user deletes SpiderJob %s", sj.UID)
			c.DeleteAs("a user", sj, metav1.DeleteOptions{})
		}
	case 7:
		if sj := h.anySpiderJob(); sj != nil {
			h.changeRetention(sj)
		}
	case 8:
		h.createSpiderJob([]string{"a", "b", "c"}[h.pick(3)], []string{"run", "run", "again"}[h.pick(3)])
	}
}

// changeRetention has a user say how long a SpiderJob is kept, whether it has ended or not.
func (h *history) changeRetention(sj *v1alpha1.SpiderJob) {
	keep := int64(retentions[h.pick(len(retentions))] / time.Second)
	if h.chance(20) {
		keep = forEver
	}
	h.kept[sj.UID] = keep == forEver
	h.tell("a user has %s kept for %d s", sj.UID, keep)
	h.cluster.Keep(sj, keep)
}

func (h *history) disturbSpiders() {
	c := h.cluster
	namespace := []string{"a", "b"}[h.pick(2)]
	spiders := simulated.All[*v1alpha1.Spider](c, simulated.Spiders)
	for _, spider := range spiders {
		if spider.Namespace == namespace {
			h.tell("somebody deletes Spider %s/books", namespace)
			c.DeleteAs("a user", spider, metav1.DeleteOptions{})
			return
		}
	}
	h.createSpider(namespace)
}

func (h *history) disturbFinalizers() {
	c := h.cluster
	if h.chance(25) {
		h.tell("somebody takes his finalizers off")
		c.LetGo()
		return
	}
	switch h.pick(3) {
	case 0:
		if sj := h.anySpiderJob(); sj != nil {
			h.tell("somebody puts a finalizer on SpiderJob %s", sj.UID)
			c.Hold(sj)
		}
	case 1:
		if job := h.anyJob(); job != nil {
			h.tell("somebody puts a finalizer on Job %s", job.UID)
			c.Hold(job)
		}
	case 2:
		if pod := h.anyPod(); pod != nil {
			h.tell("somebody puts a finalizer on Pod %s", pod.Name)
			c.Hold(pod)
		}
	}
}

func (h *history) disturbAdmission() {
	c := h.cluster
	if len(c.Admission) > 0 && h.chance(50) {
		h.tell("admission is well again")
		c.Admission = nil
		return
	}
	a := simulated.Admission{Namespace: []string{"a", "b", ""}[h.pick(3)], Answer: simulated.Answer(h.pick(simulated.Answers))}
	switch h.pick(4) {
	case 0:
		a.Verb, a.Kind = "create", simulated.Jobs
	case 1:
		a.Verb, a.Kind = "create", simulated.Pods
	case 2:
		a.Verb, a.Kind = "delete", simulated.Pods
	case 3:
		a.Verb, a.Kind, a.Status = "update", simulated.SpiderJobs, true
	}
	if a.Verb == "delete" && a.Answer == simulated.DeniedField {
		a.Answer = simulated.Hangs
	}
	h.tell("admission: %s %s in namespace %q %s", a.Verb, a.Kind, a.Namespace, a.Answer)
	h.truth.deniedFields = h.truth.deniedFields || a.Answer == simulated.DeniedField
	c.Admission = append(c.Admission, a)
}

func (h *history) disturbQuota() {
	c := h.cluster
	switch h.pick(3) {
	case 0:
		c.Unschedulable = !c.Unschedulable
		h.tell("no node has room: %t", c.Unschedulable)
	case 1:
		namespace := []string{"a", "b"}[h.pick(2)]
		h.tell("namespace %s has a quota of no Pods", namespace)
		c.Quotas[namespace] = 0
	case 2:
		h.tell("quotas are lifted")
		clear(c.Quotas)
	}
}

// makeOld makes the Job that the version before would have made, as far as that version differs: the controller finds it.
func (h *history) makeOld() {
	for _, sj := range h.cluster.AllSpiderJobs() {
		if sj.Status.Phase.Terminal() || sj.Status.JobUID != "" || sj.Status.ObservedGeneration != 0 || sj.DeletionTimestamp != nil ||
			h.truth.of(sj.UID).created > 0 || h.busyWith(sj) {
			continue // the version before had ended before this one began to look at the SpiderJob
		}
		job := oldJob(sj)
		if job == nil || h.cluster.Create(simulated.Jobs, job) != nil {
			continue
		}
		h.truth.of(sj.UID).old = true
		h.tell("the version before has made Job %s for %s: backoffLimit %d", job.UID, sj.UID, *job.Spec.BackoffLimit)
		return
	}
}

// busyWith reports whether a worker is reconciling a SpiderJob.
func (h *history) busyWith(sj *v1alpha1.SpiderJob) bool {
	for _, p := range h.leaders {
		for _, w := range p.workers {
			if w.busy && w.taken.Request.Namespace == sj.Namespace && w.taken.Request.Name == sj.Name {
				return true
			}
		}
	}
	return false
}

func spiderRuns(pod *corev1.Pod) bool { return simulated.SpiderState(pod).Running != nil }

func (h *history) anySpiderJob() *v1alpha1.SpiderJob { return anyOf(h, h.cluster.AllSpiderJobs()) }
func (h *history) anyJob() *batchv1.Job              { return anyOf(h, h.cluster.AllJobs()) }
func (h *history) anyPod() *corev1.Pod               { return anyOf(h, h.cluster.AllPods()) }

func (h *history) anyNodeAtAll() *simulated.Node {
	return h.cluster.Nodes()[h.pick(len(h.cluster.Nodes()))]
}

func anyOf[T any](h *history, all []*T) *T {
	if len(all) == 0 {
		return nil
	}
	return all[h.pick(len(all))]
}
